"""Lists of executions: those of one pipeline, those of one start, and those that are waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from airflow_provider.clients.code_stream.execution_document import request_time, state_of
from airflow_provider.clients.code_stream.fields import Document, as_text
from airflow_provider.clients.code_stream.lists import PAGE, Decode, Page, down_to, equal
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.decoding import decoder
from airflow_provider.clients.urls import path
from airflow_provider.clients.waitable import concerns_one_execution
from airflow_provider.exceptions import ReleasePipelineError

NEWEST_EXECUTION_FIRST = "_requestTimeInMicros desc"
LONG_PAGE = 1000
"""Rows per page when many executions are polled. If a server returns fewer, the next page is read."""
CLOCK_SKEW = timedelta(minutes=10)


class _ListedExecution(msgspec.Struct, rename={"request_time": "_requestTimeInMicros", "message": "statusMessage"}):
    """The fields of a listed execution that a wait needs; the rest of a long list is not decoded."""

    status: Any = None
    message: Any = None
    request_time: Any = None


_EXECUTIONS: Decode[_ListedExecution] = decoder(Page[_ListedExecution])


def runs_since(wire: Wire, name: str, project: str, since: datetime) -> Iterator[Document]:
    """The executions of a pipeline that were requested since then, newest first, without nested and rollback ones.

    None if the server refuses to list them, which says nothing about them.
    """
    if not name:
        return
    # How a quote is escaped in a filter is not documented.
    where = None if "'" in name + project else equal({"name": name, "project": project})
    rows = wire.rows("/executions", where=where, order=NEWEST_EXECUTION_FIRST)
    try:
        for row in down_to(since, rows, request_time):
            is_of_pipeline = (row.get("name"), row.get("project")) == (name, project)
            if is_of_pipeline and _is_run(row):
                yield row
    except ReleasePipelineError as error:
        if not concerns_one_execution(error):
            raise


def marked_runs(wire: Wire, pipeline_id: str, marker: str, since: float) -> list[Document]:
    """The executions of a pipeline whose comments contain the marker of a start, oldest first.

    :param since: epoch seconds of the start.
    """
    oldest = datetime.fromtimestamp(since, UTC) - CLOCK_SKEW
    older = 0
    found: list[Document] = []
    for document in wire.rows(
        path("/pipelines/{pipeline_id}/executions", pipeline_id=pipeline_id),
        items="/executions",
        order=NEWEST_EXECUTION_FIRST,
    ):
        requested = request_time(document)
        if requested and requested < oldest:
            older += 1
            if older >= PAGE:
                break
        if _is_run(document) and marker in str(document.get("comments") or ""):
            found.insert(0, document)
    return sorted(found, key=lambda each: request_time(each) or oldest)


def newest_unfinished(wire: Wire, wanted: Sequence[str]) -> dict[str, Document]:
    """Those that a list of the newest shows unfinished; about those that have ended, a list says too little."""
    top = PAGE if len(wanted) <= PAGE // 2 else LONG_PAGE
    found = wire.newest("/executions", NEWEST_EXECUTION_FIRST, wanted, _EXECUTIONS, top)
    documents = {
        execution_id: {
            "id": execution_id,
            "status": row.status,
            "statusMessage": row.message,
            "_requestTimeInMicros": row.request_time,
        }
        for execution_id, row in found.items()
    }
    return {each: document for each, document in documents.items() if not state_of(document).is_terminal}


def _is_run(row: Document) -> bool:
    """Whether it is an execution that somebody requested, not a part or the rollback of another one.

    The API's own filters write these booleans as texts.
    """
    return not any(as_text(row.get(name)).lower() == "true" for name in ("_nested", "_rollback"))
