"""What proves a success: the word of the contract, in the field of the state, in the document of that very execution.

Written from the vendors' contracts, without the tables of the clients.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_provider.clients.decoding import clean_bytes, loads
from airflow_provider.execution import Execution
from tests.fuzz.server import Seen


@dataclass(frozen=True)
class Told:
    """An object in an answer.

    :param key: under which its list has it, such as its link.
    :param path: of the request, if the object is the whole answer.
    """

    body: dict[str, Any]
    key: str = ""
    path: str = ""

    def text(self, name: str) -> str:
        value = self.body.get(name)
        return "" if value is None else str(value).strip()


Proof = Callable[[Execution, Told], bool]


def is_proven(found: Execution, seen: Sequence[Seen]) -> bool:
    """Whether one of the good answers has told of this success."""
    proves = PROOFS[found.ref["system"], found.ref["kind"]]
    return any(proves(found, told) for answer in seen if answer.status // 100 == 2 for told in _told(answer))


def _told(answer: Seen) -> Iterator[Told]:
    try:
        document = loads(clean_bytes(answer.body))
    except ValueError:
        return
    path = unquote(urlsplit(answer.target).path)
    if isinstance(document, dict):
        yield Told(document, path=path)
        if isinstance(result := document.get("result"), dict):
            yield Told(result, path=path)
    yield from _below(document, "")


def _below(value: Any, key: str) -> Iterator[Told]:
    if isinstance(value, dict):
        yield Told(value, key)
        for name, each in value.items():
            yield from _below(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from _below(each, key)


def _last(link: str) -> str:
    # Not urlsplit, which leaves out line feeds.
    return link.partition("?")[0].rstrip("/").rpartition("/")[2]


def _is_named(told: Told, name: str) -> bool:
    """Whether an object of Code Stream has this id, which may be in its link only."""
    own = told.text("id") or _last(told.text("_link"))
    return own.casefold() == name.strip().casefold() or (not own and bool(told.key) and _last(told.key) == name)


def _pipeline_execution(found: Execution, told: Told) -> bool:
    return _is_named(told, found.id) and told.text("status").upper() == "COMPLETED"


def _event(found: Execution, told: Told) -> bool:
    filters: dict[str, Any] = json.loads(found.ref.get("filters") or "{}")
    return _is_named(told, found.id) and all(
        told.text(name) == value for name, value in filters.items() if isinstance(value, str)
    )


def _approval(found: Execution, told: Told) -> bool:
    if not _is_named(told, found.id):
        return False
    if told.path.casefold().endswith(f"/user-operations/{found.id.casefold()}"):
        # One that was asked for by its id is there, whatever has become of it.
        return True
    if execution_id := found.ref.get("execution_id"):
        asking = (_last(told.text("executionLink")), told.text("executionId"))
        return told.text("status").upper() == "ACTIVE" and execution_id in asking
    if pipeline := found.ref.get("pipeline"):
        asking = (told.text("pipelineName"), told.text("pipelineId"))
        return told.text("status").upper() == "ACTIVE" and pipeline in asking
    return True


def _answer(found: Execution, told: Told) -> bool:
    return _is_named(told, found.id) and told.text("status").upper() == "APPROVED"


RELEASED = {"rollback": ("9", "11"), "stop": ("2", "3", "7", "9", "11", "12")}
"""The statuses that are a success of these actions; of the others, released (2) and skipped (9)."""


def _release(found: Execution, told: Told) -> bool:
    action = found.ref["action"]
    if action == "stop" and not found.status:
        # A later execution shows that it has ended, and so does a later trigger of its task.
        is_later = told.text("id").isdecimal() and found.id.isdecimal() and int(told.text("id")) > int(found.id)
        return is_later or told.text("id") == found.ref["pipeline_id"]
    names = (found.id, found.ref["pipeline_id"])
    return told.text("id") in names and told.text("status") in RELEASED.get(action, ("2", "9"))


def _release_approval(found: Execution, told: Told) -> bool:
    return told.text("id") == found.ref["pipeline_id"] and told.text("status") == "5"


def _build_run(found: Execution, told: Told) -> bool:
    number = told.body.get("buildRunSeq")
    is_same = not isinstance(number, bool) and str(number).partition(".")[0].strip() == found.id
    return is_same and told.text("runState").upper() == "DONE" and told.text("runType").upper() in ("BUILD", "")


def _build(found: Execution, told: Told) -> bool:
    is_asked_for = f"/build/{found.id}" in told.path
    return told.text("phase") == "complete" and (is_asked_for or told.text("id") == found.id)


def _tag(found: Execution, told: Told) -> bool:
    digest = found.ref["digest"]
    return told.text("name") == found.ref["tag"] and (not digest or told.text("manifest_digest") == digest)


def _scan(found: Execution, told: Told) -> bool:
    return told.path.endswith("/security") and told.text("status") == "scanned"


def _never(found: Execution, told: Told) -> bool:
    return False


PROOFS: dict[tuple[str, str], Proof] = {
    ("code_stream", "execution"): _pipeline_execution,
    # Its success is that of an execution.
    ("code_stream", "rerun"): _never,
    ("code_stream", "event"): _event,
    ("code_stream", "approval"): _approval,
    ("code_stream", "answer"): _answer,
    ("service_stage", "release"): _release,
    ("service_stage", "approval"): _release_approval,
    ("cocktail", "build_run"): _build_run,
    ("quay", "build"): _build,
    ("quay", "tag"): _tag,
    ("quay", "scan"): _scan,
}
