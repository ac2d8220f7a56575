"""References of reruns of an event, which hold what existed before the rerun. No I/O."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta

from airflow_provider.clients.code_stream.event_document import delivery_error
from airflow_provider.clients.code_stream.execution_document import request_time, state_of
from airflow_provider.clients.code_stream.fields import Document, as_text, id_from_link, id_of, parse_time
from airflow_provider.clients.code_stream.references import RERUN, SYSTEM
from airflow_provider.clients.waitable import Intent
from airflow_provider.core.durations import DURATIONS
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

CLOCK_TOLERANCE = timedelta(seconds=DURATIONS.clock_tolerance)
"""By how much two machines' clocks may differ, and thus the times of a rerun and of its execution."""

BEFORE_RESUME = {"status_before": "status", "resumed_before": "resumed_at"}
"""The fields of an execution that show whether it was resumed, by their names in an intent."""

_PASSED_ON = (
    "event_type",
    "action",
    "link_before",
    "index_before",
    "status_before",
    "resumed_before",
    "since",
    "start_timeout",
)
_PASSED_ON_AS_JSON = ("known_events", "known_executions")


def rerun_reference(intent: Intent, server_time: float | None) -> ExecutionRef:
    """:param server_time: epoch seconds by the server's clock, if it is known."""
    texts = {name: as_text(intent[name]) for name in _PASSED_ON if name in intent}
    lists = {name: json.dumps(intent[name]) for name in _PASSED_ON_AS_JSON if name in intent}
    ref = {"system": SYSTEM, "kind": RERUN, "id": str(intent["event_id"]), **texts, **lists}
    if "since" in intent:
        ref |= time_limit(intent, _begun(intent, server_time))
    return ref


def time_limit(intent: Intent, begun: float) -> dict[str, str]:
    """When a rerun that was sent at ``begun``, by this machine's clock, must have led to an execution."""
    seconds = intent.get("start_timeout")
    return {"start_by": f"{begun + float(seconds):.3f}"} if seconds else {}


def _begun(intent: Intent, server_time: float | None) -> float:
    """The time of the intent by this machine's clock."""
    there = server_time if intent.get("clock") == "vendor" else None
    ahead = 0.0 if there is None else there - time.time()
    return float(intent["since"]) - ahead


def floor_of(ref: ExecutionRef) -> datetime | None:
    """Anything earlier existed before the rerun, however the clocks are set."""
    since = parse_time(ref.get("since"))
    return since - CLOCK_TOLERANCE if since else None


def known_before(ref: ExecutionRef, name: str) -> frozenset[str]:
    """:param name: ``known_events`` or ``known_executions``."""
    return frozenset(json.loads(ref.get(name) or "[]"))


def may_be_from(ref: ExecutionRef, document: Document) -> bool:
    """Whether an execution may come from a rerun, because it did not exist before."""
    if id_of(document) in known_before(ref, "known_executions") | {id_from_link(ref["link_before"])}:
        return False
    floor, requested = floor_of(ref), request_time(document)
    return floor is None or requested is None or requested >= floor.replace(microsecond=0)


def was_resumed(document: Document, ref: ExecutionRef) -> bool:
    """Whether an execution has been resumed since the state in the intent."""
    if "resumed_before" in ref and as_text(document.get("resumed_at")) != ref["resumed_before"]:
        return True
    state = state_of(document)
    has_failed = state.is_terminal and state is not ExecutionState.SUCCEEDED
    return not has_failed and as_text(document.get("status")) != ref.get("status_before", "")


def not_started(ref: ExecutionRef, event: Document) -> Execution:
    """A rerun without an execution yet; the event says why there may be none."""
    return Execution(
        dict(ref),
        ExecutionState.QUEUED,
        status=str(event.get("executionStatus") or ""),
        message=delivery_error(ref["event_type"], event),
    )


def in_time(waiting: Execution) -> Execution:
    """The same rerun, failed if it should have led to an execution by now."""
    ref = waiting.ref
    if not ref.get("start_by") or time.time() < float(ref["start_by"]):
        return waiting
    within = f"within {float(ref['start_timeout']):g} s"
    failure = (
        f"event {ref['id']} did not start an execution {within}"
        if ref["action"] == "rerun"
        else f"the execution of event {ref['id']} was not resumed {within}"
    )
    return waiting.failed(failure + (f": {waiting.message}" if waiting.message else ""))
