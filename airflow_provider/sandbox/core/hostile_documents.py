"""Invents and alters documents: almost right, endless, or complete garbage, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from airflow_provider.sandbox.core.hostile_bytes import PLAIN
from airflow_provider.sandbox.core.hostile_values import (
    BODIES,
    HEADER_VALUES,
    HEADERS,
    MORE_STATUSES,
    NASTY_NUMBERS,
    NASTY_TEXTS,
    STATUSES,
)

MANY = 10**9


class Chance:
    """Draws documents, headers and statuses from a seed, reproducibly.

    :param names: names of fields in the vendor's documents.
    :param words: scalars in them.
    :param spared: scalars that are never invented, however plausible.
    """

    def __init__(
        self, seed: int | None, names: Sequence[str] = (), words: Sequence[Any] = (), spared: Sequence[Any] = ()
    ) -> None:
        self.random = random.Random(seed)
        self._names, self._spared = names, spared
        self._words = [word for word in words if not self._is_spared(word)]
        self._numbers = [number for number in NASTY_NUMBERS if not self._is_spared(number)]

    def one_in(self, chances: int) -> bool:
        return self.random.randrange(chances) == 0

    def pick(self, options: Sequence[Any]) -> Any:
        return self.random.choice(options)

    def below(self, limit: int) -> int:
        return self.random.randrange(limit)

    def text(self) -> str:
        if self.one_in(2):
            return str(self.pick(NASTY_TEXTS))
        # Including lone surrogates and all control characters.
        return "".join(chr(self.below(self.pick((0x80, 0xFFFF, 0x10FFFF)))) for _ in range(self.below(12)))

    def any_value(self, depth: int = 0) -> Any:
        """Any JSON whose objects use the vendor's names, and whose scalars may be its words."""
        kind = self.below(10 if depth < 3 else 8)
        if kind < 3:
            return self.pick(self._words or self._numbers)
        if kind < 5:
            return self.pick(self._numbers)
        if kind < 7:
            return self.text()
        if kind == 7:
            return self.pick((None, True, False, [], {}))
        if kind == 8:
            return [self.any_value(depth + 1) for _ in range(self.below(4))]
        return {self.pick((*self._names, self.text())): self.any_value(depth + 1) for _ in range(self.below(6))}

    def mutant(self, document: Any) -> Any:
        """A copy of a vendor's document in which a few parts are replaced or missing."""
        if self.one_in(15):
            return self.any_value()
        if isinstance(document, dict):
            changed = {}
            for key, value in document.items():
                what = self.below(24)
                if what == 0:
                    changed[key] = self.any_value()
                elif what > 1:
                    changed[key] = self.mutant(value) if isinstance(value, (dict, list)) else value
            return changed
        if isinstance(document, list):
            return [self.mutant(item) for item in document] * self.pick((1, 1, 1, 0, 2))
        return document

    def endless(self, document: Any) -> Any:
        """A page of a list that always claims to have a next one."""
        if isinstance(document, dict):
            more = {name: self.endless(value) for name, value in document.items()}
            for name, value in more.items():
                if isinstance(value, int):
                    lower = name.lower()
                    if "count" in lower or "total" in lower:
                        more[name] = MANY
                    elif "more" in lower or "additional" in lower:
                        more[name] = True
            return more | {"next_page": f"page-{self.below(MANY)}"}
        if isinstance(document, list):
            return [self.endless(item) for item in document]
        return document

    def headers(self) -> dict[str, str]:
        return {
            self.pick(HEADERS): self.pick((*HEADER_VALUES, "".join(self.text().split()))).replace("\0", "")
            for _ in range(self.below(4))
        }

    def some_status(self) -> int:
        return int(self.pick(STATUSES if self.below(3) else MORE_STATUSES))

    def some_bytes(self) -> bytes:
        return bytes(self.pick((*BODIES, self.random.randbytes(self.below(40)))))

    def way(self) -> int:
        """How to send an answer: plainly, most of the time."""
        return min(self.below(30), PLAIN)

    def _is_spared(self, value: Any) -> bool:
        return any(value == spared and isinstance(spared, str) == isinstance(value, str) for spared in self._spared)
