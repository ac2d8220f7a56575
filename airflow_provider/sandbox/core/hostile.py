"""A broken or hostile vendor, or a proxy in its place: its answers are anything from almost right to complete garbage.

Drawn from a seed, and independent of the systems. ``hostile_documents.py`` invents documents, ``hostile_bytes.py``
sends them badly, ``hostile_values.py`` holds what both draw from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from airflow_provider.sandbox.core.hostile_bytes import MONSTERS, wire
from airflow_provider.sandbox.core.hostile_documents import Chance

SLOWEST = 3.0
"""Seconds for an answer."""
_PIECES = 6


class Sent(NamedTuple):
    """An answer as it is sent. :param pauses: seconds before each piece."""

    pieces: list[bytes]
    pauses: float = 0.0
    status: int = 0


class Hostile:
    """A vendor that answers at random, but the same for the same seed.

    :param spared: scalars that it never invents. If these are the words of success, any success that a client observes
        and the vendor did not send is a fault of the client.
    :param slowest: maximum seconds for an answer.
    """

    def __init__(self, seed: int | None, spared: Sequence[Any] = (), slowest: float = SLOWEST) -> None:
        self._draw = Chance(seed)
        self._spared, self._slowest = spared, slowest

    def next_seed(self) -> int:
        return self._draw.below(2**62)

    def answer(self, seed: int, status: int, body: bytes) -> Sent:
        """The hostile version of an answer. :param status: of the real answer, and its ``body``."""
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = {}
        names, words = _parts(document)
        chance = Chance(seed, names, words, self._spared)
        if chance.one_in(40):
            return Sent([self._monster(chance)], status=200)
        if chance.one_in(4):
            status, body = chance.some_status(), chance.some_bytes()
        elif chance.one_in(4):
            body = dump(chance.endless(document))
        else:
            status = chance.some_status() if chance.one_in(4) else status
            body = dump(chance.mutant(document))
        content = wire(status, body, chance.headers() if chance.one_in(2) else {}, chance.way())
        return self._paced(chance, content, status)

    def _monster(self, chance: Chance) -> bytes:
        return bytes(chance.pick(MONSTERS)())

    def _paced(self, chance: Chance, content: bytes, status: int) -> Sent:
        if not chance.one_in(25) or not content:
            return Sent([content], status=status)
        # Small pieces end within the headers.
        size = max(1, min(len(content), chance.pick((60, len(content)))) // _PIECES)
        pieces = [content[start : start + size] for start in range(0, size * _PIECES, size)]
        return Sent([*pieces, content[size * _PIECES :]], self._slowest / (len(pieces) + 1), status)


def _parts(document: Any) -> tuple[list[str], list[Any]]:
    """Names and scalars of a document, each once."""
    names: dict[str, None] = {}
    words: dict[Any, None] = {}
    todo = [document]
    while todo:
        each = todo.pop()
        if isinstance(each, dict):
            names.update(dict.fromkeys(each))
            todo += each.values()
        elif isinstance(each, list):
            todo += each
        elif isinstance(each, (str, int, float)):
            words[each] = None
    return list(names), list(words)


def dump(document: Any) -> bytes:
    """JSON as Python writes it: with NaN, infinity and lone surrogates."""
    return json.dumps(document).encode("utf-8", "surrogatepass")
