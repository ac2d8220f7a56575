"""Fast reads over the connections of a ``requests`` session, without what it computes again for each request.

``Session.prepare_request`` and ``Session.send`` merge headers, cookies and settings, parse the URL five times, look for
the CA bundle on disk and wrap the answer: that costs more CPU than the request itself, and a wait without a list
consists of reads.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict
from requests.utils import check_header_validity

from airflow_provider.clients.auth import Auth

KNOWN_URLS, LONGEST_KNOWN = 4096, 2000
"""URLs whose prepared form is cached, and their longest length: those of executions are requested over and over."""

_NO_RETRIES = urllib3.Retry(False, redirect=False)


class FastReads:
    """Reads without a body.

    :param session: with headers, trust and connections of its own.
    """

    def __init__(self, session: requests.Session) -> None:
        self._session = session
        self._pools: dict[tuple[str, str], urllib3.HTTPConnectionPool] = {}
        self._known = functools.lru_cache(KNOWN_URLS)(_prepared_url)

    def prepare(self, method: str, url: str, headers: Mapping[str, str], auth: Auth) -> requests.PreparedRequest:
        """The same result as from ``Session.prepare_request``.

        :raises requests.RequestException: the URL or a header cannot be used.
        """
        prepared = requests.PreparedRequest()
        prepare = self._known if len(url) <= LONGEST_KNOWN else _prepared_url
        prepared.method, prepared.url, prepared.hooks = method, prepare(url), default_hooks()
        merged: dict[str, Any] = {**self._session.headers, **headers}
        prepared.headers = CaseInsensitiveDict(merged)
        for header in prepared.headers.items():
            check_header_validity(header)
        return auth(prepared)

    def send(
        self, prepared: requests.PreparedRequest, timeout: urllib3.Timeout, settings: Mapping[str, Any]
    ) -> urllib3.BaseHTTPResponse:
        """The answer, with its body still unread.

        :param settings: trust, as returned by ``Session.merge_environment_settings``; no proxies.
        :raises urllib3.exceptions.HTTPError: no answer came.
        :raises OSError: the CA bundle cannot be used.
        """
        parts = urlsplit(prepared.url or "")
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        origin = parts[:2]
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = self._pool(prepared, settings)
        return pool.urlopen(
            prepared.method or "GET",
            target,
            headers=dict(prepared.headers),
            retries=_NO_RETRIES,
            redirect=False,
            assert_same_host=False,
            timeout=timeout,
            preload_content=False,
            decode_content=False,
        )

    def close(self) -> None:
        """Close the session's connections."""
        while self._pools:
            self._pools.popitem()[1].close()

    def _pool(self, prepared: requests.PreparedRequest, settings: Mapping[str, Any]) -> urllib3.HTTPConnectionPool:
        url, verify, cert = prepared.url or "", settings["verify"], settings["cert"]
        adapter = cast("HTTPAdapter", self._session.get_adapter(url))
        pool = cast("urllib3.HTTPConnectionPool", adapter.get_connection_with_tls_context(prepared, verify, None, cert))
        adapter.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
        return pool


def _prepared_url(url: str) -> str:
    prepared = requests.PreparedRequest()
    prepared.prepare_url(url, None)
    return prepared.url or ""
