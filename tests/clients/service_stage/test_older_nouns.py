"""Release plans and components of ServiceStage over HTTP: each call is sent once, signed, to the vendor's own path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.exceptions import BadRequestError, NotFoundError, ServerUnavailableError, UnexpectedResponseError
from tests.support.scripted import Scripted

PROJECT = "77b6a44cba5143ab91d13ab9a8ff44fd"
CAS = f"/v3/{PROJECT}/cas"
ONE = f"{CAS}/applications/a%20b/components/c-1"
PLAN = {"name": "release-1zws2j", "action": "create", "components": [{"seq": 1, "component_id": "c-1", "name": "web"}]}
JOB = {"job_id": "JOBa6346016", "component_id": "c-1"}

Call = Callable[[ServiceStageClient], Any]


@pytest.fixture
def client(scripted: Scripted) -> Iterator[ServiceStageClient]:
    with ServiceStageClient(
        scripted.url, project_id=PROJECT, access_key="AKEXAMPLE0000000TEST", secret_key="sk-example-0000000000000000"
    ) as client:
        yield client


READS: list[tuple[str, Call, str, Any, Any]] = [
    ("plans", lambda c: c.release_plans.list(), f"{CAS}/release-plans", {"count": 1, "release_plans": [PLAN]}, [PLAN]),
    ("plan", lambda c: c.release_plans.get("p"), f"{CAS}/release-plans/p", PLAN, PLAN),
    (
        "deployment",
        lambda c: c.release_plans.get_deployment("p"),
        f"{CAS}/release-plans/p/deploy-info",
        {"id": "p", "components": []},
        {"id": "p", "components": []},
    ),
    (
        "components",
        lambda c: c.components.list(),
        f"{CAS}/components",
        {"count": 1, "components": [{"id": "c-1"}]},
        [{"id": "c-1"}],
    ),
    (
        "components of an application",
        lambda c: c.components.list("a b"),
        f"{CAS}/applications/a%20b/components",
        {"components": []},
        [],
    ),
    ("component", lambda c: c.components.get("a b", "c-1"), ONE, {"id": "c-1"}, {"id": "c-1"}),
    ("records", lambda c: c.components.list_records("a b", "c-1"), f"{ONE}/records", {"records": []}, []),
    (
        "job",
        lambda c: c.components.get_job("j"),
        f"{CAS}/jobs/j",
        {"job": {"execution_status": "RUNNING"}},
        {"job": {"execution_status": "RUNNING"}},
    ),
]


@pytest.mark.parametrize(("call", "path", "answer", "wanted"), [each[1:] for each in READS], ids=[r[0] for r in READS])
def test_what_is_read_comes_from_its_path_as_the_vendor_documents_it(
    client: ServiceStageClient, scripted: Scripted, call: Call, path: str, answer: Any, wanted: Any
) -> None:
    scripted.always = (200, {}, answer)
    assert call(client) == wanted
    (request,) = scripted.requests
    assert (request.method, request.path) == ("GET", path)
    assert request.headers["X-Project-Id"] == PROJECT
    assert request.headers["Authorization"].startswith("SDK-HMAC-SHA256 ")


WRITES: list[tuple[str, Call, str, str, Any, Any]] = [
    ("create a plan", lambda c: c.release_plans.create(PLAN), "POST", f"{CAS}/release-plans", PLAN, {"id": "p"}),
    ("change a plan", lambda c: c.release_plans.update("p", PLAN), "PUT", f"{CAS}/release-plans/p", PLAN, None),
    ("delete a plan", lambda c: c.release_plans.delete("p"), "DELETE", f"{CAS}/release-plans/p", None, None),
    ("execute", lambda c: c.release_plans.execute("p"), "POST", f"{CAS}/release-plans/p/execute", {}, None),
    ("roll back", lambda c: c.release_plans.rollback("p"), "POST", f"{CAS}/release-plans/p/rollback", {}, None),
    ("abort", lambda c: c.release_plans.abort("p"), "POST", f"{CAS}/release-plans/p/abort", {}, None),
    (
        "create a component",
        lambda c: c.components.create("a b", {"name": "web"}),
        "POST",
        f"{CAS}/applications/a%20b/components",
        {"name": "web"},
        JOB,
    ),
    ("change", lambda c: c.components.update("a b", "c-1", {"replica": 2}), "PUT", ONE, {"replica": 2}, JOB),
    ("delete", lambda c: c.components.delete("a b", "c-1"), "DELETE", ONE, None, None),
    (
        "scale",
        lambda c: c.components.act("a b", "c-1", "scale", {"replica": 2}),
        "POST",
        f"{ONE}/action",
        {"action": "scale", "parameters": {"replica": 2}},
        JOB,
    ),
]


@pytest.mark.parametrize(
    ("call", "method", "path", "body", "answer"), [each[1:] for each in WRITES], ids=[w[0] for w in WRITES]
)
def test_what_is_written_is_sent_once_to_its_path(
    client: ServiceStageClient, scripted: Scripted, call: Call, method: str, path: str, body: Any, answer: Any
) -> None:
    scripted.always = (200, {}, answer)
    assert call(client) == answer
    (request,) = scripted.requests
    assert (request.method, request.path) == (method, path)
    assert (request.json if request.body else None) == body


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.release_plans.execute("p"),
        lambda c: c.release_plans.rollback("p"),
        lambda c: c.components.create("a", {}),
        lambda c: c.components.act("a", "c", "start"),
    ],
    ids=["execute", "roll back", "create", "act"],
)
def test_what_starts_something_is_not_sent_again_by_itself(
    client: ServiceStageClient, scripted: Scripted, call: Call
) -> None:
    scripted.always = (429, {"Retry-After": "0"}, {"error_code": "APIGW.0308", "error_msg": "slower"})
    with pytest.raises(Exception, match="slower"):
        call(client)
    assert len(scripted.requests) == 1
    scripted.always = (503, {}, None)
    with pytest.raises(ServerUnavailableError):
        call(client)
    assert len(scripted.requests) == 2


def test_bad_names_are_refused_before_anything_is_sent(client: ServiceStageClient, scripted: Scripted) -> None:
    for call in (
        lambda: client.release_plans.execute(""),
        lambda: client.release_plans.get(".."),
        lambda: client.components.get("", "c"),
        lambda: client.components.act("a", "c", " "),
        lambda: client.components.get_job(""),
    ):
        with pytest.raises(BadRequestError):
            call()
    assert scripted.requests == []


def test_errors_are_raised_by_cause(client: ServiceStageClient, scripted: Scripted) -> None:
    scripted.script = [(404, {}, {"error_code": "SVCSTG.00100433", "error_msg": "no such plan"}), (200, {}, {"a": 1})]
    with pytest.raises(NotFoundError, match="no such plan"):
        client.release_plans.get("p")
    with pytest.raises(UnexpectedResponseError, match="a list of release_plans"):
        client.release_plans.list()
