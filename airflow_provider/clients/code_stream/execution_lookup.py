"""Reads executions by their ids, many with one request if the server understands a filter over ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from airflow_provider.clients.code_stream.execution_document import state_of
from airflow_provider.clients.code_stream.fields import Document
from airflow_provider.clients.code_stream.lists import undecoded
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.decoding import decoder, part
from airflow_provider.clients.waitable import concerns_one_execution, or_own_error
from airflow_provider.exceptions import ReleasePipelineError, ServerUnavailableError

MOST_IDS = 50
"""Ids in one request: its URL stays below 4 kB."""

_DOCUMENT: Callable[[bytes], Document] = decoder(dict[str, Any])


class Lookup:
    """:param read_one: reads one execution with its stages and tasks."""

    def __init__(self, wire: Wire, read_one: Callable[[str], Document]) -> None:
        self._wire, self._read_one = wire, read_one
        self._understands_filter: bool | None = None

    @property
    def at_once(self) -> int:
        """How many executions one request can read."""
        return 1 if self._understands_filter is False else MOST_IDS

    def documents(self, ids: Sequence[str]) -> Iterator[tuple[str, Document | None]]:
        """Each id with its execution if a list shows it unfinished; ``None`` for one that needs a request of its own.

        Requests are sent during iteration: the documents of a thousand executions at once would take many megabytes.
        """
        for start in range(0, len(ids), MOST_IDS):
            some = ids[start : start + MOST_IDS]
            listed = self._listed(some)
            for execution_id in some:
                yield execution_id, _unfinished(listed.get(execution_id))

    def one(self, execution_id: str) -> Document | ReleasePipelineError:
        """An execution with all its details, or its own error."""
        return or_own_error(partial(self._read_one, execution_id))

    def _listed(self, ids: Sequence[str]) -> dict[str, Any]:
        """Those executions that a filtered list contains, as parts that are not decoded yet."""
        if len(ids) < 2 or self._understands_filter is False or any("'" in each for each in ids):
            return {}
        where = " or ".join(f"id eq '{each}'" for each in ids)
        query = {"$filter": where, "$top": len(ids), "$skip": 0}
        try:
            listed = self._wire.page("/executions", query, undecoded).rows()
        except ReleasePipelineError as error:
            # Some servers answer 500 to a filter that they do not understand.
            is_refused = isinstance(error, ServerUnavailableError) and error.status == 500
            if not concerns_one_execution(error) and not (is_refused and self._understands_filter is None):
                raise
            self._understands_filter = False
            return {}
        rows = {row_id: row for row_id, row in listed if row is not None}
        if not rows:
            return {}
        # A server that ignores the filter lists others; one that reads only its first or last term lists one.
        is_answer = rows.keys() <= set(ids) and (len(rows) > 1 or self._understands_filter is True)
        self._understands_filter = is_answer
        if not is_answer:
            return {}
        return rows


def _unfinished(listed: Any) -> Document | None:
    """A listed execution unless it has ended: about ended ones, a list says too little."""
    try:
        document: Document | None = part(listed, _DOCUMENT)
    except ValueError:
        return None
    return document if document and not state_of(document).is_terminal else None
