"""The HTTP session of a client: its connections, trust and headers, and the sending of one prepared request.

It reads no answers, repeats nothing and follows no redirects: that is up to :class:`Transport`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from http import cookiejar
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from airflow_provider import __version__
from airflow_provider.clients.auth import Auth
from airflow_provider.clients.fast_reads import FastReads
from airflow_provider.clients.reading import ENCODINGS, BoundedAdapter

log = logging.getLogger(__name__)

READS = frozenset({"GET", "HEAD"})
USER_AGENT = f"airflow-provider-release-pipelines/{__version__}"

_BAD_HEADER = "a header of the connection holds characters that headers must not hold"
_UNSENDABLE = re.compile(r"[^\t -~\x80-\xff]")


class UnsendableError(Exception):
    """A request cannot be sent as it is; the text says why."""


class BoundedSession:
    """Sends requests whose answers, headers included, must arrive in time.

    :param verify: ``True``, ``False`` or the path of a CA bundle.
    :param max_connections: connections kept and used at once.
    :param headers: sent with every request.
    """

    def __init__(self, *, verify: bool | str, max_connections: int, headers: Mapping[str, str]) -> None:
        self._verify = verify
        self._environment: dict[tuple[str, ...], Mapping[str, Any]] = {}
        self._session = requests.Session()
        own_headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": ENCODINGS}
        self._session.headers.update({**own_headers, **headers})
        # Cookies would make one thread's request depend on another's answer.
        self._session.cookies.set_policy(cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(
                scheme, BoundedAdapter(pool_connections=4, pool_maxsize=max_connections, max_retries=0, pool_block=True)
            )
        self._fast_reads = FastReads(self._session)

    def close(self) -> None:
        self._fast_reads.close()
        self._session.close()

    def prepare(self, request: requests.Request) -> requests.PreparedRequest:
        """
        :raises UnsendableError: the URL or a header cannot be used.
        """
        try:
            if request.method in READS and not request.data and isinstance(request.auth, Auth):
                prepared = self._fast_reads.prepare(request.method, request.url, request.headers, request.auth)
            else:
                prepared = self._session.prepare_request(request)
        except requests.exceptions.InvalidHeader:
            # The original text shows the header, which may be the credentials.
            raise UnsendableError(_BAD_HEADER) from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise UnsendableError(f"the URL of the connection cannot be used: {error}") from None
        if not all(_is_sendable(value) for value in prepared.headers.values()):
            # It would fail while the request is being sent, after an unknown part of it.
            raise UnsendableError(_BAD_HEADER)
        return prepared

    def send(
        self, prepared: requests.PreparedRequest, connect_timeout: float, read_timeout: float
    ) -> urllib3.BaseHTTPResponse:
        """The answer, with its body still unread.

        :param connect_timeout: seconds.
        :param read_timeout: seconds for the whole answer.
        :raises UnsendableError: the URL or the CA bundle cannot be used.
        :raises urllib3.exceptions.HTTPError: no answer came, as with ``requests.RequestException`` and ``OSError``.
        """
        settings = self._settings(prepared.url or "")
        try:
            if prepared.method in READS and prepared.body is None and not settings["proxies"]:
                return self._fast_reads.send(prepared, urllib3.Timeout(connect_timeout, read_timeout), settings)
            # Not with the session, which reads the whole body of a redirect, and follows it.
            adapter = self._session.get_adapter(prepared.url or "")
            answer: urllib3.BaseHTTPResponse = adapter.send(
                prepared, timeout=(connect_timeout, read_timeout), **settings
            ).raw
            return answer
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise UnsendableError(f"the URL of the connection cannot be used: {error}") from None
        except requests.exceptions.RequestException:
            raise
        except OSError as error:
            if isinstance(self._verify, str) and not Path(self._verify).exists():
                summary = f"the CA bundle in the connection's extra `verify` cannot be used: {error}"
                raise UnsendableError(summary) from None
            raise

    def _settings(self, url: str) -> Mapping[str, Any]:
        """Proxies and trust from the environment, read once per host: reading them takes as long as the request."""
        host = urlsplit(url)[:2]
        if host not in self._environment:
            settings = self._session.merge_environment_settings(url, {}, True, self._verify, None)
            self._environment[host] = settings
        return self._environment[host]


def _is_sendable(header: str | bytes) -> bool:
    return not _UNSENDABLE.search(header if isinstance(header, str) else header.decode("latin-1"))
