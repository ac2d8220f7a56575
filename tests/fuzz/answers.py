"""What a vendor, or whatever stands in its place, may answer: close to its own documents, and far from them."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.server import Raw

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

texts = st.one_of(st.sampled_from(NASTY_TEXTS), st.text(max_size=20))


class Chance:
    """Draws from one seed: many times as fast as drawing each part by itself, and as repeatable."""

    def __init__(self, seed: int, names: Sequence[str], words: Sequence[Any]) -> None:
        self._random = random.Random(seed)
        self._names, self._words = names, words

    def one_in(self, chances: int) -> bool:
        return self._random.randrange(chances) == 0

    def pick(self, options: Sequence[Any]) -> Any:
        return self._random.choice(options)

    def text(self) -> str:
        if self.one_in(2):
            return self.pick(NASTY_TEXTS)
        # Halves of surrogate pairs and all control characters among them.
        return "".join(chr(self.below(self.pick((0x80, 0xFFFF, 0x10FFFF)))) for _ in range(self.below(12)))

    def below(self, limit: int) -> int:
        return self._random.randrange(limit)

    def any_value(self, depth: int = 0) -> Any:
        """Any JSON whose objects have the vendor's names, and whose scalars may be its words."""
        kind = self.below(10 if depth < 3 else 8)
        if kind < 3:
            return self.pick(self._words)
        if kind < 5:
            return self.pick(NASTY_NUMBERS)
        if kind < 7:
            return self.text()
        if kind == 7:
            return self.pick((None, True, False, [], {}))
        if kind == 8:
            return [self.any_value(depth + 1) for _ in range(self.below(4))]
        return {self.pick((*self._names, self.text())): self.any_value(depth + 1) for _ in range(self.below(6))}

    def mutant(self, document: Any) -> Any:
        """A vendor's document of which a few parts are something else, or are missing."""
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

    def headers(self) -> dict[str, str]:
        values = ("5", "1e300", "-1", "nan", "Fri, 02 Jan 2099 00:00:00 GMT", "/x", "http://[", "//evil/", "")
        return {
            self.pick(HEADERS): self.pick((*values, "".join(self.text().split()))).replace("\0", "")
            for _ in range(self.below(4))
        }

    def answer(self, documents: Sequence[Any]) -> Raw:
        """One answer as it goes over the wire."""
        if self.one_in(4):
            body = self.pick((*BODIES, self._random.randbytes(self.below(40))))
        else:
            body = dump(self.mutant(self.pick(documents)))
        status = self.pick(STATUSES if self.below(3) else MORE_STATUSES)
        return raw(status, body, self.headers() if self.one_in(2) else {}, how=self.below(30))


HEADERS = ("Retry-After", "Date", "Location", "X-Request-Id", "X-Subject-Token", "Content-Type", "Set-Cookie", "ETag")

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


def dump(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


def raw(status: int, body: bytes, headers: dict[str, str] | None = None, how: int = 9) -> Raw:
    """:param how: it is sent: 0 cut, 1 packed, 2 packed and cut, 3 in chunks, 4 nothing at all, 5 to the end of the
    connection; else plainly.
    """
    lines = [b"HTTP/1.1 %d X" % status if status else b"HTTP/1.1"]
    lines += [f"{name}: {value}".encode("utf-8", "replace") for name, value in (headers or {}).items()]
    sent = gzip.compress(body, 1) if how in (1, 2) else body
    if how in (1, 2):
        lines.append(b"Content-Encoding: gzip")
    if how == 3:
        lines.append(b"Transfer-Encoding: chunked")
        sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    elif how != 5:
        lines.append(b"Content-Length: %d" % len(sent))
    content = b"\r\n".join(lines) + b"\r\n\r\n" + (sent[: len(sent) // 2] if how in (0, 2) else sent)
    has_no_body = status in (204, 304) or status < 200
    keeps = how not in (0, 2, 4, 5) and not has_no_body
    return Raw(b"" if how == 4 else content, 0 if how == 4 else status, body, keeps)
