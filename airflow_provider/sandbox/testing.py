"""Pytest fixtures for the tests of release DAGs: a running sandbox, and the four connections that lead to it.

Name this module in the ``conftest.py`` at the root of the tests::

    pytest_plugins = ["airflow_provider.sandbox.testing"]

It is not a plugin that pytest discovers, so it costs nothing where it is not named. docs/testing_your_dags.md has a
complete example.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_provider.sandbox.app import SandboxServer
    from airflow_provider.sandbox.client import SandboxClient

SPEED = 50.0


@pytest.fixture(scope="session")
def release_sandbox_server() -> Iterator[SandboxServer]:
    """The sandbox that all tests of a session share, on a free port of 127.0.0.1."""
    # Imported here, so that a session which does not use it loads no web server.
    from airflow_provider.sandbox.app import SandboxServer

    with SandboxServer(SPEED) as server:
        yield server


@pytest.fixture
def release_sandbox_speed() -> float:
    """How many times faster than their nominal pace executions run; override it in a module or a ``conftest.py``."""
    return SPEED


@pytest.fixture
def release_sandbox(
    release_sandbox_server: SandboxServer, release_sandbox_speed: float, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SandboxClient]:
    """A client of the sandbox, which holds the data that the example DAGs use.

    The connections ``code_stream_default``, ``service_stage_default``, ``cocktail_default`` and ``quay_default`` lead
    to it while the test runs. The sandbox is reset before each test: no faults, no executions but the seeded ones.
    """
    from airflow_provider.clients.login import forget_shared_logins
    from airflow_provider.sandbox.client import SandboxClient

    # A reset invalidates all tokens, so drop those that this process has cached.
    forget_shared_logins()
    with SandboxClient(release_sandbox_server.url) as sandbox:
        sandbox.reset(release_sandbox_speed)
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("no_proxy", _with_this_machine(os.environ.get("no_proxy") or os.environ.get("NO_PROXY")))
        yield sandbox


def _with_this_machine(no_proxy: str | None) -> str:
    return ",".join([*filter(None, [no_proxy]), "127.0.0.1"])
