"""ServiceStage's calls about release tasks ("pipelines"): list, detail, records, create, edit, delete, find by name.

Acting on them and following their executions is in ``client``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider.clients import urls
from airflow_provider.clients.one_piece import OnePieceClient
from airflow_provider.clients.service_stage.tasks import approval_tasks, stage_tasks
from airflow_provider.exceptions import Call, ConflictError, Effect, NotFoundError, UnexpectedResponseError

HEADERS = {"Content-Type": "application/json;charset=utf8"}
"""Spelled as the vendor's pages do: the value is signed."""


class ReleaseTaskCalls(OnePieceClient):
    """The part of the client that knows release tasks, but nothing of executions."""

    system = "service_stage"
    _learn_project_id: Callable[[], str]

    @property
    def project_id(self) -> str:
        """The IAM project whose release tasks these are; asks IAM once where it was not given."""
        return self._learn_project_id()

    def list_pipelines(self) -> list[dict[str, Any]]:
        """All release tasks of the project, with ``id``, ``name``, ``status`` and ``last_trigger_at`` (milliseconds).

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0246.html
        """
        return self._objects(self._get(""), "pipelines")

    def get_pipeline(self, pipeline_id: str) -> dict[str, Any]:
        """The detail of a release task: its stages and tasks, but not its status.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0249.html
        """
        return self._object(self._get("/{pipeline_id}", pipeline_id=pipeline_id))

    def list_stage_tasks(self, pipeline_id: str) -> dict[str, list[str]]:
        """The names that ``selected_tasks`` takes: ``{stage: [task, ...]}``."""
        return stage_tasks(self.get_pipeline(pipeline_id))

    def list_approval_tasks(self, pipeline_id: str) -> list[str]:
        """The names that ``task_name`` takes; of all tasks, where none is marked as an approval."""
        return approval_tasks(self.get_pipeline(pipeline_id))

    def create_pipeline(self, pipeline: Mapping[str, Any]) -> dict[str, Any]:
        """Create a release task.

        :param pipeline: the vendor's object: ``name``, ``config_mode`` (``ui`` with ``stages``, ``template`` with
            ``sources``), ``description``, ``enterprise_project_id``; ``model_version`` is 2 where it is not given.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0245.html
        """
        return self._object(self._write("POST", "", body={"model_version": 2, **pipeline}))

    def update_pipeline(self, pipeline_id: str, pipeline: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a release task; ``pipeline`` as for :meth:`create_pipeline`.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0247.html
        """
        body = {"model_version": 2, **pipeline}
        return self._object(self._write("PUT", "/{pipeline_id}", body=body, pipeline_id=pipeline_id))

    def delete_pipeline(self, pipeline_id: str) -> None:
        """Delete a release task."""
        self._write("DELETE", "/{pipeline_id}", pipeline_id=pipeline_id)

    def list_records(self, pipeline_id: str) -> list[dict[str, Any]]:
        """The executions of a release task: ``id``, who triggered it, and where the API says it when and ``status``.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0290.html
        """
        return self._objects(self._get("/{pipeline_id}/records", pipeline_id=pipeline_id), "records")

    def find_pipeline(self, name_or_id: str) -> dict[str, Any]:
        """The list item of a release task.

        :raises NotFoundError: none has this id or name; says which names are near.
        :raises ConflictError: several have this name; says their ids.
        """
        if not name_or_id.strip():
            raise self.bad_request("pipeline must not be empty")
        pipelines = self.list_pipelines()
        found = [item for item in pipelines if item.get("id") == name_or_id]
        found = found or [item for item in pipelines if item.get("name") == name_or_id]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(str(item.get("id")) for item in found)
            raise ConflictError(
                f"{len(found)} release tasks are called {name_or_id!r}: give the id, one of {ids}",
                call=Call(system=self.system),
            )
        names = sorted({str(item.get("name")) for item in pipelines})
        near = ", ".join(difflib.get_close_matches(name_or_id, names, n=5, cutoff=0.4) or names[:5])
        raise NotFoundError(
            f"no release task has the id or name {name_or_id!r}" + (f"; there are {near}" if near else ""),
            call=Call(system=self.system),
        )

    def _get(self, below: str, **values: str) -> Any:
        return self.transport.get(self._path(below, **values), headers=self._headers())

    def _write(
        self,
        method: str,
        below: str,
        params: Mapping[str, str] | None = None,
        *,
        body: object = None,
        attempts: int | None = None,
        **values: str,
    ) -> Any:
        path = self._path(below, **values)
        return self.transport.request(method, path, params, body=body, headers=self._headers(), attempts=attempts).data

    def _path(self, below: str, **values: str) -> str:
        for name, value in values.items():
            self._need(value, name)
        return urls.path("/v3/{project_id}/pipeline/pipelines" + below, project_id=self.project_id, **values)

    def _headers(self) -> dict[str, str]:
        return {**HEADERS, "X-Project-Id": self.project_id}

    def _records(self, pipeline_id: str) -> list[dict[str, Any]]:
        """The records; none where the region does not publish them."""
        return self._published_records(pipeline_id) or []

    def _published_records(self, pipeline_id: str) -> list[dict[str, Any]] | None:
        """The records; ``None`` where the region does not publish that call, which is younger than the others."""
        try:
            return self.list_records(pipeline_id)
        except NotFoundError as error:
            code = error.code or ""
            if code.startswith("APIG"):
                return None
            raise (error if code.startswith("SVCSTG") else self._not_answered(error)) from None

    def _item(self, pipeline_id: str) -> dict[str, Any]:
        try:
            pipelines = self.list_pipelines()
        except NotFoundError as error:
            raise self._not_answered(error) from None
        item = next((item for item in pipelines if item.get("id") == pipeline_id), None)
        if item is None:
            raise NotFoundError(f"no release task has the id {pipeline_id!r}", call=Call(system=self.system))
        return item

    def _not_answered(self, error: NotFoundError) -> UnexpectedResponseError:
        """Not ServiceStage itself says that something is not there: a gateway may publish nothing for a while."""
        return UnexpectedResponseError(error.summary, call=error.call, effect=Effect.UNKNOWN)

    def _need(self, value: str | None, name: str) -> None:
        if not value or not value.strip():
            raise self.bad_request(f"{name} must not be empty")

    def _object(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise self._unexpected("an object", body)
        return body

    def _objects(self, body: Any, name: str) -> list[dict[str, Any]]:
        """A list that comes in an object under ``name``, or bare: the vendor's pages show both."""
        items = body.get(name) if isinstance(body, dict) else body
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self._unexpected(f"a list of {name}", body)
        return items

    def _unexpected(self, wanted: str, body: Any) -> UnexpectedResponseError:
        return UnexpectedResponseError(
            f"the answer should be {wanted}, but is {'empty' if body is None else type(body).__name__}",
            call=Call(system=self.system),
            effect=Effect.UNKNOWN,
        )
