"""No secret of a connection is ever shown: in errors, logs, XComs, rendered fields, triggers or the state store."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import AuthenticationError, ExecutionFailed, ReleasePipelineError
from airflow_provider.triggers.execution import ExecutionTrigger
from tests.airflow_runs import TaskRun, run_task
from tests.operators.test_starting import STARTERS, first_execution_fails
from tests.sensors.test_waiting import WATCHED
from tests.systems import LOGINS, Systems, define_connection

SYSTEMS = ("code_stream", "service_stage", "cocktail", "quay")
EVERY_SYSTEM = pytest.mark.parametrize("system", SYSTEMS)
STARTER = {starter.system: starter for starter in reversed(STARTERS.values())}
WATCHER = {watched.system: watched for watched in WATCHED.values()}
BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])


class Shown:
    """Everything that the runs of a test show to people, and the secrets that they must not show.

    :param secrets: everything that was told to Airflow as a secret, tokens obtained at run time too.
    """

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.triggers: list[Any] = []
        self._read_logs: Callable[[], str] = str

    def run(self, build: Callable[[], Any], **options: Any) -> TaskRun:
        self.ended = run_task(build, **options)
        return self.ended

    def check(self, password: str) -> None:
        error = self.ended.error
        chain = traceback.format_exception(error) if error else []
        logs = self._read_logs()
        texts = [*chain, repr(error), str(vars(error) if error else ""), logs]
        texts += [str(self.ended.xcoms), str(self.triggers), database()]
        assert password in self.secrets
        assert "urllib3.connectionpool" in logs
        leaks = [secret for secret in self.secrets if any(secret in text for text in texts)]
        assert leaks == []
        assert [text for text in texts if "Bearer " in text] == []


def database() -> str:
    """All that Airflow has stored: XComs, rendered fields, task state, serialised DAGs, logs of the database."""
    home = Path(os.environ["AIRFLOW_HOME"])
    return "".join(path.read_bytes().decode("latin-1") for path in home.glob("airflow.db*"))


@pytest.fixture
def shown(systems, monkeypatch, caplog, capfd) -> Shown:
    import airflow._shared.logging.structlog
    import airflow.sdk._shared.logging.structlog
    import airflow.sdk.log

    shown = Shown()
    mask, serialize = airflow.sdk.log.mask_secret, ExecutionTrigger.serialize

    def tell(secret: Any, *args: Any) -> None:
        shown.secrets.add(str(secret))
        mask(secret, *args)

    def serialized(trigger: ExecutionTrigger) -> Any:
        shown.triggers.append(serialize(trigger))
        return shown.triggers[-1]

    monkeypatch.setattr(airflow.sdk.log, "mask_secret", tell)
    monkeypatch.setattr(ExecutionTrigger, "serialize", serialized)
    # Not debug: there Airflow itself logs each message between task and supervisor, and one tells it what to mask.
    for module in (airflow._shared.logging.structlog, airflow.sdk._shared.logging.structlog):
        monkeypatch.setitem(module.PER_LOGGER_LEVELS, "", logging.INFO)
    caplog.set_level(logging.DEBUG)
    shown._read_logs = lambda: caplog.text + "".join(capfd.readouterr())
    systems.reset(speed=60)
    return shown


def connect(systems: Systems, system: str, **fields: Any) -> str:
    """The default connection, with these fields; returns its secret."""
    fields = {**LOGINS[system], **fields}
    define_connection(f"{system}_default", conn_type=system, host=f"{systems.url}/{system}", **fields)
    return str(fields["password"])


def starter(systems: Systems, system: str, **arguments: Any) -> Callable[[], Any]:
    return lambda: STARTER[system].build(systems, task_id="release", poll_interval=0.1, **arguments)


@EVERY_SYSTEM
@BOTH_MODES
def test_a_run_that_ends_well_shows_no_secret(systems, shown, system, deferrable):
    password = connect(systems, system)
    assert shown.run(starter(systems, system, deferrable=deferrable)).error is None
    assert deferrable is bool(shown.triggers)
    shown.check(password)


@EVERY_SYSTEM
@BOTH_MODES
def test_a_run_that_fails_shows_no_secret(systems, shown, system, deferrable):
    systems.reset(speed=5)
    password = connect(systems, system)
    with first_execution_fails(systems, STARTER[system], systems.executions(system)):
        ended = shown.run(starter(systems, system, deferrable=deferrable))
    assert isinstance(ended.error, ExecutionFailed)
    shown.check(password)


@EVERY_SYSTEM
@pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])
def test_a_sensor_shows_no_secret(systems, shown, system, deferrable):
    password = connect(systems, system)
    watched = WATCHER[system]
    execution_id = watched.start()
    ended = shown.run(
        lambda: watched.build(execution_id, task_id="watch", poke_interval=0.1, timeout=10, deferrable=deferrable)
    )
    assert ended.error is None
    shown.check(password)


@EVERY_SYSTEM
def test_a_refused_secret_is_not_shown(systems, shown, system):
    password = connect(systems, system, password=f"refused-secret-of-{system}")
    assert isinstance(shown.run(starter(systems, system)).error, AuthenticationError)
    shown.check(password)


@EVERY_SYSTEM
@pytest.mark.parametrize("status", [400, 403, 409, 500])
def test_a_secret_that_the_vendor_repeats_is_not_shown(systems, shown, system, status, monkeypatch):
    monkeypatch.setattr(DURATIONS, "settling", 0.3)
    password = connect(systems, system)
    said = f"credentials {password} cannot be used"
    body = {"message": said, "error_msg": said, "error_code": "X.1", "error_message": said, "status": status}
    systems.fault(system, "status", method="POST", path=STARTER[system].start, status=status, body=body, times=10)
    ended = shown.run(starter(systems, system))
    assert isinstance(ended.error, ReleasePipelineError)
    assert "cannot be used" in str(ended.error)
    shown.check(password)


def test_every_other_secret_of_a_connection_is_hidden_too(systems, shown):
    token, header = "sandbox-refresh-token", "secret-value-of-a-header"
    fields = {"login": None, "password": None, "extra": {"refresh_token": token}}
    connect(systems, "code_stream", **fields)
    assert shown.run(starter(systems, "code_stream")).error is None
    shown.check(token)
    connect(systems, "cocktail", extra={"headers": {"X-Team-Secret": header}})
    assert shown.run(starter(systems, "cocktail", deferrable=True)).error is None
    shown.check(header)


def test_a_trigger_knows_a_connection_by_its_name_and_the_system_it_leads_to(systems, shown):
    connect(systems, "service_stage")
    shown.run(starter(systems, "service_stage", deferrable=True))
    for _, arguments in shown.triggers:
        assert arguments["conn_id"] == "service_stage_default"
        assert LOGINS["service_stage"]["login"] not in str(arguments)
        # Which system, but never who asks it; before the start, nothing.
        assert arguments["ref"].get("place", systems.url).startswith(systems.url)
    assert LOGINS["service_stage"]["login"] not in str(shown.ended)
