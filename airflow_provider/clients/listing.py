"""A list as waits read it: of each item only what tells that it has moved, the whole of it where it has. No I/O."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from airflow_provider.clients.decoding import loads
from airflow_provider.exceptions import UnexpectedResponseError

Glance = TypeVar("Glance")

LARGEST_REMEMBERED = 4_000_000
"""Bytes of a list that are kept to be compared with the next ones: as many as some thousand items have."""

MOST_PAGES = 1000
"""Of one list. With a hundred rows on each, more than any vendor keeps."""
LONGEST_LIST = 300.0
"""Seconds for which the pages of one list are read: a thread is held meanwhile."""


class EndlessListError(UnexpectedResponseError):
    """A list does not end within the pages and the time that it may take."""


class Listing(Generic[Glance]):
    """:param content: the body of the answer.
    :param glances: what tells of each item that it has moved, in the body's order.
    :param id_of: the id that a glance shows.
    :param field: of the body, which holds the list; ``None`` where the body is the list.
    """

    def __init__(
        self, content: bytes, glances: Sequence[Glance], id_of: Callable[[Glance], str], field: str | None
    ) -> None:
        self._content, self._glances, self._field = content, glances, field
        self._places = {id_of(glance): place for place, glance in enumerate(glances)}

    def is_of(self, content: bytes) -> bool:
        """Whether it was made of a body like this."""
        return self._content == content

    def glance(self, item_id: str) -> Glance | None:
        """``None`` for one that is not in the list."""
        place = self._places.get(item_id)
        return None if place is None else self._glances[place]

    def item(self, item_id: str) -> Any:
        """The whole item; ``None`` for one that is not in the list, or cannot be read."""
        place = self._places.get(item_id)
        if place is None or self._items is None:
            return None
        item = self._items[place]
        try:
            return loads(bytes(item)) if isinstance(item, msgspec.Raw) else item
        except ValueError:
            # What tells that it moved was decoded without the rest of it.
            return None

    @functools.cached_property
    def _items(self) -> Sequence[Any] | None:
        """The items, each to be decoded by itself: of thousands, few have moved."""
        try:
            listed: Any = self._content
            if self._field is not None:
                listed = msgspec.json.decode(self._content, type=dict[str, msgspec.Raw])[self._field]
            return msgspec.json.decode(listed, type=list[msgspec.Raw])
        except (msgspec.DecodeError, RecursionError):
            # Stricter than `json`: the glances were decoded with that, too.
            return self._decoded_items()

    def _decoded_items(self) -> Sequence[Any] | None:
        try:
            whole = loads(self._content)
        except ValueError:
            return None
        found: Sequence[Any] = whole if self._field is None else whole[self._field]
        return found


class Remembered:
    """Decodes the bodies of one list: one with the very bytes of the one before is not decoded again.

    :param decode: makes a :class:`Listing` of a body, or whatever else it is of one that is none.
    """

    def __init__(self, decode: Callable[[bytes], Any]) -> None:
        self._decode = decode
        self._last: Listing[Any] | None = None

    def __call__(self, content: bytes) -> Any:
        last = self._last
        if last and last.is_of(content):
            # Without the whole items that somebody has read of it.
            return copy.copy(last)
        found = self._decode(content)
        is_kept = isinstance(found, Listing) and len(content) <= LARGEST_REMEMBERED
        self._last = copy.copy(found) if is_kept else None
        return found


def decode_glances(content: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """The body as the decoder's type.

    :raises msgspec.ValidationError: it is of another type.
    """
    try:
        return decoder.decode(content)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, RecursionError):
        # Stricter than `json`, even about texts that it passes over.
        return msgspec.convert(loads(content), decoder.type)
