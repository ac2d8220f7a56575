"""Release tasks of ServiceStage ("pipelines" in its API): list, read, find, create, change and delete them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, cast

from airflow_provider.clients.rows import Rows
from airflow_provider.clients.service_stage.documents import ReleaseTask, ReleaseTaskDetail
from airflow_provider.clients.service_stage.references import SYSTEM
from airflow_provider.clients.service_stage.release_states import text_of
from airflow_provider.clients.service_stage.release_task_stages import approval_tasks, stage_tasks
from airflow_provider.clients.service_stage.wire import Names, Wire, not_answered
from airflow_provider.exceptions import Call, ConflictError, NotFoundError


class ReleaseTasks:
    """Their executions are in :class:`~airflow_provider.clients.service_stage.releases.Releases`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> Rows[ReleaseTask]:
        """All release tasks of the project, with ``id``, ``name``, ``status`` and ``last_trigger_at`` (milliseconds).

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0246.html
        """
        return cast("Rows[ReleaseTask]", self._wire.objects_in(self._wire.get(""), "pipelines"))

    def get(self, pipeline_id: str) -> ReleaseTaskDetail:
        """The detail of a release task: its stages and tasks, but not its status.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0249.html
        """
        return cast(
            "ReleaseTaskDetail", self._wire.object_in(self._wire.get("/{pipeline_id}", pipeline_id=pipeline_id))
        )

    def list_stages(self, pipeline_id: str) -> dict[str, Names]:
        """The names that ``selected_tasks`` takes: ``{stage: [task, ...]}``."""
        return stage_tasks(self.get(pipeline_id))

    def list_approvals(self, pipeline_id: str) -> Names:
        """The names that ``task_name`` takes; those of all tasks if none is marked as an approval."""
        return approval_tasks(self.get(pipeline_id))

    def create(self, pipeline: Mapping[str, Any]) -> ReleaseTask:
        """Create a release task.

        :param pipeline: the vendor's object: ``name``, ``config_mode`` (``ui`` with ``stages``, ``template`` with
            ``sources``), ``description``, ``enterprise_project_id``; ``model_version`` defaults to 2.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0245.html
        """
        return cast(
            "ReleaseTask", self._wire.object_in(self._wire.send("POST", "", body={"model_version": 2, **pipeline}))
        )

    def update(self, pipeline_id: str, pipeline: Mapping[str, Any]) -> ReleaseTask:
        """Replace a release task; ``pipeline`` as for :meth:`create`.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0247.html
        """
        body = {"model_version": 2, **pipeline}
        return cast(
            "ReleaseTask",
            self._wire.object_in(self._wire.send("PUT", "/{pipeline_id}", body=body, pipeline_id=pipeline_id)),
        )

    def delete(self, pipeline_id: str) -> None:
        """Delete a release task."""
        self._wire.send("DELETE", "/{pipeline_id}", pipeline_id=pipeline_id)

    def find(self, name_or_id: str) -> ReleaseTask:
        """The list item of a release task.

        :raises NotFoundError: none has this id or name; the error lists similar names.
        :raises ConflictError: several have this name; the error lists their ids.
        """
        if not name_or_id.strip():
            raise self._wire.bad_request("pipeline must not be empty")
        pipelines = self.list()
        found = [item for item in pipelines if item.get("id") == name_or_id]
        found = found or [item for item in pipelines if item.get("name") == name_or_id]
        if len(found) == 1:
            if not text_of(found[0], "id"):
                raise self._wire.unexpected("a list of pipelines with ids", found[0])
            return found[0]
        if found:
            ids = ", ".join(str(item.get("id")) for item in found)
            raise ConflictError(
                f"{len(found)} release tasks are called {name_or_id!r}: give the id, one of {ids}",
                call=Call(system=SYSTEM),
            )
        names = sorted({str(item.get("name")) for item in pipelines})
        near = ", ".join(difflib.get_close_matches(name_or_id, names, n=5, cutoff=0.4) or names[:5])
        raise NotFoundError(
            f"no release task has the id or name {name_or_id!r}" + (f"; there are {near}" if near else ""),
            call=Call(system=SYSTEM),
        )


def item_of(tasks: ReleaseTasks, pipeline_id: str) -> ReleaseTask:
    """The list item of a release task, which has its status.

    :raises NotFoundError: the project has no such release task.
    """
    try:
        pipelines = tasks.list()
    except NotFoundError as error:
        raise not_answered(error) from None
    item = next((item for item in pipelines if item.get("id") == pipeline_id), None)
    if item is None:
        raise NotFoundError(f"no release task has the id {pipeline_id!r}", call=Call(system=SYSTEM))
    return item
