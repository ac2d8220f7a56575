"""Verifies SDK-HMAC-SHA256 signatures by recomputing them from the request as it arrived. Pure: no state, no clock."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote, unquote_plus

ALGORITHM = "SDK-HMAC-SHA256"
SKEW = 900
UNSIGNED = "UNSIGNED-PAYLOAD"
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Access=(?P<ak>[^,\s]+), ?SignedHeaders=(?P<names>[^,\s]+), ?Signature=(?P<signature>[0-9a-f]+)"
)
_DATE = "%Y%m%dT%H%M%SZ"


class SignatureError(Exception):
    """The signature is refused; the text is that of the gateway."""


@dataclass(frozen=True, slots=True)
class Key:
    """An access key; temporary ones have a security token and an end (epoch seconds)."""

    secret: str
    user: str
    security_token: str | None = None
    expires_at: float = float("inf")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What arrived: ``path`` and ``query`` undecoded, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value.strip() for key, value in self.headers if key == name]
        return ",".join(values) if values else None


def access_key(authorization: str) -> str:
    """The access key in a header, "" if it is not a signature."""
    match = _AUTHORIZATION.fullmatch(authorization.strip())
    return match["ak"] if match else ""


def verify(
    request: SignedRequest, find_key: Callable[[str], Key | None], now: float, *, plus_is_blank: bool = False
) -> str:
    """The access key of a request whose signature holds; SignatureError with the gateway's text otherwise.

    :param now: epoch seconds; a signature is good for 15 minutes before and after
    :param plus_is_blank: reads ``+`` in the query as a blank, as lenient servers do
    """
    match = _AUTHORIZATION.fullmatch((request.header("authorization") or "").strip())
    if match is None:
        raise SignatureError("authorization header format is incorrect")
    key = find_key(match["ak"])
    if key is None:
        raise SignatureError(f"ak {match['ak']} not exist")
    names = match["names"].split(";")
    date = request.header("x-sdk-date") or ""
    _check_date(date, now)
    if names != sorted(names) or not {"host", "x-sdk-date"} <= set(names):
        raise SignatureError("SignedHeaders must be sorted and hold host and x-sdk-date")
    if any(request.header(name) is None for name in names):
        raise SignatureError("a header of SignedHeaders is missing")
    _check_security_token(request, key, names, now)
    canonical = canonical_request(request, names, plus_is_blank=plus_is_blank)
    if not hmac.compare_digest(sign(canonical, date, key.secret), match["signature"]):
        echo = canonical.replace("\n", "|")
        raise SignatureError(f"verify aksk signature fail, canonicalRequest:{echo}")
    return match["ak"]


def sign(canonical: str, date: str, secret: str) -> str:
    """The signature of a canonical request."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{date}\n{digest}"
    return hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


def canonical_request(request: SignedRequest, names: Sequence[str], *, plus_is_blank: bool = False) -> str:
    """The text that was signed, computed from what arrived."""
    payload = request.header("x-sdk-content-sha256")
    if payload != UNSIGNED or "x-sdk-content-sha256" not in names:
        payload = hashlib.sha256(request.body).hexdigest()
    headers = "".join(f"{name}:{request.header(name)}\n" for name in names)
    query = _canonical_query(request.query, plus_is_blank)
    return "\n".join((request.method, _canonical_path(request.path), query, headers, ";".join(names), payload))


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


def _canonical_path(path: str) -> str:
    canonical = "/".join(_encode(segment) for segment in unquote(path).split("/"))
    return canonical if canonical.endswith("/") else f"{canonical}/"


def _canonical_query(query: str, plus_is_blank: bool) -> str:
    decode = unquote_plus if plus_is_blank else unquote
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return "&".join(
        f"{_encode(name)}={_encode(value)}" for name, value in sorted((decode(n), decode(v)) for n, _, v in pairs)
    )


def _check_date(date: str, now: float) -> None:
    try:
        signed_at = datetime.strptime(date, _DATE).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise SignatureError("x-sdk-date is missing or not of the form YYYYMMDDTHHMMSSZ") from None
    if abs(now - signed_at) > SKEW:
        raise expired(date, now)


def expired(date: str, now: float) -> SignatureError:
    """The refusal of a signature that is too old or too new."""
    server_time = datetime.fromtimestamp(now, UTC).strftime(_DATE)
    return SignatureError(f"signature expired, signature time:{date}, server time:{server_time}")


def _check_security_token(request: SignedRequest, key: Key, names: Sequence[str], now: float) -> None:
    sent = request.header("x-security-token")
    if sent is not None and "x-security-token" not in names:
        raise SignatureError("x-security-token must be signed")
    if sent != key.security_token:
        raise SignatureError("security token is missing or does not belong to the ak")
    if now >= key.expires_at:
        raise SignatureError("security token expired")
