"""The forms in which a text may appear where it is repeated: in JSON, in URLs, forms and pages, within base64.

Encoders differ in what they escape, and each of these forms is written by a library in use.
"""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

_SHORTEST_CORE = 8
"""Characters of base64 that cannot occur by chance."""

_JSON_TOO = ("", "<>&", "<>&='")
"""Characters that encoders escape although they need not: none, those of Go, those of Gson."""
_URL_SAFE = ("", "/", "!'()*", "$&+=:@", "!$&'()*+,;=:@", ";,/?:@&=+$!*'()#")
"""Characters that encoders do not escape: Python (two), ``encodeURIComponent``, Go, RFC 3986 paths, ``encodeURI``."""
_APOSTROPHES, _QUOTES = ("&#x27;", "&#39;", "&apos;", "'"), ("&quot;", "&#34;", '"')
_MORE_IN_PAGES = str.maketrans({"/": "&#x2F;", "`": "&#x60;", "=": "&#x3D;"})
"""Characters that cautious templates escape, too."""


def forms_of(secret: str) -> Iterator[str]:
    """The forms in which a secret may appear, including those within a text that is encoded with base64."""
    try:
        content = secret.encode()
    except UnicodeEncodeError:
        return
    yield from written(secret)
    for before in range(3):
        # The first and last characters also contain bits of the text around the secret.
        encoded = base64.b64encode(b"\0" * before + content).decode().rstrip("=")
        whole = (before + len(content)) * 8 // 6
        core = encoded[-(-before * 8 // 6) : whole]
        if len(core) >= _SHORTEST_CORE:
            yield core
            yield core.replace("+", "-").replace("/", "_")


def written(text: str) -> Iterator[str]:
    """The forms of a text in JSON, URLs, forms, pages and Python's messages."""
    yield text
    yield repr(text)[1:-1]
    yield repr(text.encode("utf-8", "replace"))[2:-1]
    yield from _in_json(text)
    yield from _in_urls(text)
    yield from _in_pages(text)


def _in_json(text: str) -> Iterator[str]:
    for only_ascii, more in itertools.product((True, False), _JSON_TOO):
        escaped = json.dumps(text, ensure_ascii=only_ascii)[1:-1]
        for char in more:
            escaped = escaped.replace(char, f"\\u{ord(char):04x}")
        for each in (escaped, re.sub(r"(?<=\\u)[0-9a-f]{4}", lambda match: match[0].upper(), escaped)):
            yield each
            yield each.replace("/", "\\/")
            # As a string within another document.
            yield json.dumps(each)[1:-1]


def _in_urls(text: str) -> Iterator[str]:
    try:
        quoted = [quote(text, safe=safe) for safe in _URL_SAFE]
        quoted += [quote_plus(text), quote_plus(text, safe="*").replace("~", "%7E")]
    except UnicodeEncodeError:
        return
    for each in quoted:
        yield each
        yield re.sub("%..", lambda match: match[0].lower(), each)
    yield quote(quoted[0], safe="")


def _in_pages(text: str) -> Iterator[str]:
    escaped = html.escape(text, quote=False)
    for apostrophe, mark in itertools.product(_APOSTROPHES, _QUOTES):
        each = escaped.replace("'", apostrophe).replace('"', mark)
        yield each
        yield each.translate(_MORE_IN_PAGES)
