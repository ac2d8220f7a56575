"""The Code Stream client: what all systems do alike, over the operations of ``api.py``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from airflow_provider.clients.code_stream.api import NEWEST_EXECUTION_FIRST
from airflow_provider.clients.code_stream.awaited import Awaited, is_watched_for_its_answer
from airflow_provider.clients.code_stream.calls import PAGE, Decode, Page
from airflow_provider.clients.code_stream.executions import MAY_BE_ROLLED_BACK, request_time, state_of
from airflow_provider.clients.code_stream.feed import Feed
from airflow_provider.clients.code_stream.fields import Json
from airflow_provider.clients.code_stream.lookup import Lookup
from airflow_provider.clients.code_stream.watch import Watch
from airflow_provider.clients.decoding import decoder
from airflow_provider.clients.memory import Doubts
from airflow_provider.clients.urls import path
from airflow_provider.clients.waitable import Found, Intent
from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import (
    BadRequestError,
    Call,
    ConflictError,
    Effect,
    ReleasePipelineError,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

LONG_PAGE = 1000
"""Rows asked for at once where many executions are looked up; a server that gives fewer is read on."""
CLOCK_SKEW = timedelta(minutes=10)
NOBODY_ANSWERS = ("CANCELED", "EXPIRED")
"""Statuses of a user operation that has ended without an answer."""


class _ListedExecution(msgspec.Struct, rename={"request_time": "_requestTimeInMicros", "message": "statusMessage"}):
    """What a wait needs of a listed execution; the rest of a long list is not decoded."""

    status: Any = None
    message: Any = None
    request_time: Any = None


_EXECUTIONS: Decode[_ListedExecution] = decoder(Page[_ListedExecution])


class CodeStreamClient(Awaited):
    """Code Stream in the words of all systems. Constructor and operations: :class:`CodeStreamApi`.

    References are of kind ``execution``; ``rerun`` (an event that leads to an execution), ``event`` (one that is to
    come), ``approval`` (a user operation that is to come).
    """

    def check(self) -> str:
        version = self.about().get("latestApiVersion")
        self._calls.get("/pipelines", {"$top": 1})
        return f"Code Stream, API version {version}, at {self.transport.base_url}"

    def _observe(self, ref: ExecutionRef) -> Execution:
        kind = ref["kind"]
        if kind == "execution":
            return self._judged(self.get_execution(ref["id"]))
        if kind == "rerun":
            event = self.get_event(ref["event_type"], ref["id"])
            return self._look_at_rerun(ref, event, self._events_since([ref]))
        if kind == "event":
            return self._look_for_event(ref, self._events(ref["event_type"], since=self._since(ref)))
        if kind == "approval":
            return self._look_for_approval(ref)
        raise self.bad_request(f"kind must be execution, rerun, event or approval, but is {kind!r}")

    def shared_request(self, ref: ExecutionRef) -> str | None:
        kind = ref["kind"]
        if kind == "approval":
            return None if ref["id"] and not is_watched_for_its_answer(ref) else "approvals"
        return "executions" if kind == "execution" else f"{kind}: {ref.get('event_type')} events"

    def _fetch(self, refs: Sequence[ExecutionRef]) -> list[Found]:
        ways: dict[str, Callable[[Sequence[ExecutionRef]], Sequence[Found]]] = {
            "execution": self._watch.fetch,
            "rerun": self._fetch_reruns,
            "event": self._fetch_events,
            "approval": self._fetch_approvals,
        }
        shares: dict[str, list[int]] = {}
        for place, ref in enumerate(refs):
            is_known = ref["kind"] == "approval" and ref["id"] and not is_watched_for_its_answer(ref)
            shares.setdefault("" if is_known else ref["kind"], []).append(place)
        seen: list[Found] = [None] * len(refs)
        for kind, places in shares.items():
            fetch = ways.get(kind, super()._fetch)
            for place, each in zip(places, fetch([refs[place] for place in places]), strict=True):
                seen[place] = each
        return seen

    def _state_of_answer(self, status: str) -> ExecutionState:
        if status.upper() == "ACTIVE":
            return ExecutionState.WAITING
        if self._words.is_taken("approve", status):
            return ExecutionState.SUCCEEDED
        if self._words.is_taken("reject", status):
            return ExecutionState.FAILED
        return ExecutionState.CANCELED if status.upper() in NOBODY_ANSWERS else ExecutionState.UNKNOWN

    def _cancel(self, ref: ExecutionRef, reason: str) -> None:
        if ref["kind"] == "rerun":
            ref = self.look(ref).ref
            if ref["kind"] == "rerun":
                # It may show in a moment: whoever cancels should try again then.
                raise ConflictError(
                    f"nothing to cancel: event {ref['id']} has not led to an execution yet",
                    call=Call(system=self.system),
                    effect=Effect.NONE,
                )
        if ref["kind"] != "execution":
            raise self.bad_request(f"what waits for an {ref['kind']} cannot be canceled")
        if self._is_ending(ref["id"]):
            return
        try:
            self.act_on_execution(ref["id"], "cancel", reason)
        except (BadRequestError, ConflictError, ServerUnavailableError, UnexpectedResponseError):
            with suppress(ReleasePipelineError):
                if self._is_ending(ref["id"]):
                    return
            raise

    def needs_cancel(self, execution: Execution) -> bool:
        """A paused one does: anybody can resume it. One that is being canceled needs no second cancel."""
        return super().needs_cancel(execution) and execution.status.upper() != "CANCELING"

    def is_marked(self, intent: Intent) -> bool:
        return str(intent["kind"]) == "execution"

    def _find_started(self, intent: Intent) -> list[Execution]:
        if intent["kind"] == "rerun":
            return self._find_rerun(intent)
        return self._find_marked(str(intent["pipeline_id"]), str(intent["marker"]), float(intent["since"]))

    def _find_marked(self, pipeline_id: str, marker: str, since: float) -> list[Execution]:
        if not marker:
            raise self.bad_request("marker must not be empty")
        oldest = datetime.fromtimestamp(since, UTC) - CLOCK_SKEW
        older = 0
        found: list[Execution] = []
        for document in self._calls.rows(
            path("/pipelines/{pipeline_id}/executions", pipeline_id=pipeline_id),
            items="/executions",
            order=NEWEST_EXECUTION_FIRST,
        ):
            requested = request_time(document)
            if requested and requested < oldest:
                older += 1
                if older >= PAGE:
                    break
            is_own = not document.get("_nested") and not document.get("_rollback")
            if is_own and marker in str(document.get("comments") or ""):
                found.insert(0, self._execution(document))
        return sorted(found, key=lambda each: each.started_at or oldest)

    def _is_ending(self, execution_id: str) -> bool:
        """Whether it is over or being canceled."""
        document = self._calls.get(path("/executions/{execution_id}", execution_id=execution_id), attempts=1)
        return not self.needs_cancel(self._execution(document))

    def settling_of(self, execution: Execution) -> float:
        # From there it may be rolled back, and is over only then.
        may_go_on = execution.ref.get("kind") == "execution" and execution.status.upper() == MAY_BE_ROLLED_BACK
        return DURATIONS.failed_settling if may_go_on else 0.0

    @functools.cached_property
    def _watch(self) -> Watch:
        lookup = Lookup(self._calls, self.get_execution)
        return Watch(Feed(self._calls), lookup, self._receipts, self._judged, self._listed_executions)

    @functools.cached_property
    def _doubts(self) -> Doubts:
        return Doubts()

    def _judged(self, document: Json) -> Execution:
        """As a wait is to see it: what has FAILED may be rolled back, and is over only then."""
        seen = self._execution(document)
        if not seen.state.is_terminal:
            self._doubts.note_going_on(seen.id)
        elif (settling := self.settling_of(seen)) and not self._doubts.is_believed(seen.id, settling):
            return replace(seen, state=ExecutionState.RUNNING, finished_at=None, rejected=None)
        return seen

    def _listed_executions(self, wanted: Sequence[str]) -> dict[str, Json]:
        """Those that a list of the newest shows going on; of those that ended, a list tells too little."""
        top = PAGE if len(wanted) <= PAGE // 2 else LONG_PAGE
        found = self._calls.newest("/executions", NEWEST_EXECUTION_FIRST, wanted, _EXECUTIONS, top)
        documents = {
            execution_id: {
                "id": execution_id,
                "status": row.status,
                "statusMessage": row.message,
                "_requestTimeInMicros": row.request_time,
            }
            for execution_id, row in found.items()
        }
        return {each: document for each, document in documents.items() if not state_of(document).is_terminal}
