"""The secrets that the tests use, as known words, and the places in which none of their forms may be found."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, quote_plus

import psutil

from airflow_provider.sandbox.core import issued
from tests.support.systems import LOGINS

if TYPE_CHECKING:
    from tests.chaos.cluster import Cluster

CALLBACK = "https://hooks.example.com/cocktail/known-word-of-the-callback"
ARCHIVE = (
    "https://reader:known-word-of-the-login@sources.example.com/shop-1.4.2.tar.gz"
    "?X-Amz-Credential=AKIA&X-Amz-Signature=known%2Fword%2Bof-the-signature"
)
WEBHOOK = "https://hooks.example.com/quay/known-word-of-the-webhook?key=known-word-of-the-key"

IN_ARGUMENTS = (
    "known-word-of-the-callback",
    "known-word-of-the-login",
    "known%2Fword%2Bof-the-signature",
    "known/word+of-the-signature",
    "known-word-of-the-webhook",
    "known-word-of-the-key",
)
IN_CONNECTIONS = (
    *(str(login["password"]) for login in LOGINS.values()),
    "sandbox-refresh-token",
    # Of what logins return at run time, and of temporary keys.
    issued.MARK,
)
OF_WEBHOOKS = "known-secret-of-a-webhook"
"""How the secrets of declared webhooks begin, the wrong ones that are tried too."""
EVERY = 0.3
"""Seconds after which processes are examined again."""

WORDS = (*IN_ARGUMENTS, *IN_CONNECTIONS, OF_WEBHOOKS)


def forms(word: str) -> set[str]:
    """In clear text, in JSON, in a URL or a form, and inside base64."""
    written = {word, json.dumps(word)[1:-1], quote(word, safe=""), quote(word), quote_plus(word)}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + word.encode()).decode().rstrip("=")
        # The characters at its ends also depend on what stands beside the word.
        written.add(encoded[4 if before else 0 : -4])
    return written


def found_in(texts: Iterable[str], words: Iterable[str] = WORDS) -> list[str]:
    """Those of the words that one of the texts contains."""
    whole = "\n".join(texts)
    return sorted(word for word in words if any(form in whole for form in forms(word)))


def kept_by_airflow(home: Path | None = None) -> Iterator[str]:
    """All that Airflow has stored: its database with XComs, rendered fields, task state, events, and its logs."""
    home = home or Path(os.environ["AIRFLOW_HOME"])
    for path in [*home.glob("airflow.db*"), *home.glob("*.log"), *(home / "logs").rglob("*")]:
        if path.is_file():
            yield path.read_bytes().decode("latin-1")


def kept_by_cluster(cluster: Cluster) -> Iterator[str]:
    """The same of an Airflow on PostgreSQL that is still running."""
    yield cluster.dump()
    yield from kept_by_airflow(cluster.home)


class ArgumentsSeen:
    """Notes the arguments of all processes of some sessions, which everybody on a machine may read.

    :param leaders: of the sessions.
    """

    def __init__(self, *leaders: int) -> None:
        self.texts: set[str] = set()
        self._leaders = leaders
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="arguments", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        is_over = False
        while not is_over:
            for process in psutil.process_iter():
                with suppress(OSError, psutil.Error):
                    if os.getsid(process.pid) in self._leaders:
                        self.texts.add(" ".join(process.cmdline()))
            is_over = self._is_over.wait(EVERY)
