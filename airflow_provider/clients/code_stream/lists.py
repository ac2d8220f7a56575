"""The format of Code Stream's lists, and of queries for them. No HTTP here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from airflow_provider.clients.code_stream.fields import Document, id_from_link
from airflow_provider.clients.decoding import decoder, in_parts
from airflow_provider.exceptions import UnexpectedResponseError

PAGE = 100
"""Rows per page, as public clients use it. If a server returns fewer, the next page is read."""
_FEW = 10
"""Older documents after which a list that has kept its order contains no younger ones."""

_LONGEST_COUNT = 20
"""Characters of a number of rows."""

_NULL = msgspec.Raw(b"null")

Row = TypeVar("Row")


class Page(msgspec.Struct, Generic[Row]):
    """A page of a list: only ``links`` is ordered, and a link may lack its document."""

    links: list[str] | None = None
    documents: dict[str, Row | None] | None = None
    totalCount: Any = None  # noqa: N815 - the field's name

    @property
    def total(self) -> int | None:
        """How many rows all pages have; ``None`` if the server does not say."""
        return total_of(self.totalCount)

    def rows(self) -> list[tuple[str, Row | None]]:
        """The ids of this page in order, each with its document."""
        documents = self.documents or {}
        return [(id_from_link(link), documents.get(link)) for link in self.links or documents]


class _UndecodedPage(msgspec.Struct):
    links: list[str] | None = None
    documents: dict[str, msgspec.Raw] | None = None
    totalCount: Any = None  # noqa: N815 - the field's name


Decode = Callable[[bytes], Page[Row]]

OBJECTS: Decode[dict[str, Any]] = decoder(Page[dict[str, Any]])


def undecoded(content: bytes) -> Page[msgspec.Raw | dict[str, Any]]:
    """A page whose rows are still JSON, to be decoded one at a time by :func:`~airflow_provider.clients.decoding.part`.

    Decoding fifty executions at once creates so many objects that Python collects garbage, including all modules of
    Airflow: no other thread runs for 0.2 s.
    """
    page = in_parts(content, _UndecodedPage, OBJECTS)
    rows = {link: row for link, row in (page.documents or {}).items() if row is not None and row != _NULL}
    return Page(page.links, rows, page.totalCount)


def total_of(count: object) -> int | None:
    """The number of rows of a list: some servers write 64-bit numbers as text."""
    if isinstance(count, str) and count.isdecimal() and len(count) < _LONGEST_COUNT:
        return int(count)
    return int(count) if isinstance(count, (int, float)) and not isinstance(count, bool) else None


class RepeatedPageError(UnexpectedResponseError):
    """A server answers with the same rows for a later page of a list: the rest of the list cannot be read."""


def equal(fields: Mapping[str, str | None]) -> str | None:
    """A ``$filter`` for equal fields; ``None`` if there are none."""
    terms = ["{} eq '{}'".format(name, value.replace("'", "''")) for name, value in fields.items() if value is not None]
    return " and ".join(terms) or None


def down_to(
    since: datetime | None, newest_first: Iterable[Document], time_of: Callable[[Document], datetime | None]
) -> Iterator[Document]:
    """The documents that are not older than ``since``, read for as long as the list may contain some.

    Times may lack the fraction of the second.
    """
    older = 0
    is_ordered, last = True, None
    for document in newest_first:
        moment = time_of(document)
        if since is None or (moment is not None and moment >= since.replace(microsecond=0)):
            yield document
        elif (older := older + 1) >= (_FEW if is_ordered else PAGE):
            return
        is_ordered &= moment is not None and (last is None or moment.replace(microsecond=0) <= last)
        last = moment
