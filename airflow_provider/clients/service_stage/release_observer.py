"""Observes a release in the records and the list item of its release task, which may lag behind each other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from airflow_provider.clients.memory import Recent
from airflow_provider.clients.service_stage.references import SYSTEM
from airflow_provider.clients.service_stage.release_records import published_records
from airflow_provider.clients.service_stage.release_states import (
    IN_PROGRESS,
    PAUSED,
    STOPPING,
    TO_BE_APPROVED,
    ActionProgress,
    Sighting,
    is_number,
    is_old,
    newer_than,
    newest,
    overtaken,
    progress_of,
    speaks_for,
    status_of,
    text_of,
    triggered_at,
)
from airflow_provider.clients.service_stage.release_states import execution as execution_of
from airflow_provider.clients.service_stage.release_task_stages import asking_tasks
from airflow_provider.clients.service_stage.release_tasks import ReleaseTasks, item_of
from airflow_provider.clients.service_stage.wire import Objects, Wire
from airflow_provider.exceptions import Call, NotFoundError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef


class ReleaseObserver:
    """Remembers the progress of each release, because a list may show an old status once more."""

    def __init__(self, wire: Wire, tasks: ReleaseTasks) -> None:
        self._wire, self._tasks = wire, tasks
        self._approvals: Recent[str, list[str]] = Recent()
        self._progress: Recent[tuple[str, str, str, bool], ActionProgress] = Recent()

    def records(self, pipeline_id: str) -> Objects:
        """The records; none if the region does not publish them."""
        return published_records(self._wire, pipeline_id) or []

    def observe(self, ref: ExecutionRef, item: Mapping[str, Any] | None = None) -> Execution:
        """The current state of a release: the status of its record, or of the list item if that is not outdated."""
        if not ref["id"]:
            return self.observe_last(ref, item or item_of(self._tasks, ref["pipeline_id"]))
        if item and speaks_for(ref, item):
            return self.execution(ref, Sighting(item, certain=False))
        return self.observe_records(ref, item, published_records(self._wire, ref["pipeline_id"]))

    def observe_records(
        self, ref: ExecutionRef, item: Mapping[str, Any] | None, published: Sequence[Mapping[str, Any]] | None
    ) -> Execution:
        records = published or []
        record = next((record for record in records if text_of(record, "id") == ref["id"]), None)
        if record and status_of(record):
            return self.execution(ref, Sighting(record, certain=True))
        is_unknown = record is None and not ref.get("since")
        if is_unknown and (published is not None or not is_number(ref["id"])):
            # Only for our own action is it known that the list may show it before the records do.
            raise NotFoundError(
                f"release task {ref['pipeline_id']!r} has no execution {ref['id']!r}", call=Call(system=SYSTEM)
            )
        if is_number(ref["id"]) and (later := newer_than(records, ref["id"])):
            return overtaken(ref, f"the execution {text_of(later[0], 'id')}")
        item = item or item_of(self._tasks, ref["pipeline_id"])
        return self.execution(ref, sighting_of({**(record or {}), "id": ref["id"]}, item))

    def observe_last(self, ref: ExecutionRef, item: Mapping[str, Any]) -> Execution:
        is_triggered_again = ref.get("triggered", triggered_at(item)) != triggered_at(item)
        if is_triggered_again and status_of(item) not in (STOPPING, PAUSED):
            # Whether a stop counts as a trigger is not documented.
            return overtaken(ref, "another action")
        if status_of(item) in IN_PROGRESS or status_of(item) == "1":
            return self.execution(ref, Sighting(item, certain=False))
        record = newest(self.records(ref["pipeline_id"])) or {}
        return self.execution({**ref, "id": text_of(record, "id")}, sighting_of(record, item))

    def execution(self, ref: ExecutionRef, sighting: Sighting) -> Execution:
        # List and records may lag independently: what one has shown says nothing about the other.
        key = (ref["pipeline_id"], ref["id"], ref.get("since", ""), sighting.certain)
        progress = progress_of(ref, sighting, self._progress.get(key))
        if progress:
            self._progress.put(key, progress)
        may_be_old = progress != "begun" and is_old(ref, sighting, self._now(ref))
        seen = execution_of(ref, sighting, may_be_old=may_be_old, approvals=self._approvals_of(ref, sighting))
        if seen.state.is_terminal:
            self._progress.drop(key)
        return replace(seen, url=self._wire.page(seen.ref))

    def _now(self, ref: ExecutionRef) -> float:
        """The time by the clock of the reference's ``since``: those of two machines may differ by minutes."""
        by_vendor = ref.get("clock") == "vendor" or not ref.get("since")
        server_time = self._wire.transport.server_time() if by_vendor else None
        return time.time() if server_time is None else server_time

    def _approvals_of(self, ref: ExecutionRef, sighting: Sighting) -> list[str]:
        """The tasks that may wait for an approval; requested once for each wait, and never a reason to fail it."""
        pipeline_id = ref["pipeline_id"]
        if sighting.status != TO_BE_APPROVED:
            self._approvals.drop(pipeline_id)
            return []
        names = self._approvals.get(pipeline_id)
        if names is None:
            try:
                names = self._tasks.list_approvals(pipeline_id)
            except ReleasePipelineError:
                names = []
            self._approvals.put(pipeline_id, names)
        return names

    def asking(self, ref: ExecutionRef) -> tuple[list[str], bool]:
        """The tasks whose answer a release waits for, see :func:`~.release_task_stages.asking_tasks`."""
        # By the status, not the state: an execution with a status that may be outdated may wait, too.
        if self.observe(ref).status != TO_BE_APPROVED:
            return [], True
        records = self.records(ref["pipeline_id"])
        record = next((record for record in records if text_of(record, "id") == ref["id"]), {})
        return asking_tasks(record, self._tasks.get(ref["pipeline_id"]))


def sighting_of(record: Mapping[str, Any], item: Mapping[str, Any]) -> Sighting:
    """The status of a record, or of the list item if the record has none."""
    if status_of(record):
        return Sighting({**_state_of(item), **record}, certain=True)
    times = filter(is_number, (triggered_at(record), triggered_at(item)))
    return Sighting({**record, **_state_of(item)}, certain=False, triggered=max(times, key=int, default=""))


def _state_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a list item about the last execution, under the names of a record."""
    return {
        "pipeline_id": item.get("id"),
        "status": item.get("status"),
        "trigger_at": item.get("last_trigger_at"),
    }
