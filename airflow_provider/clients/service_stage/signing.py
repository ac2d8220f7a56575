"""Huawei Cloud's request signature SDK-HMAC-SHA256: what is signed, and how it is added to the request.

The content of requests, and where keys come from, belongs to the clients.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit, urlunsplit

from requests import PreparedRequest

from airflow_provider.clients.auth import Auth

ALGORITHM = "SDK-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class SigningAuth(Auth):
    """Signs each attempt anew when it is sent: the gateway refuses signatures older than 15 minutes.

    :param access_key: AK, of an IAM user or temporary.
    :param secret_key: SK of that access key.
    :param security_token: of temporary keys; sent and signed with each request.

    API signing guide: https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-algorithm.html
    """

    def __init__(self, access_key: str, secret_key: str, security_token: str | None = None) -> None:
        self._access_key, self._secret_key, self._security_token = access_key, secret_key, security_token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if self._security_token:
            request.headers["X-Security-Token"] = self._security_token
        return sign(request, self._access_key, self._secret_key, datetime.now(UTC))


def sign(request: PreparedRequest, access_key: str, secret_key: str, moment: datetime) -> PreparedRequest:
    """Add Host, X-Sdk-Date and Authorization to an otherwise complete request.

    :param moment: aware; when the request is sent.
    """
    parts = urlsplit(request.url or "")
    # The query is sent exactly as it is signed, so that no gateway needs to sort or escape it the same way.
    request.url = urlunsplit(parts._replace(query=_canonical_query(parts.query), fragment=""))
    request.headers["Host"] = _host(request.url)
    request.headers["X-Sdk-Date"] = moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    signature = hmac.new(secret_key.encode(), string_to_sign(request).encode(), hashlib.sha256).hexdigest()
    request.headers["Authorization"] = (
        f"{ALGORITHM} Access={access_key}, SignedHeaders={';'.join(_signed_headers(request))}, Signature={signature}"
    )
    return request


def string_to_sign(request: PreparedRequest) -> str:
    """The text whose HMAC is the signature."""
    digest = hashlib.sha256(canonical_request(request).encode()).hexdigest()
    return f"{ALGORITHM}\n{request.headers['X-Sdk-Date']}\n{digest}"


def canonical_request(request: PreparedRequest) -> str:
    """The request in the form that both sides can compute."""
    parts = urlsplit(request.url or "")
    headers = _signed_headers(request)
    body = request.body or b""
    payload = body if isinstance(body, bytes) else body.encode()
    return "\n".join(
        (
            request.method or "",
            _canonical_uri(parts.path),
            _canonical_query(parts.query),
            "".join(f"{name}:{value}\n" for name, value in headers.items()),
            ";".join(headers),
            hashlib.sha256(payload).hexdigest(),
        )
    )


def _canonical_uri(path: str) -> str:
    uri = quote(unquote_to_bytes(path), safe="/~")
    return uri if uri.endswith("/") else uri + "/"


def _canonical_query(query: str) -> str:
    # A plus means a plus: `unquote_plus` would sign a blank that is not in the request.
    pairs = sorted(
        (unquote(key), unquote(value)) for key, _, value in (pair.partition("=") for pair in query.split("&") if pair)
    )
    return "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in pairs)


def _signed_headers(request: PreparedRequest) -> dict[str, str]:
    """Content-Type, Host and every X- header, without those that a proxy may change (User-Agent, Accept, ...)."""
    headers = {name.lower(): str(value).strip() for name, value in request.headers.items() if "_" not in name}
    return {
        name: value
        for name, value in sorted(headers.items())
        if name in ("content-type", "host") or name.startswith("x-")
    }


def _host(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    name = f"[{host}]" if ":" in host else host
    return name if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{name}:{parts.port}"
