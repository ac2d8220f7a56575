"""Waits for releases of ServiceStage, stops them, and finds them after an action whose answer was lost."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import msgspec

from airflow_provider.clients.listing import Remembered, may_be_kept
from airflow_provider.clients.memory import Recent
from airflow_provider.clients.service_stage.references import RELEASE, SYSTEM, release_reference
from airflow_provider.clients.service_stage.release_list import Excerpt, decode_tasks, excerpts_of_tasks
from airflow_provider.clients.service_stage.release_observer import ReleaseObserver, sighting_of
from airflow_provider.clients.service_stage.release_records import published_records
from airflow_provider.clients.service_stage.release_states import (
    IN_PROGRESS,
    is_stopped,
    newer_than,
    speaks_for,
    status_of,
    text_of,
)
from airflow_provider.clients.service_stage.release_tasks import ReleaseTasks, item_of
from airflow_provider.clients.service_stage.release_traces import StartWindow, Traces
from airflow_provider.clients.service_stage.releases import Releases
from airflow_provider.clients.service_stage.wire import Wire
from airflow_provider.clients.waitable import Found, Intent, Observation, Waitable, or_own_error
from airflow_provider.exceptions import Call, ConflictError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

UNCERTAIN = 10.0
"""Seconds until the records are read again while they and the list do not agree."""
UNTIMED = 300.0
"""Seconds until the records are read again if the list does not show that a release was triggered again."""


class _Known(msgspec.Struct):
    """The last observation, its excerpt of the list, and when (monotonic) the list alone is no longer enough."""

    execution: Execution
    excerpt: Excerpt | None
    due: float


class ReleaseWaits(Waitable):
    """References hold the record's ``id``, the ``pipeline_id``, the ``action`` and the status before it."""

    kind: ClassVar[str] = RELEASE

    def __init__(self, wire: Wire, tasks: ReleaseTasks, releases: Releases, observer: ReleaseObserver) -> None:
        self._wire, self._tasks, self._releases, self._observer = wire, tasks, releases, observer
        self._known: Recent[tuple[str | None, ...], _Known] = Recent()
        self._decode = Remembered(decode_tasks)

    def observe(self, ref: ExecutionRef, item: Mapping[str, Any] | None = None) -> Execution:
        """:param item: the list item, if it was just read."""
        self._check(ref)
        return self._observer.observe(ref, item)

    def needs_cancel(self, execution: Execution) -> bool:
        """Not if it has ended, or is stopped or stopping: then it continues only by another action."""
        return not is_stopped(execution)

    def group(self, ref: ExecutionRef) -> str | None:
        return "release tasks"

    def fetch(self, refs: Sequence[ExecutionRef], seen: Sequence[Execution | None]) -> list[Found]:
        """One list for all release tasks; records only for those that changed in it, or are not certain."""
        listing = excerpts_of_tasks(self._wire, self._decode) if len(refs) > 1 else None
        now = time.monotonic()
        found: list[Found] = []
        for ref, known in zip(refs, self._known.get_all(map(_key, refs)), strict=True):
            excerpt = listing.excerpt(ref.get("pipeline_id", "")) if listing else None
            if known and excerpt == known.excerpt and now < known.due:
                found.append(known.execution)
                continue
            item = listing.item(ref["pipeline_id"]) if listing and excerpt else None
            pending = partial(self._observe_now, ref, item, excerpt)
            found.append(pending() if item and _is_enough(ref, item) else pending)
        return found

    def _observe_now(self, ref: ExecutionRef, item: Mapping[str, Any] | None, excerpt: Excerpt | None) -> Observation:
        seen = or_own_error(partial(self.observe, ref, item))
        if isinstance(seen, ReleasePipelineError) or seen.state.is_terminal:
            self._known.drop(_key(ref))
        else:
            excerpt = excerpt if excerpt and may_be_kept(excerpt) else None
            due = time.monotonic() + _seconds_until_outdated(seen, excerpt)
            self._known.put(_key(seen.ref), _Known(seen, excerpt, due))
        return seen

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        """Stop the release task, but only while this execution is its last one; the API takes no ``reason``."""
        self._check(ref)
        if not ref["id"]:
            raise self._wire.bad_request("only a release with an execution id can be canceled")
        if ref.get("action") != "stop":
            self._releases.stop(ref)

    def find_started(self, intent: Intent) -> list[Execution]:
        """The executions that may belong to an action whose answer was lost.

        :param intent: holds ``pipeline_id``, ``action``, and from just before the action ``newest_record`` (an id, ""
            if there was none), ``status_before`` and ``triggered_before``.
        :raises ConflictError: something happened, but not certainly by this action.
        """
        pipeline_id, action, before = str(intent["pipeline_id"]), str(intent["action"]), str(intent["newest_record"])
        item, published = item_of(self._tasks, pipeline_id), published_records(self._wire, pipeline_id)
        window = StartWindow.of(intent, vendor_now=self._wire.transport.server_time(), worker_now=time.time())
        records = published or []
        traces = Traces(
            action=action,
            status_before=str(intent["status_before"]),
            triggered_before=str(intent["triggered_before"]),
            item=item,
            same=next((record for record in records if before and text_of(record, "id") == before), {}),
            later=newer_than(records, before),
            are_complete=published is not None,
        )
        found = traces.candidates(window)
        if found is None:
            raise ConflictError(
                f"could not find out whether action {action!r} took effect: release task {pipeline_id} was in status "
                f"{traces.status_before or 'unknown'} with the last execution {before or 'none'}, {traces}",
                call=Call(system=SYSTEM),
            )
        ref = {
            **release_reference(pipeline_id, "", action),
            "status_before": traces.status_before,
            "triggered_before": traces.triggered_before,
            "since": f"{float(intent['since']):.3f}",
            "clock": str(intent.get("clock") or "worker"),
        }
        return [self._observer.execution({**ref, "id": text_of(each, "id")}, sighting_of(each, item)) for each in found]

    def _check(self, ref: ExecutionRef) -> None:
        self._wire.need(ref.get("pipeline_id"), "pipeline_id")


def _key(ref: ExecutionRef) -> tuple[str | None, ...]:
    """Identifies a wait: one for another action on the same release is a different one."""
    named = ref.get
    return named("pipeline_id"), named("id"), named("action"), named("since") or named("triggered")


def _is_enough(ref: ExecutionRef, item: Mapping[str, Any]) -> bool:
    """Whether the list item alone shows the state of the execution."""
    is_any = not ref.get("id") and status_of(item) in (*IN_PROGRESS, "1")
    return is_any or speaks_for(ref, item)


def _seconds_until_outdated(seen: Execution, excerpt: Excerpt | None) -> float:
    """How long an unchanged list item means an unchanged execution."""
    if excerpt is None:
        return 0.0
    may_be_old = seen.state is ExecutionState.QUEUED and bool(seen.id)
    if may_be_old or seen.status != status_of({"status": excerpt.status}):
        return UNCERTAIN
    return math.inf if excerpt.has_time else UNTIMED
