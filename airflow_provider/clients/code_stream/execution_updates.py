"""The list of executions by their last update, read from the newest down to what is already known.

Only the server's own times are compared with each other. ``execution_watch.py`` decides what a change means for a wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec

from airflow_provider.clients.code_stream.fields import Document, id_from_link
from airflow_provider.clients.code_stream.lists import PAGE, total_of
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.decoding import decoder
from airflow_provider.clients.waitable import concerns_one_execution
from airflow_provider.exceptions import BadRequestError, ReleasePipelineError, ServerUnavailableError
from airflow_provider.execution import Execution

log = logging.getLogger(__name__)

FIRST_PAGE = 25
"""Rows of the first page: while nothing happens, it is the only one."""
CLOCK_SKEW = 10_000_000
"""Microseconds by which the clocks of the server's nodes may differ, and that a change may take to appear in a list."""


class Excerpt(msgspec.Struct, rename={"updated": "_updateTimeInMicros", "message": "statusMessage"}):
    """The fields of a row that show whether it changed."""

    updated: Any = None
    status: Any = None
    message: Any = None


def excerpt_of(document: Document) -> Excerpt:
    """The excerpt of a whole document."""
    return Excerpt(document.get("_updateTimeInMicros"), document.get("status"), document.get("statusMessage"))


class _Page(msgspec.Struct):
    links: list[str] | None = None
    documents: dict[str, msgspec.Raw] | None = None
    totalCount: Any = None  # noqa: N815 - the field's name


_PAGE = msgspec.json.Decoder(_Page)
_EXCERPT: Callable[[bytes], Excerpt] = decoder(Excerpt)


Reader = Callable[[str, Excerpt, msgspec.Raw], Execution | None]
"""Reads one row, given its id, excerpt and whole JSON, if its excerpt is not enough. Called page by page: the rows of
a thousand executions at once would take megabytes."""


class Row(msgspec.Struct):
    """One row of the list, and what the reader returned for it."""

    excerpt: Excerpt
    execution: Execution | None


class UpdatesReading(msgspec.Struct):
    """The result of one reading of the list. Times are epoch microseconds of the server.

    :param rows: by id; ``None`` for a row whose document was left out.
    :param newest: time of the last change, 0 if there was none.
    :param read_to: the rows contain every execution that changed after this; -1 if they contain all executions.
    :param known: time up to which all changes are known now, apart from ``CLOCK_SKEW``.
    """

    rows: dict[str, Row | None] = msgspec.field(default_factory=dict)
    newest: int = 0
    read_to: int = -1
    known: int = 0

    def covers(self, known: int | None) -> bool:
        """Whether an execution without a row has not changed since all changes up to ``known`` were known."""
        # If the newest change is older than the known ones, the server's clock was set back, and nothing is certain.
        return known is not None and self.read_to < known - CLOCK_SKEW <= self.newest


class Updates:
    """The list of one connection. It is not used again if the server does not keep to its order."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._is_proven = False
        self.is_usable = True
        self._stood_still: tuple[int, float] | None = None
        self.known: int | None = None

    def read(self, known: int | None, most_pages: int, reader: Reader) -> UpdatesReading | None:
        """Read down to ``known``; ``None`` if the server has no such list.

        :param known: time up to which all changes are known; ``None`` to learn only where the list begins.
        """
        if not self.is_usable:
            return None
        started = time.monotonic()
        try:
            reading = self._read(known, most_pages, reader)
        except ReleasePipelineError as error:
            # Some servers answer 500 if they cannot order by a field.
            is_refused = isinstance(error, ServerUnavailableError) and error.status == 500 and not self._is_proven
            if not is_refused and not concerns_one_execution(error):
                raise
            if is_refused or isinstance(error, BadRequestError):
                self.distrust("it refuses to order executions by their last change")
            return None
        if reading is None:
            self.distrust("it does not order executions by their last change")
            return None
        self._is_proven = True
        self.known = reading.known = self._known(reading.newest, started)
        return reading

    def _known(self, newest: int, started: float) -> int:
        """The server's time also passes while nothing changes: later changes carry later times."""
        stood_still = self._stood_still
        if stood_still is None or stood_still[0] != newest:
            stood_still = self._stood_still = newest, started
        return newest + min(CLOCK_SKEW, int((started - stood_still[1]) * 1e6))

    def distrust(self, why: str) -> None:
        """Never use the list of this connection again."""
        if self.is_usable:
            log.warning("Code Stream: %s; falling back to more expensive polling", why)
        self.is_usable = False

    def _read(self, known: int | None, most_pages: int, reader: Reader) -> UpdatesReading | None:
        reading = UpdatesReading()
        last_id = ""
        skip = 0
        for number in range(most_pages):
            top = PAGE if number else FIRST_PAGE
            page = self._page(skip, top, reader)
            ids = [row_id for row_id, _ in page.rows]
            if number and last_id not in ids:
                # Rows were deleted in the meantime: others may have moved up and been missed.
                return reading
            reading.rows.update(page.rows)
            times = [row.excerpt.updated for _, row in page.rows if row]
            if not all(isinstance(time, int) for time in times) or times != sorted(times, reverse=True):
                return None
            if times:
                reading.newest = reading.newest or times[0]
                reading.read_to = times[-1]
            if page.is_last(skip):
                reading.read_to = -1
                return reading
            if known is None or reading.read_to < known - CLOCK_SKEW:
                return reading
            last_id = ids[-1]
            skip += max(1, len(ids) - 1)
        return reading

    def _page(self, skip: int, top: int, reader: Reader) -> _UpdatesPage:
        query = {"$orderby": "_updateTimeInMicros desc", "$top": top, "$skip": skip}
        page: _Page | None = self._wire.answer("GET", "/executions", query, decode=_PAGE.decode).data
        if page is None:
            raise self._wire.unexpected("/executions", "the answer is not a list")
        return _UpdatesPage(page, reader)


class _UpdatesPage:
    def __init__(self, page: _Page, reader: Reader) -> None:
        documents = page.documents or {}
        links = documents if page.links is None else page.links
        self.rows = [_row(id_from_link(link), documents.get(link), reader) for link in links]
        self._total = total_of(page.totalCount)

    def is_last(self, skip: int) -> bool:
        if self._total is None:
            return not self.rows
        return skip + len(self.rows) >= self._total


def _row(row_id: str, document: msgspec.Raw | None, reader: Reader) -> tuple[str, Row | None]:
    if not document or bytes(document) == b"null":
        return row_id, None
    excerpt = _EXCERPT(bytes(document))
    return row_id, Row(excerpt, reader(row_id, excerpt, document))
