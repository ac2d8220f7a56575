"""Lists as waits read them: an excerpt of each item shows whether it changed; if so, the whole item is read. No I/O."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from airflow_provider.clients.decoding import in_parts, loads, part
from airflow_provider.clients.one_at_a_time import one_at_a_time
from airflow_provider.clients.reading import LARGE
from airflow_provider.exceptions import UnexpectedResponseError

if TYPE_CHECKING:
    from airflow_provider.clients.transport import Transport

ExcerptT = TypeVar("ExcerptT")

LARGEST_REMEMBERED = 4_000_000
"""Bytes of a list that are kept to compare it with the next one: enough for some thousand items."""
LARGEST_OF_MANY = 500_000
"""The same for a list of which a client remembers one for each build or repository that is waited for."""
_SHORTEST_ITEM = 50
"""Bytes of an item, on average: what a wait reads of it takes twice that in memory."""

MOST_PAGES = 1000
"""Of one list. With a hundred rows per page, more than any vendor keeps."""
LONGEST_LIST = 300.0
"""Seconds for which the pages of one list are read, which occupies a thread."""
LARGEST_LIST = 128 * 1024 * 1024
"""Bytes of all pages of one list, which take many times that in memory: some ten thousand executions, or hundreds of
thousands of tags."""
LONGEST_EXCERPT = 10_000
"""Characters of one field of an excerpt that is kept from one poll to the next."""


def may_be_kept(excerpt: msgspec.Struct) -> bool:
    """Whether an excerpt is as small as it should be. An item with a larger one counts as changed at each poll."""
    return all(
        value is None or isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= LONGEST_EXCERPT)
        for value in msgspec.structs.astuple(excerpt)
    )


class EndlessListError(UnexpectedResponseError):
    """A list does not end within the allowed pages, time and size."""


def page_numbers(transport: Transport) -> Iterator[int]:
    """The numbers of a list's pages, from 1 on, for as long as its limits allow reading another one.

    :param transport: sends the requests for the pages, all from this thread.
    """
    began, before = time.monotonic(), transport.received
    for number in range(1, MOST_PAGES + 1):
        yield number
        if time.monotonic() - began > LONGEST_LIST or transport.received - before > LARGEST_LIST:
            return


def endless() -> str:
    """The text about a list whose pages have reached a limit."""
    megabytes = LARGEST_LIST / 1024 / 1024
    return f"the list did not end within {MOST_PAGES} pages, {LONGEST_LIST:g} s and {megabytes:g} MB"


class Listing(Generic[ExcerptT]):
    """:param content: the body of the answer.
    :param excerpts: of each item, in the body's order, the fields that show whether it changed.
    :param id_of: the id in an excerpt.
    :param field: the body's field that holds the list; ``None`` if the body is the list.
    """

    def __init__(
        self, content: bytes, excerpts: Sequence[ExcerptT], id_of: Callable[[ExcerptT], str], field: str | None
    ) -> None:
        self._content, self._excerpts, self._field = content, excerpts, field
        self._places = {id_of(excerpt): place for place, excerpt in enumerate(excerpts)}

    @property
    def count(self) -> int:
        """How many items it has."""
        return len(self._excerpts)

    def is_of(self, content: bytes) -> bool:
        """Whether it was made from an equal body."""
        return self._content == content

    def excerpt(self, item_id: str) -> ExcerptT | None:
        """The excerpt of an item; ``None`` if it is not in the list."""
        place = self._places.get(item_id)
        return None if place is None else self._excerpts[place]

    def item(self, item_id: str) -> Any:
        """A whole item; ``None`` if it is not in the list, or cannot be read."""
        place = self._places.get(item_id)
        if place is None or self._items is None:
            return None
        try:
            return part(self._items[place])
        except ValueError:
            # Its excerpt was decoded without the rest of it.
            return None

    @functools.cached_property
    def _items(self) -> Sequence[Any] | None:
        """The items, each to be decoded on its own: of thousands, few have changed."""
        try:
            if self._field is None:
                items = in_parts(self._content, list[msgspec.Raw], _loads)
            else:
                body = in_parts(self._content, dict[str, msgspec.Raw], _loads)
                items = part(body[self._field], msgspec.json.Decoder(list[msgspec.Raw]).decode)
        except ValueError:
            return None
        found: Sequence[Any] = items
        return found


def _loads(content: bytes) -> Any:
    """As in the transport: a large body is decoded after all others."""
    return one_at_a_time(functools.partial(loads, content)) if len(content) > LARGE else loads(content)


class Remembered:
    """Decodes the bodies of one list: a body equal to the previous one is not decoded again.

    :param decode: makes a :class:`Listing` from a body, or something else if the body is not such a list.
    :param most: bytes of a body that is kept.
    """

    def __init__(self, decode: Callable[[bytes], Any], most: int = LARGEST_REMEMBERED) -> None:
        self._decode, self._most = decode, most
        self._last: Listing[Any] | None = None

    def has(self, content: bytes) -> bool:
        """Whether the previous body was equal, and is kept."""
        last = self._last
        return last is not None and last.is_of(content)

    def __call__(self, content: bytes) -> Any:
        last = self._last
        if last and last.is_of(content):
            # A copy, without whole items that may have been decoded since.
            return copy.copy(last)
        found = self._decode(content)
        is_small = isinstance(found, Listing) and max(len(content), _SHORTEST_ITEM * found.count) <= self._most
        self._last = copy.copy(found) if is_small else None
        return found


def decode_excerpts(content: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """The body as the decoder's type.

    :raises msgspec.ValidationError: it is of another type.
    """
    try:
        return decoder.decode(content)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, RecursionError):
        # Stricter than `json`, even about strings that it skips.
        return msgspec.convert(loads(content), decoder.type)
