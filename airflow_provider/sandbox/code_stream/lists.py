"""The list engine: ``$filter``, ``$orderby`` and paging, and the shape of a list reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from airflow_provider.sandbox.code_stream.errors import RefusedError
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Call

Document = dict[str, Any]
Predicate = Callable[[Document], bool]
DEFAULT_TOP = 25
DEFAULT_ORDER = "name desc"

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
    """A predicate over documents; FilterError when the text is not of the grammar."""
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
            return lambda document: _text(field(document)).startswith(text)
        if name == "endswith":
            return lambda document: _text(field(document)).endswith(text)
        return lambda document: text in _text(field(document))

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
        self._case = case

    def __call__(self, document: Document) -> Any:
        value = document.get(self.name)
        return value if self._case is None else self._case(_text(value))


class _Equal:
    """``field eq 'x'`` or ``... in`` a set: many of them joined by ``or`` cost one look-up."""

    def __init__(self, name: str, values: frozenset[str]) -> None:
        self.name = name
        self.values = values

    def __call__(self, document: Document) -> bool:
        return _text(document.get(self.name)) in self.values


def _any_of(parts: Sequence[Predicate]) -> Predicate:
    equals = [part for part in parts if isinstance(part, _Equal)]
    if len(equals) == len(parts) and len({part.name for part in equals}) == 1:
        return _Equal(equals[0].name, frozenset().union(*(part.values for part in equals)))
    return lambda document: any(part(document) for part in parts)


def _comparison(field: _Field, operator: str, literal: str | int) -> Predicate:
    compare = _COMPARE[operator]
    if operator == "eq" and field._case is None:
        return _Equal(field.name, frozenset({str(literal)}))

    def holds(document: Document) -> bool:
        value = field(document)
        if isinstance(value, int) and not isinstance(value, bool) and str(literal).lstrip("-").isdigit():
            return compare(value, int(literal))
        return compare(_text(value), str(literal))

    return holds


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def order(documents: Iterable[Document], text: str) -> list[Document]:
    """The documents in the order of ``field asc|desc, ...``."""
    ordered = list(documents)
    for clause in reversed(text.split(",")):
        words = clause.split()
        if not words or len(words) > 2 or (len(words) == 2 and words[1] not in ("asc", "desc")):
            raise RefusedError(400, f"Invalid $orderby clause {clause.strip()!r}")
        ordered.sort(key=_sort_key(words[0]), reverse=words[-1] == "desc")
    return ordered


def _sort_key(name: str) -> Callable[[Document], tuple[int, Any]]:
    def key(document: Document) -> tuple[int, Any]:
        value = document.get(name)
        if isinstance(value, (int, float)):
            return 1, value
        return (0, "") if value is None else (2, _text(value))

    return key


def _number(call: Call, name: str, default: int) -> int:
    text = call.query(name)
    if text is None:
        return default
    if not text.isdigit():
        raise RefusedError(400, f"Invalid value {text!r} for {name}")
    return int(text)


def select(call: Call, documents: Iterable[Document], switches: dict[str, Any]) -> tuple[list[Document], int]:
    """The page of documents that the query asks for, and how many match altogether."""
    filters = [value for name, value in call.pairs if name == "$filter"]
    if len(filters) > 1:
        raise RefusedError(400, "Only one $filter parameter is allowed")
    if filters:
        try:
            predicate = compile_filter(filters[0])
        except FilterError as error:
            if switches["unknown_filter"] == 400:
                raise RefusedError(400, f"Invalid $filter: {error}") from None
        else:
            documents = [document for document in documents if predicate(document)]
    ordered = order(documents, call.query("$orderby") or DEFAULT_ORDER)
    size = _number(call, "$size", 0)
    top = min(size or _number(call, "$top", DEFAULT_TOP), switches["top_maximum"])
    skip = _number(call, "$skip", 0) + (_number(call, "page", 0) * size if size else 0)
    return ordered[skip : skip + top], len(ordered)


def list_reply(
    page: Sequence[Document], total: int, switches: dict[str, Any], encode: Callable[[Document], Any] | None = None
) -> Response:
    """``documents`` is an object keyed by link; only ``links`` holds the order.

    :param encode: gives the JSON of a document where it is kept already
    """
    links = [document["_link"] for document in page]
    documents: dict[str, Any] = {document["_link"]: encode(document) if encode else document for document in page}
    if switches["omit_document"] and links:
        del documents[links[0]]
    return json_reply({"count": len(page), "totalCount": total, "links": links, "documents": documents})


def as_raw(document: Document) -> msgspec.Raw:
    """The JSON of a document, to be kept beside it."""
    return msgspec.Raw(msgspec.json.encode(document))
