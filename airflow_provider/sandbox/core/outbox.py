"""Sends callbacks and webhooks over real HTTP and records each delivery."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from airflow_provider.sandbox.core.clock import Clock
from airflow_provider.sandbox.core.redaction import redact, redact_url

WORKERS = 8
KEPT = 10_000


class Outbox:
    """``post`` returns at once and delivers in a thread; ``post_now`` delivers before it returns.

    ``on_done`` gets the HTTP status, or None if there was no answer. It runs in the delivering thread, without
    ``world.lock``. A reset drops deliveries that are still in progress: their ``on_done`` is not called.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deliveries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self._generation = 0
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="sandbox-outbox")

    def post(
        self,
        url: str,
        json_body: Any,
        headers: Mapping[str, str] | None = None,
        *,
        system: str,
        about: str,
        timeout: float,
        follow_redirects: bool = False,
        on_done: Callable[[int | None], None] | None = None,
    ) -> None:
        """Queues one POST; ``about`` describes it in the list of deliveries, ``timeout`` is in seconds."""
        generation = self._generation

        def deliver() -> None:
            status = self._deliver(url, json_body, headers, system, about, timeout, generation, follow_redirects)
            if on_done is not None and generation == self._generation:
                on_done(status)

        self._pool.submit(deliver)

    def post_now(
        self,
        url: str,
        json_body: Any,
        headers: Mapping[str, str] | None = None,
        *,
        system: str,
        about: str,
        timeout: float,
    ) -> int | None:
        """Delivers before it returns: the HTTP status, or None. Never call it while holding ``world.lock``."""
        return self._deliver(url, json_body, headers, system, about, timeout, self._generation)

    def deliveries(self, system: str | None = None) -> list[dict[str, Any]]:
        """Every delivery, oldest first; without an answer, ``status`` is None and ``error`` is set."""
        with self._lock:
            return [delivery for delivery in self._deliveries if system in (None, delivery["system"])]

    def reset(self) -> None:
        with self._lock:
            self._generation += 1
            self._deliveries.clear()

    def close(self) -> None:
        self._generation += 1
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _deliver(
        self,
        url: str,
        json_body: Any,
        headers: Mapping[str, str] | None,
        system: str,
        about: str,
        timeout: float,
        generation: int,
        follow_redirects: bool = False,
    ) -> int | None:
        at = self._clock.now()
        status, error = None, None
        try:
            with requests.Session() as session:
                session.trust_env = False
                reply = session.post(
                    url, json=json_body, headers=headers, timeout=timeout, allow_redirects=follow_redirects
                )
            status = reply.status_code
        except (requests.RequestException, ValueError) as failure:
            error = type(failure).__name__
        delivery = {
            "system": system,
            "about": about,
            "url": redact_url(url),
            "at": at,
            "status": status,
            "error": error,
            "body": redact(json_body),
        }
        with self._lock:
            if generation == self._generation:
                self._deliveries.append(delivery)
        return status
