"""Takes secrets out of texts that people may see. Knows the secrets of one client and the usual names of secrets.

Everything here takes time in proportion to the text, and no text is longer than a person would read.
"""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

from airflow_provider.storable import storable_text

MASK = "***"
CUT = "..."

LONGEST_TEXT = 4000
"""Characters of a text that nobody has set another limit for: some screens of it."""
LONGEST_LOG = 1_000_000
"""Characters of one part of a log that are looked at, its last ones: some ten thousand lines."""
KEPT_TOKENS = 3
"""Tokens of logins that are masked: the one in use, and those that requests on their way may still bear."""
KEPT_SECRETS = 1000
"""Secrets of arguments that are masked: the newest."""
KEPT_SEEN = 100
"""Secrets of the vendor's documents that are masked: the newest. A document may hold any number, and each costs time
with each text, and more in Airflow's own masker."""
LONGEST_SEEN = 8192
"""Characters of such a secret: more than of any text that is shown."""

_SHORTEST = 4
_SHORTEST_IN_ANSWERS = 8
"""A credential as short as a status or a name would, masked in answers, change what they say."""
_SHORTEST_CORE = 8
_TAIL = 512
"""Characters before the place where a text is cut that may be a part of what is recognised as a whole only."""

_NAMES = (
    r"password|passwd|passphrase|pwd|secret[_-]?(?:access[_-]?)?key|secret|private[_-]?key|credentials?"
    r"|(?:api|access|auth|session|client|refresh|id|security|csrf|responder)?[_-]?token|jwt|api[_-]?key|apikey"
    r"|access[_-]?key(?:[_-]?id)?|authorization|cookie|signature|sig|x-(?:amz|goog|oss|obs|cos)-credential"
)
_TELLING_WORD = (
    r"auth|authorization|cookies?|credentials?|jwt|keys?|passphrase|passwd|password|pwd|secrets?"
    r"|session|signature|tokens?"
)
_WORD = r"[A-Z]?[a-z]+|[A-Z]+"
_NAMED_VALUE = (
    rf"""(?is)(?P<name>(?<![\w.-])[\w.-]{{0,40}}?(?:{_NAMES})\\*["']?\s{{0,20}}[:=]\s{{0,20}})"""
    r"""(?P<value>\\+["'][^"'\\]*(?:\\+["'])?|"(?:[^"\\]|\\.)*(?:"|\Z)|'(?:[^'\\]|\\.)*(?:'|\Z)"""
    r"""|(?:(?:bearer|basic)\s{1,20})?[^\s,;&|}]+)"""
)
_SCHEME = r"(?i)\b(bearer\s{1,20}|basic\s{1,20}(?=[\w+/=-]{8}))[\w.~+/=-]+"
_ACCESS_KEY = r"(?i)\b(Access=[^\s,]{4})[^\s,]*"
_USER_IN_URL = r"://[^/\s\"'<>]{1,512}@"
_JWT = r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
_PRIVATE_KEY = r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,8000}(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"

_RULES = (
    (("private key",), _PRIVATE_KEY, MASK),
    (("://",), _USER_IN_URL, f"://{MASK}@"),
    (("access=",), _ACCESS_KEY, rf"\1{MASK}"),
    ((":", "="), _NAMED_VALUE, rf"\g<name>{MASK}"),
    (("bearer", "basic"), _SCHEME, rf"\1{MASK}"),
    (("eyj",), _JWT, MASK),
)
"""What is recognised, in this order, and what stands in for it; first what a text must hold one of, case folded, to be
looked at. ``re`` compiles a pattern when it is needed first, which takes milliseconds: most texts are a word or two."""


def is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret, by the usual names: of a header, for one."""
    words = (match[0].lower() for match in re.finditer(_WORD, name))
    return any(re.fullmatch(_TELLING_WORD, word) for word in words)


class Redactor:
    """Masks secrets by value (those it was told) and by name (those it recognises in a text). For several threads.

    :param on_secret: told every secret once, so that a log system can mask it too.
    :param on_forgotten: told a token that is not in use any more, so that the log system can forget it.
    """

    def __init__(
        self,
        on_secret: Callable[[str], None] | None = None,
        on_forgotten: Callable[[str], None] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._credentials: dict[str, None] = {}
        self._tokens: dict[str, None] = {}
        self._others: dict[str, None] = {}
        self._seen: dict[str, None] = {}
        self._forms_of: dict[str, frozenset[str]] = {}
        self._forms: tuple[str, ...] = ()
        self._forms_in_answers: tuple[bytes, ...] = ()
        self._on_secret = on_secret
        self._on_forgotten = on_forgotten

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def add(self, secret: str | None) -> None:
        """Remember a credential of the connection, for good.

        Texts shorter than four characters cannot be masked without masking half of a text.
        """
        self._remember(self._credentials, secret)

    def add_token(self, token: str | None) -> None:
        """Remember what a login gave; only those few are that were used last."""
        if token in self._tokens and token != next(reversed(self._tokens), None):
            with self._lock:
                self._tokens.pop(token, None)
                self._tokens[token] = None
        self._remember(self._tokens, token, KEPT_TOKENS)

    def add_other(self, secret: str | None) -> None:
        """Remember a secret of an argument: masked in texts, while answers keep it."""
        self._remember(self._others, secret, KEPT_SECRETS)

    def add_seen(self, secrets: Iterable[str]) -> None:
        """Remember the secrets of a vendor's document: masked in texts, while answers keep them."""
        apt = [secret for secret in dict.fromkeys(secrets) if _SHORTEST <= len(secret) <= LONGEST_SEEN]
        with self._lock:
            new = [secret for secret in apt[-KEPT_SEEN:] if not self._is_known(secret)]
            if not new:
                return
            self._seen.update(dict.fromkeys(new))
            forgotten = list(self._seen)[:-KEPT_SEEN]
            for secret in forgotten:
                del self._seen[secret]
            self._note_forms()
        if self._on_secret:
            for secret in new:
                self._on_secret(secret)
        if self._on_forgotten:
            for secret in forgotten:
                self._on_forgotten(secret)

    def _is_known(self, secret: str) -> bool:
        return any(secret in known for known in (self._credentials, self._tokens, self._others, self._seen))

    def _remember(self, known: dict[str, None], secret: str | None, most: int | None = None) -> None:
        if not secret or len(secret) < _SHORTEST or secret in known:
            return
        forgotten = []
        with self._lock:
            if self._is_known(secret):
                return
            known[secret] = None
            while most and len(known) > most:
                oldest = next(iter(known))
                del known[oldest]
                forgotten.append(oldest)
            self._note_forms()
        if self._on_secret:
            self._on_secret(secret)
        if self._on_forgotten and known is self._tokens:
            for each in forgotten:
                self._on_forgotten(each)

    def _note_forms(self) -> None:
        all_known = (*self._credentials, *self._tokens, *self._others, *self._seen)
        self._forms_of = {each: self._forms_of.get(each) or frozenset(_forms(each)) for each in all_known}
        forms = {form for each in self._forms_of.values() for form in each}
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        in_answers = {form for each in self._credentials for form in _forms(each)}
        # Nobody encodes a token of a login anew.
        in_answers |= {form for each in self._tokens for form in _written(each)}
        # In an answer, digits alone may as well be a number of its own.
        apt = [form for form in in_answers if len(form) >= _SHORTEST_IN_ANSWERS and not form.isdecimal()]
        self._forms_in_answers = tuple(form.encode() for form in sorted(apt, key=len, reverse=True))

    def __call__(self, text: str, longest: int = LONGEST_TEXT) -> str:
        """A text as people may see it, cut to ``longest`` characters.

        Masking twice changes nothing.
        """
        text = storable_text(self._opening(text, longest))
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        folded = text.casefold()
        for signs, pattern, replacement in _RULES:
            if any(sign in folded for sign in signs):
                text = re.sub(pattern, replacement, text)
        return text if len(text) <= longest else text[: longest - len(CUT)] + CUT

    def answer(self, content: bytes) -> bytes:
        """The body of an answer without the credentials of the connection: no vendor has to repeat them."""
        for form in self._forms_in_answers:
            if form in content:
                content = content.replace(form, MASK.encode())
        return content

    def _opening(self, text: str, longest: int) -> str:
        """So much of the beginning that masking and cutting it shows nothing of a secret of which half is cut off."""
        window = 4 * longest + _TAIL
        if len(text) <= window:
            return text
        text = text[:window]
        blank = max(text.rfind(blank, window - _TAIL) for blank in " \n\t")
        text = text[: blank if blank > 0 else window - _TAIL]
        for form in self._forms:
            longest_part = min(len(form) - 1, len(text))
            part = next((n for n in range(longest_part, 0, -1) if text.endswith(form[:n])), 0)
            text = text[: len(text) - part]
        return text + CUT


def _written(secret: str) -> Iterator[str]:
    """The ways in which a text stands in JSON, URLs, forms and pages."""
    yield secret
    for escaped in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield escaped
        yield escaped.replace("/", "\\/")
    for escaped in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield escaped
        yield re.sub("%..", lambda match: match[0].lower(), escaped)
    yield html.escape(secret)


def _forms(secret: str) -> Iterator[str]:
    """The ways in which a secret may be written, inside of what is encoded with base64 among them."""
    try:
        content = secret.encode()
    except UnicodeEncodeError:
        return
    yield from _written(secret)
    for before in range(3):
        # Of the characters at its ends, some bits are of what stands beside the secret.
        encoded = base64.b64encode(b"\0" * before + content).decode().rstrip("=")
        whole = (before + len(content)) * 8 // 6
        core = encoded[-(-before * 8 // 6) : whole]
        if len(core) >= _SHORTEST_CORE:
            yield core
            yield core.replace("+", "-").replace("/", "_")
