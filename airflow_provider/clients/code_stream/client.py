"""The Code Stream client: what all systems do alike, over the operations of ``api.py``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from airflow_provider.clients.base import Intent, Observation, concerns_one_execution
from airflow_provider.clients.code_stream.api import NEWEST_EXECUTION_FIRST, NEWEST_FIRST, CodeStreamApi
from airflow_provider.clients.code_stream.calls import PAGE, Page, Row
from airflow_provider.clients.code_stream.events import (
    EVENT_PATHS,
    came_from_rerun,
    delivery_error,
    event_time,
    has_moved,
    linked_execution,
    matches,
)
from airflow_provider.clients.code_stream.executions import execution_ref, state_of
from airflow_provider.clients.code_stream.fields import (
    Json,
    as_text,
    first_time,
    id_from_link,
    id_of,
    parse_time,
    without_secrets,
)
from airflow_provider.clients.urls import path
from airflow_provider.exceptions import (
    BadRequestError,
    Call,
    ConflictError,
    NotFoundError,
    ReleasePipelineError,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

LONG_PAGE = 1000
"""Rows asked for at once where many executions are looked up; a server that gives fewer is read on."""
CLOCK_SKEW = timedelta(minutes=10)


class _ListedExecution(msgspec.Struct, rename={"request_time": "_requestTimeInMicros", "message": "statusMessage"}):
    """What a wait needs of a listed execution; the rest of a long list is not decoded."""

    status: Any = None
    message: Any = None
    request_time: Any = None


_EXECUTIONS = msgspec.json.Decoder(Page[_ListedExecution])
_EVENTS = msgspec.json.Decoder(Page[dict[str, Any]])


class CodeStreamClient(CodeStreamApi):
    """Code Stream in the words of all systems. Constructor and operations: :class:`CodeStreamApi`.

    References are of kind ``execution``; ``rerun`` (an event that leads to an execution), ``event`` (one that is to
    come), ``approval`` (a user operation that is to come).
    """

    def check(self) -> str:
        version = self.about().get("latestApiVersion")
        self._calls.get("/pipelines", {"$top": 1})
        return f"Code Stream, API version {version}, at {self.transport.base_url}"

    def look(self, ref: ExecutionRef) -> Execution:
        kind = ref["kind"]
        if kind == "execution":
            return self._execution(self.get_execution(ref["id"]))
        if kind == "rerun":
            return self._look_at_rerun(ref, self.get_event(ref["event_type"], ref["id"]))
        if kind == "event":
            return self._look_for_event(ref, self._events(ref["event_type"], since=self._since(ref)))
        if kind == "approval":
            return self._look_for_approval(ref, None if ref["id"] else self._active_user_operations())
        raise self.bad_request(f"kind must be execution, rerun, event or approval, but is {kind!r}")

    def fetch(self, refs: Sequence[ExecutionRef]) -> list[Observation]:
        executions = self._listed_executions([ref["id"] for ref in refs if ref["kind"] == "execution"])
        events = self._listed_rerun_events([ref for ref in refs if ref["kind"] == "rerun"])
        newest = self._newest_events([ref for ref in refs if ref["kind"] == "event"])
        pending: list[Json] | None = None
        seen: list[Observation] = []
        for ref in refs:
            try:
                if ref["kind"] == "execution" and ref["id"] in executions:
                    seen.append(executions[ref["id"]])
                elif ref["kind"] == "rerun" and ref["id"] in events:
                    seen.append(self._look_at_rerun(ref, events[ref["id"]]))
                elif ref["kind"] == "event" and ref["event_type"] in newest:
                    seen.append(self._look_for_event(ref, newest[ref["event_type"]]))
                elif ref["kind"] == "approval" and not ref["id"]:
                    pending = self._active_user_operations() if pending is None else pending
                    seen.append(self._look_for_approval(ref, pending))
                else:
                    seen.append(self.look(ref))
            except ReleasePipelineError as error:
                if not concerns_one_execution(error):
                    raise
                seen.append(error)
        return seen

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        if ref["kind"] == "rerun":
            ref = self.look(ref).ref
            if ref["kind"] == "rerun":
                raise ConflictError(
                    f"nothing to cancel: event {ref['id']} has not led to an execution yet",
                    call=Call(system=self.system),
                )
        if ref["kind"] != "execution":
            raise self.bad_request(f"what waits for an {ref['kind']} cannot be canceled")
        try:
            self.act_on_execution(ref["id"], "cancel", reason)
        except (BadRequestError, ConflictError, ServerUnavailableError, UnexpectedResponseError):
            if not self._is_ending(ref["id"]):
                raise

    def find_started(self, intent: Intent) -> Execution | None:
        if intent["kind"] == "rerun":
            execution = self.look(self.awaited_by(intent))
            return execution if execution.ref["kind"] == "execution" else None
        return self._find_marked(str(intent["pipeline_id"]), str(intent["marker"]), float(intent["since"]))

    def before_rerun(self, event_type: str, event_id: str, action: str = "rerun") -> dict[str, str]:
        """The intent of a rerun or resume: what tells later whether the event led to another execution.

        :raises ConflictError: the execution that it led to before is still running.
        """
        if action not in self.event_actions:
            raise self.bad_request(f"action must be rerun or resume, but is {action!r}")
        event = self.get_event(event_type, event_id)
        if linked := linked_execution(event):
            with contextlib.suppress(NotFoundError):
                self._check_over(self.look(execution_ref(linked)), action)
        return {
            "kind": "rerun",
            "event_type": event_type,
            "event_id": event_id,
            "action": action,
            "link_before": as_text(event.get("executionLink")),
            "index_before": as_text(event.get("executionIndex")),
        }

    def awaited_by(self, intent: Intent) -> ExecutionRef:
        """The reference of what a rerun with this intent leads to.

        :param intent: with ``since``, the epoch seconds before the rerun, also the new event is found that some
            servers create instead of changing the old one.
        """
        names = ("event_type", "action", "link_before", "index_before", "since")
        texts = {name: as_text(intent.get(name)) for name in names}
        return {"system": self.system, "kind": "rerun", "id": str(intent["event_id"]), **texts}

    def follow_rerun(self, intent: Intent, event: Json) -> Execution:
        """What a rerun led to, as far as the answer to it tells: asks for nothing more, so that nothing can fail.

        :param event: the answer, which may still point to the old execution.
        """
        ref = self.awaited_by(intent)
        if not has_moved(event, ref):
            return Execution(ref, ExecutionState.QUEUED, status="")
        execution_id = linked_execution(event)
        return Execution(
            execution_ref(execution_id), ExecutionState.QUEUED, status="", url=self.execution_url(execution_id)
        )

    def _check_over(self, execution: Execution, action: str) -> None:
        may_go_on = action == "resume" and execution.state is ExecutionState.PAUSED
        if not execution.state.is_terminal and not may_go_on:
            raise ConflictError(
                f"the event led to execution {execution.id}, which is still {execution.status}",
                call=Call(system=self.system),
            )

    def find_pending_approval(self, execution_id: str) -> str:
        """The id of the user operation that an execution waits for.

        :raises ConflictError: it waits for none now.
        """
        waiting = self.look({"system": self.system, "kind": "approval", "id": "", "execution_id": execution_id})
        if waiting.state is not ExecutionState.SUCCEEDED:
            raise ConflictError(
                waiting.message or f"execution {execution_id} waits for no approval now", call=Call(system=self.system)
            )
        return waiting.id

    def _find_marked(self, pipeline_id: str, marker: str, since: float) -> Execution | None:
        if not marker:
            raise self.bad_request("marker must not be empty")
        oldest = datetime.fromtimestamp(since, UTC) - CLOCK_SKEW
        older = 0
        for document in self._calls.rows(
            path("/pipelines/{pipeline_id}/executions", pipeline_id=pipeline_id),
            items="/executions",
            order=NEWEST_EXECUTION_FIRST,
        ):
            requested = first_time(document, "_requestTimeInMicros", "_createTimeInMicros", "createdAt")
            if requested and requested < oldest:
                older += 1
                if older >= PAGE:
                    return None
            is_own = not document.get("_nested") and not document.get("_rollback")
            if is_own and marker in str(document.get("comments") or ""):
                return self._execution(document)
        return None

    def _is_ending(self, execution_id: str) -> bool:
        try:
            document = self._calls.get(path("/executions/{execution_id}", execution_id=execution_id), attempts=1)
        except ReleasePipelineError:
            return False
        return state_of(document).is_terminal or document.get("status") == "CANCELING"

    # --- a rerun event that leads to an execution ---

    def _look_at_rerun(self, ref: ExecutionRef, event: Json) -> Execution:
        if has_moved(event, ref):
            return self.look(execution_ref(linked_execution(event)))
        since = parse_time(ref.get("since"))
        if ref["action"] == "resume":
            if before := id_from_link(ref["link_before"]):
                document = self.get_execution(before)
                if _was_resumed(document, since):
                    return self._execution(document)
        elif since:
            event_type = ref["event_type"]
            younger = [
                each for each in self.list_events(event_type, since=since) if came_from_rerun(event_type, each, event)
            ]
            if younger and linked_execution(younger[-1]):
                return self.look(execution_ref(linked_execution(younger[-1])))
        return Execution(
            dict(ref),
            ExecutionState.QUEUED,
            status=str(event.get("executionStatus") or ""),
            message=delivery_error(ref["event_type"], event),
        )

    # --- an event that is to come ---

    def _look_for_event(self, ref: ExecutionRef, newest_first: Iterable[Json]) -> Execution:
        filters = self._filters(ref)
        since = self._since(ref)
        event = next((each for each in newest_first if matches(each, filters, since)), None)
        if event is None:
            return Execution(dict(ref), ExecutionState.RUNNING, status="")
        linked = linked_execution(event)
        return Execution(
            {**ref, "id": id_of(event)},
            ExecutionState.SUCCEEDED,
            status=str(event.get("executionStatus") or ""),
            url=self.execution_url(linked) if linked else None,
            message=delivery_error(ref["event_type"], event),
            outputs=without_secrets(event),
            started_at=event_time(event),
            finished_at=event_time(event),
        )

    def _filters(self, ref: ExecutionRef) -> Mapping[str, Any]:
        try:
            filters = json.loads(ref.get("filters") or "{}")
        except ValueError:
            filters = None
        if not isinstance(filters, dict):
            raise self.bad_request(f"filters must be a JSON object, but is {ref.get('filters')!r}")
        return filters

    def _since(self, ref: ExecutionRef) -> datetime | None:
        text = ref.get("since")
        moment = parse_time(text)
        if text and moment is None:
            raise self.bad_request(f"since must be a date and time with its zone, but is {text!r}")
        return moment

    # --- an approval that is to come ---

    def _active_user_operations(self) -> list[Json]:
        found = self.list_user_operations("status eq 'ACTIVE'")
        return [each for each in found if str(each.get("status")).upper() == "ACTIVE"]

    def _look_for_approval(self, ref: ExecutionRef, pending: Iterable[Json] | None) -> Execution:
        if pending is None:
            operation: Json | None = self.get_user_operation(ref["id"])
        else:
            operation = next((each for each in pending if _asks_for(each, ref)), None)
        if operation is not None:
            execution_id = _execution_of(operation)
            return Execution(
                {**ref, "id": id_of(operation)},
                ExecutionState.SUCCEEDED,
                status=str(operation.get("status") or ""),
                url=self.execution_url(execution_id) if execution_id else None,
                message=operation.get("summary") or None,
                outputs=without_secrets(operation),
                started_at=first_time(operation, "_requestedOnInMicros", "_createTimeInMicros", "createdAt"),
            )
        if awaited := ref.get("execution_id"):
            execution = self.look(execution_ref(awaited))
            if execution.state.is_terminal:
                return Execution(
                    dict(ref),
                    ExecutionState.FAILED,
                    status=execution.status,
                    url=execution.url,
                    message=f"execution {awaited} ended ({execution.status}) and waits for no approval",
                )
        return Execution(dict(ref), ExecutionState.RUNNING, status="")

    # --- many at once ---

    def _listed_executions(self, wanted: Sequence[str]) -> dict[str, Execution]:
        """Those that a list of the newest shows going on; of those that ended, a list tells too little."""
        top = PAGE if len(wanted) <= PAGE // 2 else LONG_PAGE
        listed = self._listed("/executions", NEWEST_EXECUTION_FIRST, wanted, _EXECUTIONS, top)
        found = {}
        for execution_id, row in listed.items():
            document = {
                "id": execution_id,
                "status": row.status,
                "statusMessage": row.message,
                "_requestTimeInMicros": row.request_time,
            }
            if not state_of(document).is_terminal:
                found[execution_id] = self._execution(document)
        return found

    def _listed_rerun_events(self, refs: Sequence[ExecutionRef]) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for event_type, root in EVENT_PATHS.items():
            wanted = [ref["id"] for ref in refs if ref["event_type"] == event_type]
            found |= self._listed(root, NEWEST_FIRST, wanted, _EVENTS, PAGE)
        return found

    def _newest_events(self, refs: Sequence[ExecutionRef]) -> dict[str, list[Json]]:
        found = {}
        for event_type in EVENT_PATHS:
            same = [ref for ref in refs if ref["event_type"] == event_type]
            moments = [parse_time(ref.get("since")) for ref in same]
            known = [moment for moment in moments if moment]
            if len(same) > 1:
                with _whole_connection_only():
                    found[event_type] = self.list_events(
                        event_type, since=min(known) if len(known) == len(moments) else None
                    )
        return found

    def _listed(
        self, root: str, order: str, wanted: Sequence[str], decoder: msgspec.json.Decoder[Page[Row]], top: int
    ) -> dict[str, Row]:
        """What the newest pages of a list tell of two or more wanted rows, read on while they tell anything."""
        missing, found = set(wanted), dict[str, Row]()
        if len(missing) < 2:
            return found
        with _whole_connection_only():
            for page in self._calls.pages(root, {"$orderby": order}, decoder, top):
                news = {row_id: row for row_id, row in page if row is not None and row_id in missing}
                found |= news
                missing -= news.keys()
                if not news or len(missing) < 2:
                    break
        return found


@contextlib.contextmanager
def _whole_connection_only() -> Iterator[None]:
    """Pass on errors that concern all; after another one of a list, its rows are asked for one by one."""
    try:
        yield
    except ReleasePipelineError as error:
        if not concerns_one_execution(error):
            raise


def _was_resumed(document: Json, since: datetime | None) -> bool:
    state = state_of(document)
    if not state.is_terminal or state is ExecutionState.SUCCEEDED:
        return True
    resumed = parse_time(document.get("resumed_at"))
    return bool(since and resumed and resumed >= since)


def _execution_of(operation: Json) -> str:
    """The link, where there is one: the vendor's own example has another id beside it."""
    return id_from_link(operation.get("executionLink")) or str(operation.get("executionId") or "")


def _asks_for(operation: Json, ref: ExecutionRef) -> bool:
    if execution_id := ref.get("execution_id"):
        return _execution_of(operation) == execution_id
    pipeline = ref.get("pipeline")
    return bool(pipeline) and pipeline in (operation.get("pipelineName"), operation.get("pipelineId"))
