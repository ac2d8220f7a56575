"""The list of a repository's tags: how to request it, what it means for waits, and how far it must be read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from airflow_provider.clients.listing import EndlessListError, endless, page_numbers
from airflow_provider.clients.quay.fields import Json, began_at, is_text
from airflow_provider.clients.quay.tag_history import PAGE
from airflow_provider.clients.quay.wire import Wire

CLOCK_SKEW = 60
"""Seconds by which the clocks of Quay's own nodes may differ: new tags may appear that far below the newest one."""


def tag_pages(
    wire: Wire, repository: str, *, only_active: bool, tag: str | None = None, name_filter: str | None = None
) -> Iterator[list[Json]]:
    """The pages of a list of tags.

    :param only_active: leave out the entries of the history.
    :param tag: only entries of this name.
    :param name_filter: ``like:text`` or ``eq:name``.
    """
    path = wire.repository_path("/tag/", repository)
    for page in page_numbers(wire.transport):
        params = {
            "specificTag": tag,
            "filter_tag_name": name_filter,
            "limit": PAGE,
            "page": page,
            "onlyActiveTags": True if only_active else None,
        }
        answer = wire.get_object(path, params)
        found = wire.objects_at(path, "tags", answer)
        if not all(is_text(entry.get("name")) and is_text(entry.get("manifest_digest")) for entry in found):
            raise wire.unexpected(path, "the answer has a tag without a possible name and manifest_digest")
        yield found
        if not answer.get("has_additional"):
            return
    raise wire.unexpected(path, endless(), EndlessListError)


class TagList(msgspec.Struct):
    """The newest current tags of a repository.

    :param complete: whether they are all.
    :param newest: when (epoch seconds) the newest of them began.
    :param read_to: every tag that began after this is among them.
    """

    tags: dict[str, Json]
    complete: bool
    newest: int | None
    read_to: float

    def leaves(self, status: str, known: int | None) -> bool:
        """Whether a tag that is not in the list is unchanged. :param known: time up to which its changes are known."""
        return status == "missing" if self.complete else _covers(self.read_to, known)


def read_tags(pages: Iterable[Sequence[Json]], known: Sequence[int | None]) -> TagList:
    """Read a list of tags, the newest first, for as long as it may contain anything new.

    :param known: for each wait, the time up to which its tag's changes are known. Reading more pages than there are
        waits would cost more than one request per tag.
    """
    tags: dict[str, Json] = {}
    newest: int | None = None
    read_to = math.inf
    is_ordered = True
    for count, page in enumerate(pages, start=1):
        starts = [began_at(tag) for tag in page]
        is_ordered &= all(starts) and starts == sorted(starts, reverse=True)
        if starts and newest is None:
            newest = starts[0]
        for tag in page:
            tags.setdefault(str(tag.get("name")), tag)
        if is_ordered and starts:
            read_to = starts[-1]
        if count == len(known) or (is_ordered and all(_covers(read_to, each) for each in known)):
            return TagList(tags, False, newest if is_ordered else None, read_to if is_ordered else math.inf)
    return TagList(tags, True, newest if is_ordered else None, -math.inf)


def _covers(read_to: float, known: int | None) -> bool:
    return known is not None and read_to < known - CLOCK_SKEW
