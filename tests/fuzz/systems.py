"""The four clients, what each vendor would answer, and arguments for each of their methods."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from hypothesis import strategies as st

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.code_stream.event_changes import EventChanges
from airflow_provider.clients.quay import QuayClient
from airflow_provider.clients.quay.notifications import Wanted
from airflow_provider.clients.quay.tag_changes import TagChanges
from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.sandbox.core.hostile import dump
from airflow_provider.storable import storable_text
from tests.fuzz.answers import Route, raw, texts
from tests.fuzz.server import Raw

SECRET = "the-secret-of-this-connection"
NOW = int(time.time())
DIGEST = "sha256:" + "e0" * 32

_EXECUTION = {
    "id": "x-1",
    "_link": "/codestream/api/executions/x-1",
    "name": "release",
    "project": "retail",
    "index": 7,
    "status": "RUNNING",
    "statusMessage": "Deploy.Check: failed",
    "comments": "marker-1",
    "input": {"a": "1"},
    "output": {"image": "x"},
    "stageOrder": ["Build", "Deploy"],
    "stages": {
        "Build": {"status": "COMPLETED", "taskOrder": ["Unit,Lint"], "tasks": {"Unit": {"status": "COMPLETED"}}},
        "Deploy": {
            "status": "FAILED",
            "tasks": {"Check": {"type": "UserOperation", "status": "FAILED", "failureMessage": "no"}},
        },
    },
    "_requestTimeInMicros": NOW * 1_000_000,
    "_updateTimeInMicros": NOW * 1_000_000,
    "_totalDurationInMicros": 13495000,
    "_nested": False,
    "executionId": "x-1",
    "executionLink": "/codestream/api/executions/x-1",
}
_EVENT = {
    "id": "e-1",
    "executionLink": "/codestream/api/executions/x-1",
    "executionIndex": 7,
    "executionStatus": "COMPLETED",
    "createdAt": "2026-11-27 08:00:00.000000+00",
    "_createTimeInMicros": NOW * 1_000_000,
    "pipeline": "release",
    "project": "retail",
    "trigger": "t",
    "repo": "r",
    "tag": "1.0",
    "message": "m",
    "properties": {"GERRIT_CHANGE_ID": "c"},
}
_OPERATION = {
    "id": "u-1",
    "status": "ACTIVE",
    "executionLink": "/codestream/api/executions/x-1",
    "pipelineName": "release",
    "summary": "please",
    "approvers": ["a"],
    "responderToken": "abcdef",
    "_requestedOnInMicros": NOW * 1_000_000,
}


def _page(*documents: dict[str, Any]) -> dict[str, Any]:
    links = [f"/codestream/api/things/{each['id']}" for each in documents]
    return {
        "count": len(documents),
        "totalCount": len(documents),
        "links": links,
        "documents": dict(zip(links, documents, strict=True)),
    }


_RUN = {
    "buildRunSeq": 11,
    "buildSeq": 3,
    "buildNo": 4,
    "runState": "RUNNING",
    "runType": "BUILD",
    "runDesc": "marker-1",
    "tagName": "1.0",
    "imageUrl": "registry:5000/acme/shop:1.0",
    "imageDigest": DIGEST,
    "imageSize": 123,
    "autotagUseYn": "N",
    "beginTime": "2026-11-27T08:00:00+0000",
    "endTime": "2026-11-27T08:01:00+0000",
    "buildStepRuns": [{"stepType": "USER_TASK", "stepState": "ERROR", "stepOrder": 1, "stepConfig": "{}"}],
    "buildRunLogs": [{"stepType": "USER_TASK", "stepState": "DONE", "stepOrder": 1, "log": "line\nline"}],
}
_TASK = {
    "id": "p-1",
    "name": "release",
    "status": 4,
    "last_trigger_at": NOW * 1000,
    "stages": [{"name": "s", "tasks": [{"name": "t", "type": "approval", "status": 5}]}],
}
_RECORD = {"id": 12, "pipeline_id": "p-1", "status": 2, "trigger_at": NOW * 1000, "trigger_user": "u"}
_BUILD = {
    "id": "b-1",
    "phase": "building",
    "started": "Fri, 27 Nov 2026 08:00:00 -0000",
    "tags": ["1.0"],
    "error": None,
    "archive_url": "https://host/a.tgz",
    "dockerfile_path": "/Dockerfile",
    "status": {},
    "trigger": None,
}
_TAG = {
    "name": "1.0",
    "manifest_digest": DIGEST,
    "start_ts": NOW,
    "last_modified": "Fri, 27 Nov 2026 08:00:00 -0000",
    "size": 5,
    "immutable": False,
}
_NOTIFICATION = {
    "uuid": "n-1",
    "event": "repo_push",
    "method": "webhook",
    "config": {"url": "https://host/hook"},
    "event_config": {},
    "title": "t",
    "number_of_failures": 0,
}
_REPORT = {
    "Layer": {
        "Features": [
            {"Name": "f", "Version": "1", "Vulnerabilities": [{"Name": "CVE-1", "Severity": "Low", "FixedBy": "2"}]}
        ]
    }
}


@dataclass(frozen=True)
class System:
    """:param documents: what the vendor would answer.
    :param routes: to the documents, for a vendor that answers as documented.
    :param field: of a state.
    :param words: of its states.
    :param refs: of every kind, with fields missing or odd at times.
    :param readers: of changes, for watchers; each makes a new one.
    """

    name: str
    connect: Callable[[str], ReleaseClient]
    documents: tuple[Any, ...]
    routes: tuple[Route, ...]
    field: str
    words: tuple[Any, ...]
    refs: tuple[dict[str, str], ...]
    intents: tuple[dict[str, Any], ...]
    login: Raw
    readers: tuple[Callable[[], Any], ...] = ()


def _options() -> dict[str, Any]:
    return {"attempts": 1, "timeout": 2.0, "max_answer_bytes": 1_000_000}


_JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"none"}', json.dumps({"exp": NOW + 10**6}).encode(), b"signature")
)

SYSTEMS = {
    "code_stream": System(
        "code_stream",
        lambda url: CodeStreamClient(url, refresh_token=SECRET, **_options()),
        (
            _EXECUTION,
            _EVENT,
            _OPERATION,
            _page(_EXECUTION, {**_EXECUTION, "id": "x-2"}),
            _page(_EVENT, {**_EVENT, "id": "e-2"}),
            _page(_OPERATION, {**_OPERATION, "id": "u-2", "status": "APPROVED"}),
            {"success": 1, "failure": 0, "errors": ["e", {"id": "u-1", "error": "e"}], "latestApiVersion": "1"},
        ),
        (
            Route(r"/executions/([^/]+)$", _EXECUTION, "id"),
            Route(r"/executions$", _page(_EXECUTION, {**_EXECUTION, "id": "x-2"})),
            Route(r"events/([^/]+)$", _EVENT, "id"),
            Route(r"events$", _page(_EVENT, {**_EVENT, "id": "e-2"})),
            Route(r"/user-operations/([^/]+)$", _OPERATION, "id"),
            Route(r"/user-operations$", _page(_OPERATION, {**_OPERATION, "id": "u-2"})),
        ),
        "status",
        ("RUNNING", "COMPLETED", "FAILED", "CANCELED", "WAITING", "ROLLING_BACK", "APPROVED", "REJECTED", "x-1", "x-2"),
        (
            {"system": "code_stream", "kind": "execution", "id": "x-1"},
            {"system": "code_stream", "kind": "execution", "id": "x-2"},
            {
                "system": "code_stream",
                "kind": "rerun",
                "id": "e-1",
                "event_type": "docker",
                "action": "rerun",
                "link_before": "",
                "index_before": "",
                "since": f"{NOW}",
                "start_by": f"{NOW + 600}",
                "start_timeout": "600",
            },
            {
                "system": "code_stream",
                "kind": "rerun",
                "id": "e-2",
                "event_type": "git",
                "action": "resume",
                "link_before": "/codestream/api/executions/x-1",
                "index_before": "7",
                "status_before": "FAILED",
                "resumed_before": "",
            },
            {"system": "code_stream", "kind": "event", "id": "", "event_type": "docker", "filters": '{"tag": "1.0"}'},
            {"system": "code_stream", "kind": "approval", "id": "", "execution_id": "x-1"},
            {"system": "code_stream", "kind": "approval", "id": "", "pipeline": "release"},
            {"system": "code_stream", "kind": "approval", "id": "u-1"},
            {"system": "code_stream", "kind": "answer", "id": "u-1"},
            {"system": "code_stream", "kind": "answer", "id": "u-2"},
        ),
        (
            {"kind": "execution", "marker": "marker-1", "since": NOW, "pipeline_id": "p-1"},
            {
                "kind": "rerun",
                "marker": "m",
                "since": NOW,
                "clock": "vendor",
                "event_type": "docker",
                "event_id": "e-1",
                "action": "rerun",
                "link_before": "",
                "index_before": "",
                "known_events": [],
                "known_executions": [],
                "start_timeout": 600,
            },
        ),
        raw(200, dump({"token": _JWT, "refresh_token": SECRET, "access_token": _JWT})),
        tuple(partial(EventChanges, event_type) for event_type in ("docker", "git", "gerrit")),
    ),
    "service_stage": System(
        "service_stage",
        lambda url: ServiceStageClient(
            url, region="r-1", project_id="p", iam_url=url, access_key="AKEXAMPLE", secret_key=SECRET, **_options()
        ),
        (
            _TASK,
            {"pipelines": [_TASK, {**_TASK, "id": "p-2"}]},
            {"records": [_RECORD, {**_RECORD, "id": 13}]},
            [_RECORD],
            _RECORD,
            {"error_code": "SVCSTG.00100433", "error_msg": "gone", "request_id": "r"},
            {"error_code": "APIGW.0101", "error_msg": "not there"},
            {"projects": [{"id": "p"}]},
        ),
        (
            Route(r"/records$", {"records": [_RECORD, {**_RECORD, "id": 13}]}),
            Route(r"/pipelines/([^/]+)$", _TASK, "id"),
            Route(r"/pipelines$", {"pipelines": [_TASK, {**_TASK, "id": "p-2"}]}),
        ),
        "status",
        (1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 14, "2", "4", "p-1", "p-2", 12, 13, NOW * 1000),
        tuple(
            {
                "system": "service_stage",
                "kind": "release",
                "id": number,
                "pipeline_id": "p-1",
                "action": action,
                "status_before": "3",
                "triggered_before": "",
                "since": f"{NOW}",
                "clock": "vendor",
            }
            for number, action in (("12", "start"), ("", "stop"), ("13", "rollback"), ("12", "stop"), ("x", "retry"))
        )
        + tuple(
            {"system": "service_stage", "kind": "approval", "id": "", "pipeline_id": pipeline_id}
            for pipeline_id in ("p-1", "p-2")
        ),
        tuple(
            {
                "kind": "release",
                "marker": "m",
                "since": NOW,
                "clock": "vendor",
                "pipeline_id": "p-1",
                "action": action,
                "newest_record": "11",
                "status_before": "3",
                "triggered_before": "",
            }
            for action in ("start", "retry")
        ),
        raw(201, dump({"token": {"project": {"id": "p"}}}), {"X-Subject-Token": _JWT}),
    ),
    "cocktail": System(
        "cocktail",
        lambda url: CocktailClient(url, token=SECRET, **_options()),
        (
            _RUN,
            [_RUN, {**_RUN, "buildRunSeq": 12, "runType": "CANCEL"}],
            {"result": [_RUN, {**_RUN, "buildRunSeq": 12}], "status": "ok"},
            {"result": _RUN, "status": "ok"},
            {"status": "error", "code": "CCBDW003000", "message": "no", "httpStatusCode": 500},
            {"status": "error", "code": "CCBDW013000", "message": "busy"},
            {"result": 5},
            {"buildSeq": 3, "buildName": "b", "autotagUseYn": "Y"},
        ),
        (
            Route(r"/run/(\d+)$", _RUN, "buildRunSeq"),
            Route(r"", {"result": [_RUN, {**_RUN, "buildRunSeq": 12}], "status": "ok"}),
        ),
        "runState",
        ("CREATED", "RUNNING", "DONE", "ERROR", "BUILD", "CANCEL", 11, 12, 3, "11"),
        (
            {"system": "cocktail", "kind": "build_run", "id": "11", "build_seq": "3", "tag": "1.0"},
            {"system": "cocktail", "kind": "build_run", "id": "12", "build_seq": "3", "tag": ""},
            {"system": "cocktail", "kind": "build_run", "id": "12", "build_seq": "", "tag": ""},
        ),
        ({"kind": "build_run", "marker": "marker-1", "since": NOW, "build_seq": "3", "tag": "1.0"},),
        raw(200, b"{}"),
    ),
    "quay": System(
        "quay",
        lambda url: QuayClient(url, token=SECRET, **_options()),
        (
            _BUILD,
            {"builds": [_BUILD, {**_BUILD, "id": "b-2", "phase": "complete"}]},
            {"tags": [_TAG, {**_TAG, "name": "1.1"}], "has_additional": False, "page": 1},
            {"tags": [_TAG], "has_additional": True, "page": 1},
            {"notifications": [_NOTIFICATION]},
            _NOTIFICATION,
            {"status": "scanned", "data": _REPORT},
            {"status": "unsupported", "data": None},
            {
                "digest": DIGEST,
                "is_manifest_list": True,
                "manifest_data": json.dumps({"manifests": [{"digest": DIGEST, "annotations": {}}]}),
            },
            {"start": 0, "total": 2, "logs": [{"message": "a\nb", "type": "error"}, {"message": "c"}]},
            {"labels": [{"id": "l", "key": "k", "value": "v"}], "label": {"id": "l"}},
            {"repositories": [{"name": "r"}], "next_page": "n"},
            {"error_type": "insufficient_scope", "detail": "no", "status": 403},
        ),
        (
            Route(r"/build/([^/]+)$", _BUILD, "id"),
            Route(r"/build/$", {"builds": [_BUILD, {**_BUILD, "id": "b-2"}]}),
            Route(r"/logs$", {"start": 0, "total": 1, "logs": [{"message": "c", "type": "error"}]}),
            Route(r"/tag/$", {"tags": [_TAG, {**_TAG, "name": "1.1"}], "has_additional": False, "page": 1}),
            Route(r"/security$", {"status": "scanned", "data": _REPORT}),
            Route(r"/manifest/", {"digest": DIGEST, "is_manifest_list": False}),
        ),
        "phase",
        ("waiting", "building", "complete", "error", "expired", "cancelled", "b-1", "b-2", "1.0", DIGEST, NOW),
        (
            {"system": "quay", "kind": "build", "id": "b-1", "repository": "acme/shop"},
            {"system": "quay", "kind": "build", "id": "b-2", "repository": "acme/shop"},
            {"system": "quay", "kind": "tag", "id": "1.0", "repository": "acme/shop", "tag": "1.0", "digest": ""},
            {"system": "quay", "kind": "tag", "id": "1.1", "repository": "acme/shop", "tag": "1.1", "digest": DIGEST},
            {
                "system": "quay",
                "kind": "scan",
                "id": "1.0",
                "repository": "acme/shop",
                "tag": "1.0",
                "digest": "",
                "max_severity": "High",
            },
        ),
        (
            {
                "kind": "build",
                "marker": "m",
                "since": NOW,
                "repository": "acme/shop",
                "archive_url": "https://host/a.tgz",
                "tags": ["1.0"],
                "dockerfile_path": "/Dockerfile",
                "builds_before": [],
            },
        ),
        raw(200, b"{}"),
        (partial(TagChanges, "acme/shop"),),
    ),
}


def refs_of(system: System) -> st.SearchStrategy[dict[str, str]]:
    @st.composite
    def refs(draw: st.DrawFn) -> dict[str, str]:
        ref = dict(draw(st.sampled_from(system.refs)))
        if draw(st.integers(0, 7)) == 0:
            name = draw(st.sampled_from(sorted(ref.keys() - {"system", "kind"})))
            # What the vendor told; it was cleaned then.
            ref[name] = storable_text(draw(texts))
        return ref

    return refs()


PLAUSIBLE: dict[str, tuple[Any, ...]] = {
    "repository": ("acme/shop",),
    "tag": ("1.0",),
    "tag_name": ("1.0",),
    "digest": (DIGEST,),
    "event": ("repo_push", "build_failure"),
    "method": ("webhook", "slack"),
    "config": ({"url": "https://host/hook"}, {}),
    "event_config": (None, {}, {"ref-regex": "("}),
    "event_type": ("docker", "git", "gerrit"),
    "wanted": ([], [Wanted(event="repo_push", method="webhook", config={"url": "https://host/hook"})]),
    "owner": ("release",),
    "action": ("start", "stop", "rerun", "resume", "cancel", "approval"),
    "archive_url": ("https://host/a.tgz", "https://b\u00fccher.example/\u00e4.tgz"),
    "tags": (["1.0"], [], ["a", "a"]),
    "selected_tasks": (None, {"s": ["t"]}, {}),
    "approval_type": (None, "agree"),
    "build_seq": (3, "3", 0),
    "build_run_seq": (11, "11"),
    "build_run_seqs": ([11], []),
    "build_id": ("b-1",),
    "uuid": ("n-1",),
    "pipeline_id": ("p-1",),
    "name_or_id": ("release", "p-1"),
    "execution_id": ("x-1",),
    "key": ("x-1", ("retail", "release")),
    "expiration": (None, datetime(2027, 1, 1, tzinfo=UTC), datetime.min.replace(tzinfo=UTC)),
    "since": (None, datetime(2026, 1, 1, tzinfo=UTC)),
    "limit": (None, 1, 5),
    "start": (0, 5),
    "offset": (0, 5),
    "visibility": ("private",),
    "namespace": ("acme",),
    "callback_url": (None, "https://host/callback"),
    "spec": ({"name": "a"},),
    "inputs": (None, {"a": "1"}),
    "pipeline": ({"name": "a"},),
    "reply": ({},),
    "build": ({"editType": "N"},),
    "edits": ({"editType": "U"},),
    "before": (None,),
    "moment": (0, 1_795_000_000),
    "message": (None, "yes"),
    "task_name": ("t",),
    "account_seq": (None, 1),
    "service_seq": (None, 1),
    "order": ("DESC",),
    "order_column": ("TAG",),
    "index": (7,),
    "approve": (True, False),
    "force": (True, False),
    "immutable": (True, False),
    "missing_ok": (True, False),
    "only_active": (True, False),
    "user_operation_ids": (["u-1"], "u-1", []),
    "name": ("a",),
    "text": ("a: b",),
    "value": ("v",),
    "what": ("all", "draft"),
    "latest": (True, False),
    "plan": ({"name": "a"},),
    "component": ({"name": "a"},),
    "parameters": (None, {"replica": 2}),
}
