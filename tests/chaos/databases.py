"""PostgreSQL and Redis of Debian on free ports of 127.0.0.1, each with a data directory of its own."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from demo.ports import free_port
from demo.processes import SessionProcess, StartError

PATIENCE = 30.0


def missing(*packages: str) -> list[str]:
    """:param packages: of Debian, ``postgresql`` and ``redis-server`` among them."""
    present = {"postgresql": bool(_postgres()), "redis-server": bool(shutil.which("redis-server"))}
    return [package for package in packages if not present[package]]


def install_missing(*packages: str) -> None:
    """For commands that measure; a test is skipped instead.

    :param packages: as in :func:`missing`.
    :raises StartError: a package is missing and cannot be installed.
    """
    absent = missing(*packages)
    if not absent:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise StartError(f"install Debian's packages {' '.join(absent)} first")
    # In run level 1 the packages start no services of their own.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for step in (["update"], ["install", "--yes", "--no-install-recommends", *absent]):
        done = subprocess.run(["apt-get", "-qq", *step], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StartError(f"{' '.join(absent)} cannot be installed: {done.stderr}")


def _postgres() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


class Postgres:
    """Our own server; its data are deleted when we end."""

    def __init__(self) -> None:
        # Not below a directory of pytest, which only root may read: PostgreSQL runs as its own user.
        self._home = Path(tempfile.mkdtemp(prefix="airflow-postgres-"))
        atexit.register(shutil.rmtree, self._home, ignore_errors=True)
        self.port = free_port()
        self.url = f"airflow@127.0.0.1:{self.port}/airflow"

    def start(self) -> SessionProcess:
        binaries = _postgres()
        if binaries is None:
            raise StartError("PostgreSQL is not installed")
        data = self._home / "data"
        data.mkdir(mode=0o700)
        drop: Sequence[str] = ()
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            owner = pwd.getpwnam("postgres")
            for path in (self._home, data):
                os.chown(path, owner.pw_uid, owner.pw_gid)
            drop = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        make = [str(binaries / "initdb"), "-D", str(data), "-U", "airflow", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*drop, *make], cwd=self._home, capture_output=True, check=True)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self._home,
            "fsync": "off",
            "max_connections": 200,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [*drop, str(binaries / "postgres"), "-D", str(data), *options]
        process = SessionProcess("postgres", command, directory=self._home, env=os.environ)
        process.start()
        ask = [str(binaries / "psql"), *self._login("postgres"), "-c"]
        deadline = time.monotonic() + PATIENCE
        while subprocess.run([*ask, "CREATE DATABASE airflow"], capture_output=True, check=False).returncode:
            process.check_running()
            if time.monotonic() > deadline:
                raise StartError(f"PostgreSQL did not come up\n{process.log_tail()}")
            time.sleep(0.2)
        return process

    def dump(self) -> str:
        """All rows of all tables, as text."""
        command = [str((_postgres() or Path()) / "pg_dump"), "--data-only", *self._login("airflow")]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout

    def _login(self, database: str) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", "airflow", "-d", database]


class Redis:
    """:param home: of its log."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> SessionProcess:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        process = SessionProcess("redis", command, directory=self._home, env=os.environ)
        process.start()
        return process
