"""The history of a repository's tags: how far it is read, and which entry succeeds which. No HTTP here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from airflow_provider.clients.quay.fields import LATEST, Json, began_at

PAGE = 100
_MOST_READS = 3


class History(msgspec.Struct):
    """Entries of the history, the newest first.

    :param since: all entries that began at this time (epoch seconds) or later are included; minus infinity: all are.
    :param is_one_page: whether it is as it was at one moment. Of several pages, a later one may show that a tag has
        left an image after the first, which would show where it went, was read.
    """

    entries: list[Json]
    since: float = -math.inf
    is_one_page: bool = True

    @property
    def is_whole(self) -> bool:
        return self.since == -math.inf


def read_history(pages: Callable[[], Iterable[list[Json]]], since: float | None) -> History:
    """Read down to a time. Rows move up when Quay drops old entries, so that one may be missed between two pages: if
    there are several pages, they are read again until that finds nothing new.

    :param pages: starts reading, the newest first.
    :param since: epoch seconds; ``None``: to the end.
    """
    found: dict[tuple[str, int, str], Json] = {}
    count, is_whole = 0, True
    for _ in range(_MOST_READS):
        read: dict[tuple[str, int, str], Json] = {}
        known, count, is_whole = len(found), 0, True
        for page in pages():
            count += 1
            for entry in page:
                # The first is the newest: a tag that came back to an image within a second has two entries of one key.
                read.setdefault(_key(entry), entry)
            if since is not None and len(page) == PAGE and _is_past(page, since):
                is_whole = False
                break
        found = read | {key: entry for key, entry in found.items() if key not in read}
        if count <= 1 or len(found) == known:
            break
    entries = sorted(found.values(), key=began_at, reverse=True)
    return History(entries, -math.inf if is_whole or since is None else since, count <= 1)


def end_of(entry: Mapping[str, Any]) -> int | None:
    """Epoch seconds at which an entry ended, or will end; ``None`` for a current one."""
    end = entry.get("end_ts")
    return int(end) if isinstance(end, (int, float)) and not isinstance(end, bool) and 0 < end < LATEST else None


def successions(history: History) -> Iterator[tuple[Json | None, Json | None]]:
    """Pairs of successive entries of each tag; ``None`` stands before the first and after the last one."""
    tags: dict[str, list[Json]] = {}
    for entry in reversed(history.entries):
        tags.setdefault(str(entry["name"]), []).append(entry)
    for entries in tags.values():
        yield from itertools.pairwise([None, *entries, None])


def _is_past(page: Sequence[Json], since: float) -> bool:
    starts = [began_at(entry) for entry in page]
    return all(starts) and starts == sorted(starts, reverse=True) and starts[-1] < since


def _key(entry: Mapping[str, Any]) -> tuple[str, int, str]:
    return str(entry["name"]), began_at(entry), str(entry["manifest_digest"])
