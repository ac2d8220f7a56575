"""The filters of Code Stream's lists: the grammar of ``$filter``, compiled to predicates over documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

Document = dict[str, Any]
Predicate = Callable[[Document], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)(?![\w.])|(?P<word>[A-Za-z_@][\w.@]*)|(?P<sign>[(),]))", re.ASCII
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}
_CASE: dict[str, Callable[[str], str]] = {"toupper": str.upper, "tolower": str.lower}


class FilterError(ValueError):
    """The text is outside the documented grammar."""


def compile_filter(text: str) -> Predicate:
    """A predicate over documents; FilterError if the text does not match the grammar."""
    parser = _Parser(text)
    predicate = parser.either()
    if parser.kind is not None:
        raise FilterError(f"unexpected {parser.value!r}")
    return predicate


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position, text = 0, text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise FilterError(f"cannot read {text[position:]!r}")
            self._tokens.append((match.lastgroup or "", match.group(match.lastgroup or 0)))
            position = match.end()
        self._next = 0

    @property
    def kind(self) -> str | None:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else None

    @property
    def value(self) -> str:
        return self._tokens[self._next][1] if self._next < len(self._tokens) else ""

    def either(self) -> Predicate:
        parts = [self._both()]
        while self._skip("or"):
            parts.append(self._both())
        if len(parts) == 1:
            return parts[0]
        return _any_of(parts)

    def _both(self) -> Predicate:
        parts = [self._single()]
        while self._skip("and"):
            parts.append(self._single())
        if len(parts) == 1:
            return parts[0]
        return lambda document: all(part(document) for part in parts)

    def _single(self) -> Predicate:
        if self._skip("not"):
            inner = self._single()
            return lambda document: not inner(document)
        if self._skip("("):
            inner = self.either()
            self._expect(")")
            return inner
        if self.kind != "word":
            raise FilterError(f"a field is missing before {self.value!r}")
        if self.value in ("startswith", "endswith", "substringof"):
            return self._text_function(self._take())
        field = self._field()
        operator = self._take()
        if operator not in _COMPARE:
            raise FilterError(f"unknown operator {operator!r}")
        return _comparison(field, operator, self._literal())

    def _text_function(self, name: str) -> Predicate:
        self._expect("(")
        if name == "substringof":
            text = str(self._literal())
            self._expect(",")
            field = self._field()
        else:
            field = self._field()
            self._expect(",")
            text = str(self._literal())
        self._expect(")")
        if name == "startswith":
            return lambda document: text_of(field(document)).startswith(text)
        if name == "endswith":
            return lambda document: text_of(field(document)).endswith(text)
        return lambda document: text in text_of(field(document))

    def _field(self) -> _Field:
        if self.kind != "word":
            raise FilterError(f"a field is missing before {self.value!r}")
        word = self._take()
        if word not in _CASE:
            return _Field(word, None)
        self._expect("(")
        name = self._take()
        self._expect(")")
        return _Field(name, _CASE[word])

    def _literal(self) -> str | int:
        if self.kind == "text":
            return self._take()[1:-1].replace("''", "'")
        if self.kind == "number":
            return int(self._take())
        raise FilterError(f"a quoted value is missing before {self.value!r}")

    def _take(self) -> str:
        value = self.value
        self._next += 1
        return value

    def _skip(self, value: str) -> bool:
        if self.kind in ("word", "sign") and self.value == value:
            self._next += 1
            return True
        return False

    def _expect(self, value: str) -> None:
        if not self._skip(value):
            raise FilterError(f"{value!r} is missing before {self.value!r}")


class _Field:
    def __init__(self, name: str, case: Callable[[str], str] | None) -> None:
        self.name = name
        self.case = case

    def __call__(self, document: Document) -> Any:
        value = document.get(self.name)
        return value if self.case is None else self.case(text_of(value))


class _Equal:
    """``field eq 'x'`` or ``... in`` a set: many of them joined by ``or`` need a single lookup."""

    def __init__(self, name: str, values: frozenset[str]) -> None:
        self.name = name
        self.values = values

    def __call__(self, document: Document) -> bool:
        return text_of(document.get(self.name)) in self.values


def _any_of(parts: Sequence[Predicate]) -> Predicate:
    equals = [part for part in parts if isinstance(part, _Equal)]
    if len(equals) == len(parts) and len({part.name for part in equals}) == 1:
        return _Equal(equals[0].name, frozenset().union(*(part.values for part in equals)))
    return lambda document: any(part(document) for part in parts)


def _comparison(field: _Field, operator: str, literal: str | int) -> Predicate:
    compare = _COMPARE[operator]
    if operator == "eq" and field.case is None:
        return _Equal(field.name, frozenset({str(literal)}))

    def holds(document: Document) -> bool:
        value = field(document)
        if isinstance(value, int) and not isinstance(value, bool) and str(literal).lstrip("-").isdigit():
            return compare(value, int(literal))
        return compare(text_of(value), str(literal))

    return holds


def text_of(value: Any) -> str:
    """A value of a document as filters and sort orders compare it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
