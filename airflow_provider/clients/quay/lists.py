"""What Quay's lists of builds and tags say to waits, and how far a list of tags must be read. No HTTP here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from airflow_provider.clients.decoding import loads
from airflow_provider.clients.listing import Listing, decode_glances
from airflow_provider.clients.quay.answers import seconds_of
from airflow_provider.clients.quay.executions import Json
from airflow_provider.execution import Execution, ExecutionRef

CLOCK_SKEW = 60
"""Seconds that the clocks of Quay's own nodes may be apart: new tags may stand that far below the newest one."""


class Told(msgspec.Struct):
    """What a wait was told; for a tag also up to which time (epoch seconds, Quay's clock) it knows of all changes."""

    execution: Execution
    known: int | None = None


class Glance(msgspec.Struct):
    """What of a listed build changes when it moves on."""

    id: Any = None
    phase: Any = None
    error: Any = None


class _Answer(msgspec.Struct):
    builds: list[Glance]


_DECODER = msgspec.json.Decoder(_Answer)


class Builds(Listing[Glance]):
    """The newest builds of a repository."""

    def is_unchanged(self, ref: ExecutionRef, told: Told) -> bool:
        glance = self.glance(ref["id"])
        if glance is None or str(glance.phase or "") != told.execution.status:
            return False
        return (glance.error or None) == told.execution.message


def decode_builds(content: bytes) -> Any:
    """:class:`Builds`, or for an answer that is none its JSON."""
    try:
        glances = decode_glances(content, _DECODER).builds
    except msgspec.ValidationError:
        return loads(content)
    return Builds(content, glances, lambda glance: str(glance.id), lambda whole: whole["builds"])


class Tags(msgspec.Struct):
    """The newest living tags of a repository.

    :param complete: whether they are all.
    :param newest: when (epoch seconds) the newest of them began to live.
    :param read_to: every tag that began to live after this is among them.
    """

    tags: dict[str, Json]
    complete: bool
    newest: int | None
    read_to: float

    def is_unchanged(self, ref: ExecutionRef, told: Told) -> bool:
        if ref["tag"] in self.tags:
            return False
        if told.execution.status != "missing" if self.complete else not _covers(self.read_to, told.known):
            return False
        told.known = self.newest
        return True


def read_tags(pages: Iterable[Sequence[Json]], known: Sequence[int | None]) -> Tags:
    """Read a list of tags, the newest first, as far as it can tell anything new.

    :param known: of each wait for a tag. More pages than waits would be dearer than asking for each tag.
    """
    tags: dict[str, Json] = {}
    newest: int | None = None
    read_to = math.inf
    is_ordered = True
    for count, page in enumerate(pages, start=1):
        starts = [seconds_of(tag) for tag in page]
        is_ordered &= all(starts) and starts == sorted(starts, reverse=True)
        if starts and newest is None:
            newest = starts[0]
        for tag in page:
            tags.setdefault(str(tag.get("name")), tag)
        if is_ordered and starts:
            read_to = starts[-1]
        if count == len(known) or (is_ordered and all(_covers(read_to, each) for each in known)):
            return Tags(tags, False, newest if is_ordered else None, read_to if is_ordered else math.inf)
    return Tags(tags, True, newest if is_ordered else None, -math.inf)


def _covers(read_to: float, known: int | None) -> bool:
    return known is not None and read_to < known - CLOCK_SKEW
