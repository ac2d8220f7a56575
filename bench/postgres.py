"""A PostgreSQL server of its own: loopback, a free port, a data directory that goes away with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import psutil

from demo.ports import free_port


class PostgresMissingError(RuntimeError):
    """The programs of PostgreSQL are not installed."""


class Postgres:
    """Root may not run PostgreSQL: then the user ``postgres`` does, which Debian's package makes."""

    def __init__(self) -> None:
        self._programs = _find_programs()
        self._user = "postgres" if os.geteuid() == 0 else None
        self.port = free_port()

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-postgres-"))
        if self._user:
            shutil.chown(self._folder, self._user)
        data = self._folder / "data"
        self._run("initdb", "--pgdata", data, "--username", "airflow", "--auth", "trust", "--encoding", "UTF8")
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self._folder}"
        log = self._folder / "log"
        self._run("pg_ctl", "start", "--wait", "--pgdata", data, "--log", log, "--options", options)
        self._main = psutil.Process(int((data / "postmaster.pid").read_text().splitlines()[0]))
        return self

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "stop", "--mode", "immediate", "--pgdata", self._folder / "data")
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def address(self) -> str:
        return f"airflow@127.0.0.1:{self.port}/postgres"

    def cpu(self) -> float:
        """Seconds used so far by the server and the connections that are open."""
        total = 0.0
        for process in (self._main, *self._main.children()):
            try:
                used = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += used.user + used.system
        return total

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        done = subprocess.run(
            command, user=self._user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()[-500:]}")


def _find_programs() -> Path:
    """Debian keeps the server's programs out of the ``PATH``."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not versions:
        raise PostgresMissingError("PostgreSQL is not installed (on Debian: apt-get install postgresql)")
    return versions[-1].parent
