"""Airflow's home for all tests, set before anything imports Airflow; one sandbox and one stub, emptied each time."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytest_mock import MockerFixture

from tests.support.control import Control

if TYPE_CHECKING:
    from airflow_provider.sandbox.app import SandboxServer
    from bench.certificates import Certificates
    from bench.stub.control import Stub
    from tests.support.systems import Systems

# See `pytest_runtestloop`.
gc.disable()

_home = Path(tempfile.mkdtemp(prefix="airflow-tests-"))
(_home / "dags").mkdir()

os.environ |= {
    "AIRFLOW_HOME": str(_home),
    "AIRFLOW__CORE__DAGS_FOLDER": str(_home / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__FERNET_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "airflow.task.operators.airflow_provider=INFO airflow_provider=INFO",
}

# What users name in theirs; imported after the lines above.
pytest_plugins = ["airflow_provider.sandbox.testing", "tests.support.patching"]

SPEED = 20.0
FAST = 40.0

PATIENCE = {
    "act_limit": 3.0,
    "busy_pause": 0.5,
    "cleared_grace": 0.5,
    "cleared_limit": 30.0,
    "deadline_cancel_limit": 2.0,
    "first_resend_pause": 0.1,
    "gone_after": 1.0,
    "let_end_pause": 0.2,
    "longest_busy_pause": 2.0,
    "longest_search_pause": 0.5,
    "not_found_pause": 0.2,
    "search_pause": 0.1,
    "settling": 1.0,
    "settling_per_second": 0.5,
    "slowest_after_errors": 1.0,
    "undecided_limit": 2.0,
    "undecided_pause": 0.05,
}
"""Durations of the core, in seconds: a tenth of what production waits, or less, so that a suite can be run often."""

POLLING = {
    "clients.retries.FIRST_PAUSE": 0.05,
    "triggers.poller.MIN_INTERVAL": 0.1,
    "triggers.poller.GATHER": 0.02,
}


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Python's collector need not go through a million objects of Airflow and pytest again and again."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary() -> None:
    """Hypothesis, which is imported now if no test needed it, looks for who keeps its source of random numbers."""
    gc.unfreeze()


def pytest_unconfigure() -> None:
    shutil.rmtree(_home, ignore_errors=True)


@pytest.fixture(autouse=True)
def _ends_count_at_once(mocker: MockerFixture) -> None:
    from airflow_provider.core.durations import DURATIONS

    for name in ("failed_settling", "expired_settling"):
        mocker.patch.object(DURATIONS, name, 0.0)


@pytest.fixture(autouse=True)
def _own_logins() -> None:
    """A process keeps its logins, and the refusals among them, for all clients: each test begins without any."""
    from airflow_provider.clients.login import forget_shared_logins

    forget_shared_logins()


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_kept() -> Iterator[None]:
    """After all tests, none of the secrets that they used stands in Airflow's database or logs."""
    yield
    from tests.support import secrets

    assert secrets.found_in(secrets.kept_by_airflow()) == []


@pytest.fixture(scope="session")
def running(sandbox: SandboxServer) -> Systems:
    from tests.support.systems import Systems

    return Systems(sandbox.url)


@pytest.fixture
def systems(running: Systems, mocker: MockerFixture) -> Systems:
    from airflow.sdk._shared.secrets_masker import reset_secrets_masker

    from airflow_provider.core.durations import DURATIONS

    for name, seconds in PATIENCE.items():
        mocker.patch.object(DURATIONS, name, seconds)
    for constant, seconds in POLLING.items():
        mocker.patch(f"airflow_provider.{constant}", seconds)
    # Each login adds a token to one long pattern, which Airflow compiles anew each time.
    reset_secrets_masker()
    running.connect()
    running.reset(SPEED)
    return running


@pytest.fixture(scope="session")
def running_elsewhere() -> Iterator[Systems]:
    from tests.support.systems import running_systems

    with running_systems(SPEED) as systems:
        yield systems


@pytest.fixture
def elsewhere(systems: Systems, running_elsewhere: Systems) -> Systems:
    """Another installation of each system, to which no connection leads yet."""
    running_elsewhere.reset(SPEED)
    systems.connect()
    return running_elsewhere


@pytest.fixture(scope="session")
def sandbox(release_sandbox_server: SandboxServer) -> SandboxServer:
    return release_sandbox_server


@pytest.fixture
def control(sandbox: SandboxServer) -> Control:
    """The control routes, after a reset."""
    control = Control(sandbox.url)
    control.post("reset", speed=FAST)
    return control


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    from bench.certificates import make_certificates

    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def running_stub(certificates: Certificates) -> Iterator[Stub]:
    from bench.stub.control import Stub

    with Stub(certificates.server) as stub:
        yield stub


@pytest.fixture
def stub(running_stub: Stub) -> Stub:
    """The bench's vendors, over TLS, with nothing to tell yet and nobody connected."""
    from bench.loop import clear_when_idle

    clear_when_idle(running_stub)
    return running_stub
