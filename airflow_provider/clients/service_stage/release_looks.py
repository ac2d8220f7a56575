"""How a release stands, out of the records and the list item of its release task, which lag behind each other."""

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
    TO_BE_APPROVED,
    Progress,
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
from airflow_provider.clients.service_stage.release_states import (
    execution as execution_of,
)
from airflow_provider.clients.service_stage.release_task_stages import asking_tasks
from airflow_provider.clients.service_stage.release_tasks import ReleaseTasks, item_of
from airflow_provider.clients.service_stage.wire import Objects, Wire
from airflow_provider.exceptions import Call, NotFoundError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef


class ReleaseLooks:
    """Remembers how far each release was, because a list may show an old status once more."""

    def __init__(self, wire: Wire, tasks: ReleaseTasks) -> None:
        self._wire, self._tasks = wire, tasks
        self._approvals: Recent[str, list[str]] = Recent()
        self._progress: Recent[tuple[str, str, str, bool], Progress] = Recent()

    def records(self, pipeline_id: str) -> Objects:
        """The records; none where the region does not publish them."""
        return published_records(self._wire, pipeline_id) or []

    def observe(self, ref: ExecutionRef, item: Mapping[str, Any] | None = None) -> Execution:
        """What a release is doing: its record's status, or else the list item's where that is not an old one."""
        if not ref["id"]:
            return self.look_at_the_last(ref, item or item_of(self._tasks, ref["pipeline_id"]))
        if item and speaks_for(ref, item):
            return self.execution(ref, Sighting(item, certain=False))
        return self.look_at_records(ref, item, published_records(self._wire, ref["pipeline_id"]))

    def look_at_records(
        self, ref: ExecutionRef, item: Mapping[str, Any] | None, published: Sequence[Mapping[str, Any]] | None
    ) -> Execution:
        records = published or []
        record = next((record for record in records if text_of(record, "id") == ref["id"]), None)
        if record and status_of(record):
            return self.execution(ref, Sighting(record, certain=True))
        is_told_by_nobody = record is None and not ref.get("since")
        if is_told_by_nobody and (published is not None or not is_number(ref["id"])):
            # Only of our own action it is known that the list may tell of it before the records do.
            raise NotFoundError(
                f"release task {ref['pipeline_id']!r} has no execution {ref['id']!r}", call=Call(system=SYSTEM)
            )
        if is_number(ref["id"]) and (later := newer_than(records, ref["id"])):
            return overtaken(ref, f"the execution {text_of(later[0], 'id')}")
        item = item or item_of(self._tasks, ref["pipeline_id"])
        return self.execution(ref, sighting_of({**(record or {}), "id": ref["id"]}, item))

    def look_at_the_last(self, ref: ExecutionRef, item: Mapping[str, Any]) -> Execution:
        if ref.get("triggered", triggered_at(item)) != triggered_at(item):
            return overtaken(ref, "another action")
        if status_of(item) in IN_PROGRESS or status_of(item) == "1":
            return self.execution(ref, Sighting(item, certain=False))
        record = newest(self.records(ref["pipeline_id"])) or {}
        return self.execution({**ref, "id": text_of(record, "id")}, sighting_of(record, item))

    def execution(self, ref: ExecutionRef, sighting: Sighting) -> Execution:
        # List and records may lag on their own: what one has shown says nothing about the other.
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
        """The present by the clock of the reference's ``since``: those of two machines may be minutes apart."""
        told = self._wire.transport.server_time() if ref.get("clock") == "vendor" else None
        return time.time() if told is None else told

    def _approvals_of(self, ref: ExecutionRef, sighting: Sighting) -> list[str]:
        """The tasks that may wait for an approval; asked once for each wait, and never a reason to fail it."""
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
        # By the status: an execution that still shows the one from before an answer waits, too.
        if self.observe(ref).status != TO_BE_APPROVED:
            return [], True
        records = self.records(ref["pipeline_id"])
        record = next((record for record in records if text_of(record, "id") == ref["id"]), {})
        return asking_tasks(record, self._tasks.get(ref["pipeline_id"]))


def sighting_of(record: Mapping[str, Any], item: Mapping[str, Any]) -> Sighting:
    """The status of a record, or of the list item where the record has none."""
    if status_of(record):
        return Sighting({**_state_of(item), **record}, certain=True)
    return Sighting({**record, **_state_of(item)}, certain=False)


def _state_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """What a list item says about the last execution, under the names of a record."""
    return {
        "pipeline_id": item.get("id"),
        "status": item.get("status"),
        "trigger_at": item.get("last_trigger_at"),
    }
