"""What a broken or hostile vendor, or a proxy in its place, may answer: from almost right to complete garbage.

Drawn from a seed, and independent of the systems.
"""

from __future__ import annotations

import functools
import gzip
import json
import random
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

NASTY_TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "\x1b[31m",
    "\r\n",
    "..",
    "../..",
    "/",
    "a/b",
    "%2e%2e",
    "?x=1",
    "#",
    "null",
    "None",
    "-1",
    "0",
    "1e999",
    "9" * 30,
    "\u202e",
    "\ufeff",
    "\U0001f600",
    "\ud800",
    "\u0664\u0662",
    "\u00b2",
    "'",
    "' or '1' eq '1",
    '"',
    "<html>",
    "://",
    "http://[",
    "https://user:letmein@host/",
    "token=abcdef",
    "x" * 5000,
    "{}",
    "[",
    "2026-02-30T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Fri, 02 Jan 99999 00:00:00 GMT",
)

NASTY_NUMBERS = (
    0,
    -1,
    1,
    2,
    2**31,
    2**53 + 1,
    2**63,
    2**64,
    10**30,
    -(10**30),
    1.5,
    -0.0,
    1e18,
    1e300,
    1795000000000000000,
    1795000000000000,
    1795000000000,
    1795000000,
    float("nan"),
    float("inf"),
    float("-inf"),
)

HEADERS = ("Retry-After", "Date", "Location", "X-Request-Id", "X-Subject-Token", "Content-Type", "Set-Cookie", "ETag")
HEADER_VALUES = (
    "0",
    "5",
    "86400",
    "1e300",
    "-1",
    "nan",
    "Fri, 02 Jan 2099 00:00:00 GMT",
    "Fri, 02 Jan 99999 00:00:00 GMT",
    "/x",
    "http://[",
    "//evil.invalid/",
    "",
)

STATUSES = (*[200] * 8, 201, 202, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 405, 408, 409, 410)
MORE_STATUSES = (412, 418, 422, 425, 429, 499, 500, 501, 502, 503, 504, 520, 599, 600, 999, 0, 100, 101)

BODIES = (
    b"",
    b" ",
    b"null",
    b"{}",
    b"[]",
    b'"text"',
    b"42",
    b"true",
    b"{",
    b'{"a": ',
    b"\xff\xfe",
    b"<!DOCTYPE html><html>Sign in</html>",
    b"[" * 5000,
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b"[" * 60 + b"]" * 60,
    b"{" + b" " * 300_000 + b"}",
    b"\0" * 100,
    b'{"id": "\\u0000\\ud800", "status": NaN}',
    b'{"error": {"message": ["a"]}}',
)

CUT, PACKED, PACKED_AND_CUT, CHUNKED, NOTHING, TO_THE_END, PLAIN = range(7)
"""How an answer is sent; ``TO_THE_END`` of the connection, without its length."""

SLOWEST = 3.0
"""Seconds for an answer."""
MANY = 10**9
_LARGE = 20_000_000
"""Bytes; more than any client should accept."""
_BOMB = 100_000_000
"""Bytes that a tenth of a megabyte unpacks to."""
_LONG = 3_000_000
"""Bytes that a client may accept, but must not be blocked by."""
_PIECES = 6


class Sent(NamedTuple):
    """An answer as it goes over the wire. :param pauses: seconds before each piece."""

    pieces: list[bytes]
    pauses: float = 0.0
    status: int = 0


class Chance:
    """Draws from one seed, reproducibly.

    :param names: of the fields of the vendor's documents.
    :param words: scalars that stand in them.
    :param spared: scalars that are never made up, however plausible.
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
        # Halves of surrogate pairs and all control characters among them.
        return "".join(chr(self.below(self.pick((0x80, 0xFFFF, 0x10FFFF)))) for _ in range(self.below(12)))

    def any_value(self, depth: int = 0) -> Any:
        """Any JSON whose objects have the vendor's names, and whose scalars may be its words."""
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
        """A document of the vendor in which a few parts are replaced or missing."""
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
        """How an answer is sent: plainly, most of the time."""
        return min(self.below(30), PLAIN)

    def _is_spared(self, value: Any) -> bool:
        return any(value == spared and isinstance(spared, str) == isinstance(value, str) for spared in self._spared)


class Hostile:
    """A vendor that answers at random, but the same for the same seed.

    :param spared: scalars that it never makes up; with the words of success here, each success that a client sees
        and the vendor did not mean is a fault of the client.
    :param slowest: seconds that it takes for an answer, at most.
    """

    def __init__(self, seed: int | None, spared: Sequence[Any] = (), slowest: float = SLOWEST) -> None:
        self._draw = Chance(seed)
        self._spared, self._slowest = spared, slowest

    def next_seed(self) -> int:
        return self._draw.below(2**62)

    def answer(self, seed: int, status: int, body: bytes) -> Sent:
        """:param status: of the answer that the vendor would give, and its ``body``."""
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
        return bytes(chance.pick(_MONSTERS)())

    def _paced(self, chance: Chance, content: bytes, status: int) -> Sent:
        if not chance.one_in(25) or not content:
            return Sent([content], status=status)
        # The pieces of short ones end within the headers.
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
    """As JSON, or rather as what Python makes of it: NaN, infinity and halves of surrogate pairs included."""
    return json.dumps(document).encode("utf-8", "surrogatepass")


def wire(status: int, body: bytes, headers: dict[str, str], way: int) -> bytes:
    """An HTTP answer. :param status: 0 for an answer without one."""
    lines = [b"HTTP/1.1 %d X" % status if status else b"HTTP/1.1"]
    lines += [f"{name}: {value}".encode("utf-8", "replace") for name, value in headers.items()]
    sent = gzip.compress(body, 1) if way in (PACKED, PACKED_AND_CUT) else body
    if way in (PACKED, PACKED_AND_CUT):
        lines.append(b"Content-Encoding: gzip")
    if way == CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
        sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    elif way != TO_THE_END:
        lines.append(b"Content-Length: %d" % len(sent))
    if way == NOTHING:
        return b""
    return b"\r\n".join(lines) + b"\r\n\r\n" + (sent[: len(sent) // 2] if way in (CUT, PACKED_AND_CUT) else sent)


def _good(body: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *lines, b"", body))


def _large() -> bytes:
    return _good(b'{"a": "' + b"x" * _LARGE + b'"}')


@functools.cache
def _bomb() -> bytes:
    packing = zlib.compressobj(6, wbits=31)
    zeros = b" " * 1_000_000
    packed = [packing.compress(zeros) for _ in range(_BOMB // len(zeros))]
    return _good(b"".join(packed) + packing.flush(), b"Content-Encoding: gzip")


def _deep() -> bytes:
    return _good(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)


def _long_list() -> bytes:
    return _good(b'{"documents": [' + b'"",' * (_LONG // 3) + b"0]}")


def _long_text() -> bytes:
    return _good(b'{"id": "' + b"\\u0000\\n" * (_LONG // 8) + b'"}')


def _many_headers() -> bytes:
    return _good(b"{}", *(b"X-%d: a" % number for number in range(5000)))


def _long_header() -> bytes:
    return _good(b"{}", b"X-Request-Id: " + b"x" * 1_000_000)


_MONSTERS = (_large, _bomb, _deep, _long_list, _long_text, _many_headers, _long_header)
