"""Masks secrets in texts that people may see. Knows the secrets of one client and the usual names of secrets.

All of this takes time in proportion to the text, and texts are cut to what a person would read.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import AnyStr, Generic

from airflow_provider.clients.decoding import without_escapes
from airflow_provider.clients.spellings import forms_of, written
from airflow_provider.storable import storable_text

MASK = "***"
CUT = "..."

LONGEST_TEXT = 4000
"""Characters of a text without another limit: a few screens."""
LONGEST_LOG = 1_000_000
"""Characters of one part of a log that are searched, the last ones: some ten thousand lines."""
KEPT_TOKENS = 3
"""Login tokens that are masked: the current one, and those that pending requests may still carry."""
KEPT_SECRETS = 1000
"""Secrets from arguments that are masked: the newest."""
KEPT_SEEN = 100
"""Secrets from the vendor's documents that are masked: the newest. A document may hold any number, and each costs time
for each text, and even more in Airflow's own masker."""
LONGEST_SEEN = 8192
"""Characters of such a secret: more than any text that is shown."""

_SHORTEST = 4
_SHORTEST_IN_ANSWERS = 8
"""Masking credentials as short as a status or a name would change the meaning of answers."""
_SHORTEST_SIGN = 3
_TAIL = 512
"""Characters before a cut that may be part of something that is recognized only as a whole."""

_NAMES = (
    r"password|passwd|passphrase|pwd|secret[_-]?(?:access[_-]?)?key|secret|private[_-]?key|credentials?"
    r"|(?:api|access|auth|session|client|refresh|id|security|csrf|responder)?[_-]?token|jwt|api[_-]?key|apikey"
    r"|access[_-]?key(?:[_-]?id)?|authorization|cookie|signature|sig"
)
_TELLING_WORD = (
    r"(?:access|api|secret)keys?|auth|authorization|bearer|cookies?|credentials?|jwt|keys?|passphrase|passwd|password|pwd|secrets?"
    r"|session|signature|(?:access|api|auth)?tokens?"
)
_WORD = r"[A-Z]?[a-z]+|[A-Z]+"
_NAMED_VALUE = (
    rf"""(?is)(?P<name>(?<![\w.-])[\w.-]{{0,40}}?(?:{_NAMES})\\*["']?\s{{0,20}}[:=]\s{{0,20}})"""
    r"""(?P<value>\\+["'][^"'\\]*(?:\\+["'])?|"(?:[^"\\]|\\.)*(?:"|\Z)|'(?:[^'\\]|\\.)*(?:'|\Z)"""
    r"""|(?:(?:bearer|basic)\s{1,20})?[^\s,;&|}]+)"""
)
_AUTHORIZATION = (
    r"""(?i)(?P<name>(?<![\w.-])[\w.-]{0,40}?authorization\\*["']?\s{0,20}[:=]\s{0,20}\\*["']?)"""
    r"""(?P<value>[a-z][\w.+-]{0,40}[ \t]{1,20}[^\s,;"'\\]+)"""
)
_COOKIES = (
    r"""(?i)(?P<name>(?<![\w.-])[\w.-]{0,40}?cookie\\*["']?\s{0,20}[:=]\s{0,20}\\*["']?)"""
    r"""(?P<value>[^\r\n"'\\]+)"""
)
_OPTION = rf"""(?i)(?P<name>(?<![\w-])--?[\w-]{{0,40}}?(?:{_NAMES})[ \t]{{1,20}})(?P<value>[^\s-][^\s]*)"""
_SCHEME = r"(?i)\b(bearer\s{1,20}|basic\s{1,20}(?=[\w+/=-]{8}))[\w.~+/=-]+"
_ACCESS_KEY = r"(?i)\b(Access=[^\s,]{4})[^\s,]*"
_USER_IN_URL = r"""://(?:[^/\s"'<>]{1,512}|[^/\s"'<>:@]{0,128}:[^/\s<>@]{1,256})@"""
_JWT = r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
_PRIVATE_KEY = r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,8000}(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"

_LINES_OF_A_KEY = 250
"""More than a key of 16384 bits has; a longer text is not a key."""

_RULES = (
    (("private key",), _PRIVATE_KEY, MASK),
    (("://",), _USER_IN_URL, f"://{MASK}@"),
    (("access=",), _ACCESS_KEY, rf"\1{MASK}"),
    (("authorization",), _AUTHORIZATION, rf"\g<name>{MASK}"),
    (("cookie",), _COOKIES, rf"\g<name>{MASK}"),
    (("-",), _OPTION, rf"\g<name>{MASK}"),
    ((":", "="), _NAMED_VALUE, rf"\g<name>{MASK}"),
    (("bearer", "basic"), _SCHEME, rf"\1{MASK}"),
    (("eyj",), _JWT, MASK),
)
"""Patterns in the order in which they are applied, each with its replacement, and before it the parts of which a text,
case folded, must contain one. ``re`` compiles a pattern on first use, which takes milliseconds, and most texts are a
word or two."""


def lines_of(log: str) -> list[str]:
    """The lines of a part of a log, or of its end; without a first line that was cut, perhaps within a secret."""
    kept = log[-LONGEST_LOG:]
    return kept.splitlines()[len(kept) < len(log) :]


def without_keys(lines: Iterable[str]) -> Iterator[str]:
    """The same lines, with those between the first and the last one of a private key masked."""
    left = 0
    for line in lines:
        before, mark, _ = line.rpartition("PRIVATE KEY-----")
        if mark:
            left = _LINES_OF_A_KEY if before.rfind("-----BEGIN ") > before.rfind("-----END ") else 0
        elif left:
            left -= 1
            line = MASK
        yield line


def is_secret_name(name: str) -> bool:
    """Whether the name, of a header for example, is a usual one for a secret."""
    words = (match[0].lower() for match in re.finditer(_WORD, name))
    return any(re.fullmatch(_TELLING_WORD, word) for word in words)


class _Forms(Generic[AnyStr]):
    """The texts to mask, the longest first.

    :param forms: each with a part of it that is searched for first: most texts contain no part of a secret's forty
        forms.
    """

    def __init__(self, forms: Iterable[tuple[AnyStr, AnyStr]]) -> None:
        self.all: tuple[tuple[AnyStr, AnyStr], ...] = tuple(
            sorted(set(forms), key=lambda each: len(each[0]), reverse=True)
        )
        self._signs: tuple[AnyStr, ...] = tuple({sign for _, sign in self.all})

    def masked(self, text: AnyStr, mask: AnyStr) -> AnyStr:
        signs = {sign for sign in self._signs if sign in text}
        if signs:
            for form, sign in self.all:
                if sign in signs and form in text:
                    text = text.replace(form, mask)
        return text


def _sign_of(secret: str, form: str) -> str:
    """The part of a form to search for: the longest part of the secret that is never escaped, if the form has it."""
    plain = _plain_part_of(secret)
    return plain if len(plain) >= _SHORTEST_SIGN and plain in form else form


def _plain_part_of(secret: str) -> str:
    """The longest part of a secret that is never escaped."""
    return max(re.findall("[A-Za-z0-9]+", secret), key=len, default="")


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets, in whichever form they are written there."""
    for secret in secrets:
        if len(secret) >= _SHORTEST and _plain_part_of(secret) in text:
            for form in sorted(set(written(secret)), key=len, reverse=True):
                text = text.replace(form, MASK)
    return text


class Redactor:
    """Masks secrets by value (those that were added) and by name (those that it recognizes in a text). Thread-safe.

    :param on_secret: called once with each secret, so that a log system can mask it, too.
    :param on_forgotten: called with each token that is no longer in use, so that the log system can forget it.
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
        self._forms: _Forms[str] = _Forms(())
        self._forms_in_answers: _Forms[bytes] = _Forms(())
        self._on_secret = on_secret
        self._on_forgotten = on_forgotten

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def add(self, secret: str | None) -> None:
        """Remember a credential of the connection, forever.

        One shorter than four characters is not masked: it would mask half of a text.
        """
        self._remember(self._credentials, secret)

    def add_token(self, token: str | None) -> None:
        """Remember a login's token; only the few that were used last are kept."""
        with self._lock:
            if token in self._tokens and token != next(reversed(self._tokens)):
                self._tokens[token] = self._tokens.pop(token)
        self._remember(self._tokens, token, KEPT_TOKENS)

    def add_other(self, secret: str | None) -> None:
        """Remember what is, or may be, another secret: it is masked in texts, but not in answers."""
        self._remember(self._others, secret, KEPT_SECRETS)

    def add_seen(self, secrets: Iterable[str]) -> None:
        """Remember secrets from a vendor's document: they are masked in texts, but not in answers."""
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
        self._forms_of = {each: self._forms_of.get(each) or frozenset(forms_of(each)) for each in all_known}
        self._forms = _Forms((form, _sign_of(each, form)) for each, forms in self._forms_of.items() for form in forms)
        in_answers = [(form, each) for each in self._credentials for form in self._forms_of[each]]
        # Nothing encodes login tokens with base64.
        in_answers += [(form, each) for each in self._tokens for form in written(each)]
        self._forms_in_answers = _Forms(
            (form.encode(), _sign_of(each, form).encode())
            for form, each in in_answers
            # In an answer, digits alone may just as well be another number.
            if len(form) >= _SHORTEST_IN_ANSWERS and not form.isdecimal()
        )

    def __call__(self, text: str, longest: int = LONGEST_TEXT) -> str:
        """The text as people may see it, cut to ``longest`` characters. Applying it twice changes nothing."""
        text = storable_text(self._opening(text, longest))
        text = self._forms.masked(text, MASK)
        folded = text.casefold()
        for signs, pattern, replacement in _RULES:
            if any(sign in folded for sign in signs):
                text = re.sub(pattern, replacement, text)
        return text if len(text) <= longest else text[: longest - len(CUT)] + CUT

    def answer(self, content: bytes) -> bytes:
        """The body of an answer without the credentials of the connection, which no vendor needs to repeat."""
        forms = self._forms_in_answers
        # A string may be written with an escape for each of its characters.
        return forms.masked(without_escapes(content), MASK.encode()) if forms.all else content

    def _opening(self, text: str, longest: int) -> str:
        """The beginning of a text, such that masking and cutting it never shows a part of a secret that was cut."""
        window = 4 * longest + _TAIL
        if len(text) <= window:
            return text
        text = text[:window]
        blank = max(text.rfind(blank, window - _TAIL) for blank in " \n\t")
        # Whole secrets first: the end of one may be the beginning of another, without which its rest would be shown.
        text = self._forms.masked(text[: blank if blank > 0 else window - _TAIL], MASK)
        for form, _ in self._forms.all:
            longest_part = min(len(form) - 1, len(text))
            part = next((n for n in range(longest_part, 0, -1) if text.endswith(form[:n])), 0)
            text = text[: len(text) - part]
        return text + CUT
