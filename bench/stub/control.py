"""How a measurement drives the stub: JSON lines over its standard input and output, so that they cost it no request."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.stub.server import VENDORS, Site


def obey(site: Site, order: dict[str, Any]) -> dict[str, Any]:
    """Carry out one order inside the stub."""
    match order["do"]:
        case "clear":
            site.clear()
        case "begin":
            vendor = VENDORS[order["system"]](order["count"], order["lists"], time.time())
            site.vendors[order["system"], order["connection"]] = vendor
        case "plan":
            ends = {int(index): end for index, end in order["ends"].items()}
            site.vendors[order["system"], order["connection"]].plan(ends)
    used = os.times()
    return {
        "at": time.monotonic(),
        "requests": [[*of, count] for of, count in site.requests.items()],
        "connections": site.connections,
        "open": site.open,
        "cpu": used.user + used.system,
    }


@dataclass(frozen=True)
class Counts:
    """What the stub has seen so far.

    :param at: monotonic seconds.
    :param requests: by the Airflow connection's number and kind: ``list``, ``single``, ``start``, ``login``, ``other``.
    :param connections: accepted so far; ``open``: right now.
    :param cpu: seconds that the stub itself has used.
    """

    at: float
    requests: Mapping[tuple[str, str], int]
    connections: int
    open: int
    cpu: float

    @property
    def total(self) -> int:
        return sum(self.requests.values())

    def of(self, kind: str, connection: str | None = None) -> int:
        """Requests of one kind: of all connections, or of one."""
        return sum(
            count for (number, each), count in self.requests.items() if each == kind and connection in (None, number)
        )


class Stub:
    """The stub as a process of its own. Orders may come from several threads.

    :param certificate: PEM file with the server's key and certificate.
    """

    def __init__(self, certificate: Path) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.stub", str(certificate)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(json.loads(self._read())["port"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def clear(self) -> Counts:
        return self._order(do="clear")

    def begin(self, system: str, connection: str, count: int, lists: int) -> Counts:
        return self._order(do="begin", system=system, connection=connection, count=count, lists=lists)

    def plan(self, system: str, connection: str, ends: Mapping[int, float]) -> Counts:
        return self._order(do="plan", system=system, connection=connection, ends=dict(ends))

    def counts(self) -> Counts:
        return self._order(do="count")

    def _order(self, **order: Any) -> Counts:
        with self._lock:
            assert self._process.stdin
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            counts = json.loads(self._read())
        requests = {(connection, kind): count for connection, kind, count in counts.pop("requests")}
        return Counts(**counts, requests=requests)

    def _read(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the stub has ended with {self._process.wait(10)}")
        return line


async def listen_to_orders(site: Site) -> None:
    """Obey until the standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        print(json.dumps(obey(site, json.loads(line))), flush=True)
