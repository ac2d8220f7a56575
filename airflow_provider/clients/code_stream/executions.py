"""Executions of Code Stream: read, list, cancel, pause, resume, tag and delete them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, cast

from airflow_provider.clients.answers import LONGEST_WORD
from airflow_provider.clients.code_stream.documents import ExecutionDocument
from airflow_provider.clients.code_stream.execution_document import read_execution
from airflow_provider.clients.code_stream.execution_list import NEWEST_EXECUTION_FIRST
from airflow_provider.clients.code_stream.fields import Json, id_of
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.rows import Rows
from airflow_provider.clients.urls import path
from airflow_provider.execution import Execution


class Executions:
    """https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/executions/

    :param placed: gives an execution its place, and takes secrets out of its texts.
    """

    def __init__(self, wire: Wire, placed: Callable[[Execution], Execution]) -> None:
        self._wire, self._placed = wire, placed

    def list(self, where: str | None = None, *, limit: int | None = None) -> Rows[ExecutionDocument]:
        """Newest first. :param where: the ``$filter``, such as ``status eq 'FAILED' and _nested eq 'false'``."""
        return cast(
            "Rows[ExecutionDocument]",
            [*self._wire.rows("/executions", where=where, order=NEWEST_EXECUTION_FIRST, limit=limit)],
        )

    def get(self, execution_id: str) -> ExecutionDocument:
        """With its stages and tasks.

        :raises UnexpectedResponseError: the answer is of another execution.
        """
        where = _path(execution_id)
        document = self._wire.get(where, {"expand": "PIPELINE_STAGE_TASK"})
        received = id_of(document) or execution_id
        if received.casefold() != execution_id.casefold():
            shown = self._wire.transport.redact(received, LONGEST_WORD)
            raise self._wire.unexpected(where, f"the answer must be execution {execution_id}, got {shown}")
        return cast("ExecutionDocument", {**document, "id": execution_id})

    def url(self, execution_id: str) -> str:
        """The link to its page, for a person."""
        return self._wire.page_of(execution_id)

    def cancel(self, execution_id: str, reason: str | None = None) -> Execution:
        """:returns: the state right after acceptance (``CANCELING``), not the final one."""
        return self.act(execution_id, "cancel", reason)

    def pause(self, execution_id: str, reason: str | None = None) -> Execution:
        """:returns: the state right after acceptance (``PAUSING``), not the final one."""
        return self.act(execution_id, "pause", reason)

    def resume(self, execution_id: str, reason: str | None = None) -> Execution:
        """:returns: the state right after acceptance (``RESUMING``), not the final one."""
        return self.act(execution_id, "resume", reason)

    def act(
        self, execution_id: str, action: Literal["cancel", "pause", "resume"], reason: str | None = None
    ) -> Execution:
        """One of the actions above, by its name."""
        if action not in ("cancel", "pause", "resume"):
            raise self._wire.bad_request(f"action must be cancel, pause or resume, got {action!r}")
        return self._act(execution_id, action, {"reason": reason} if reason else {})

    def tag(self, execution_id: str, tags: Sequence[str]) -> Execution:
        """Replace the tags of an execution."""
        return self._act(execution_id, "tag", {"tags": [*tags]})

    def delete(self, execution_id: str) -> ExecutionDocument:
        """Delete an execution from the history; returns it as it was."""
        return cast("ExecutionDocument", self._wire.send("DELETE", _path(execution_id)))

    def _act(self, execution_id: str, action: str, body: Json) -> Execution:
        document = self._wire.send("POST", _path(execution_id), {"action": action}, body=body)
        return self._placed(read_execution(self._wire, document))


def _path(execution_id: str) -> str:
    return path("/executions/{execution_id}", execution_id=execution_id)
