"""Pipelines of Code Stream: run and find them, read and change them, their past executions, their export as YAML."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from airflow_provider.clients.answers import LONGEST_WORD
from airflow_provider.clients.code_stream.documents import ExecutionDocument, Pipeline, Tiles
from airflow_provider.clients.code_stream.execution_document import just_started
from airflow_provider.clients.code_stream.execution_list import NEWEST_EXECUTION_FIRST
from airflow_provider.clients.code_stream.fields import id_from_link
from airflow_provider.clients.code_stream.lists import equal
from airflow_provider.clients.code_stream.references import EXECUTION, SYSTEM
from airflow_provider.clients.code_stream.resources import CloneableResource, ResourceKey
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.urls import path
from airflow_provider.exceptions import BadRequestError, Call, Effect, NotFoundError, UnexpectedResponseError
from airflow_provider.execution import Execution
from airflow_provider.storable import storable_text

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Pipelines(CloneableResource[Pipeline]):
    """https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/pipelines/

    :param placed: gives an execution its place, and takes secrets out of its texts.
    """

    def __init__(self, wire: Wire, placed: Callable[[Execution], Execution]) -> None:
        super().__init__(wire, "/pipelines")
        self._placed = placed

    def run(
        self,
        pipeline_id: str,
        *,
        inputs: Mapping[str, Any] | None = None,
        comments: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> Execution:
        """Start an execution. Never repeated: after a lost answer, ``find_started`` finds it by ``comments``.

        :param inputs: missing ones get the pipeline's defaults.
        :param comments: must begin with the marker of the start, if there is one: the server may cut a long text.
        """
        if inputs is not None and not isinstance(inputs, Mapping):
            raise self._wire.bad_request(f"inputs must be a mapping, got a {type(inputs).__name__}")
        if isinstance(tags, str):
            raise self._wire.bad_request("tags must be a list of texts, got a text")
        body = {"input": inputs, "comments": comments, "tags": [*tags] if tags else None}
        where = path("/pipelines/{pipeline_id}/executions", pipeline_id=pipeline_id)
        given = {name: value for name, value in body.items() if value is not None}
        reply = self._wire.send("POST", where, body=given, attempts=1)
        # Older servers answer with the link only.
        execution_id = str(reply.get("executionId") or "") or id_from_link(reply.get("executionLink"))
        if not execution_id or len(execution_id) > LONGEST_WORD:
            raise UnexpectedResponseError(
                "the answer to the start has no usable executionId or executionLink",
                call=Call(system=SYSTEM, method="POST", path=where),
                effect=Effect.UNKNOWN,
            )
        return self._placed(just_started(self._wire, execution_id))

    def intent(self, pipeline_id: str) -> dict[str, str]:
        """What ``find_started`` must know about a run, besides its marker."""
        return {"kind": EXECUTION, "pipeline_id": storable_text(pipeline_id)}

    def find(self, name_or_id: str, project: str | None = None) -> Pipeline:
        """The one enabled pipeline of this name or id.

        :raises NotFoundError: there is none; names similar ones.
        :raises ConflictError: several projects have one of this name, or it is disabled.
        """
        if not name_or_id.strip():
            raise self._wire.bad_request("pipeline must not be empty")
        found = self._called(name_or_id, project)
        if not found:
            near = self._near_names(name_or_id, project)
            raise NotFoundError(
                f"there is no pipeline {name_or_id!r}" + (f" in project {project!r}" if project else "") + near,
                call=Call(system=SYSTEM),
            )
        if len(found) > 1:
            projects = ", ".join(sorted(repr(str(each.get("project"))) for each in found))
            raise self._wire.conflict(
                f"pipeline {name_or_id!r} is in the projects {projects}: choose one with `project`"
            )
        if found[0].get("enabled") is False:
            raise self._wire.conflict(
                f"pipeline {found[0].get('name')!r} of project {found[0].get('project')!r} is disabled"
            )
        return found[0]

    def share(self, key: ResourceKey, **fields: Any) -> Pipeline:
        """Share in the whole organization (8.10.1 or newer), such as ``share(id, **{"global": True})``."""
        return cast("Pipeline", self._send("PATCH", self._path(key, "/global"), fields))

    def list_executions(
        self, key: ResourceKey, where: str | None = None, *, limit: int | None = None
    ) -> list[ExecutionDocument]:
        """Newest first."""
        order = NEWEST_EXECUTION_FIRST
        found = self._wire.rows(
            self._path(key, "/executions"), items="/executions", where=where, order=order, limit=limit
        )
        return cast("list[ExecutionDocument]", [*found])

    def get_execution(self, key: ResourceKey, index: int) -> ExecutionDocument:
        """:param index: the number of the run."""
        where = self._path(key, path("/executions/{index}", index=index))
        return cast("ExecutionDocument", self._wire.get(where, {"expand": "PIPELINE_STAGE_TASK"}))

    def list_tiles(self) -> Tiles:
        """The UI's description of each kind of pipeline."""
        return cast("Tiles", self._wire.get("/pipeline-tiles"))

    def export_yaml(self, **query: Any) -> str:
        """:param query: ``pipelines``, ``project``, ``endpoints``, ... as the vendor names them."""
        answer = self._wire.answer(
            "GET", "/export", query, headers={"Accept": "application/x-yaml"}, json_expected=False
        )
        return str(answer.data)

    def import_yaml(self, text: str, action: str | None = None) -> str:
        """The answer names what was created or updated, and contains errors, if any.

        :param action: ``create`` or ``apply`` (undocumented by the vendor).
        :raises BadRequestError: the text holds half of a surrogate pair; nothing was sent.
        """
        try:
            body = text.encode()
        except UnicodeEncodeError as error:
            raise self._wire.bad_request(f"text must be Unicode text: {error}") from None
        headers = {"Accept": "application/x-yaml", "Content-Type": "application/x-yaml"}
        answer = self._wire.answer(
            "POST", "/import", {"action": action}, body=body, headers=headers, json_expected=False
        )
        return str(answer.data)

    def _called(self, name_or_id: str, project: str | None) -> list[Pipeline]:
        is_uuid = bool(_UUID.fullmatch(name_or_id))
        found = self._of_id(name_or_id) if is_uuid else []
        if not found:
            # How a quote is escaped in a filter is not documented.
            where = None if "'" in name_or_id + (project or "") else equal({"name": name_or_id, "project": project})
            found = [each for each in self.list(where) if each.get("name") == name_or_id]
        if not found and not is_uuid:
            # Ids may be any text.
            found = self._of_id(name_or_id)
        return [each for each in found if project is None or each.get("project") == project]

    def _of_id(self, pipeline_id: str) -> list[Pipeline]:
        with contextlib.suppress(NotFoundError, BadRequestError):
            return [self.get(pipeline_id)]
        return []

    def _near_names(self, name: str, project: str | None) -> str:
        names = {str(each.get("name")) for each in self.list() if project in (None, each.get("project"))}
        by_lower = {each.lower(): each for each in sorted(names)}
        near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
        return f"; similar: {', '.join(repr(by_lower[each]) for each in near)}" if near else ""
