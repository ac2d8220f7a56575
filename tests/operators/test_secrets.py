"""No secret of a connection is ever shown: in errors, logs, XComs, rendered fields, triggers or the state store."""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk._shared.secrets_masker import redact

from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.waiting import Outcome
from airflow_provider.exceptions import AuthenticationError, ExecutionFailed, ReleasePipelineError
from airflow_provider.hooks.service_stage import ServiceStageHook
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.quay import QuayCreateNotificationOperator, QuayRunBuildOperator
from airflow_provider.sandbox import seed
from airflow_provider.sandbox.core import issued
from airflow_provider.triggers.execution import ExecutionTrigger
from tests.support import secrets
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.starters import STARTERS, first_execution_fails
from tests.support.systems import LOGINS, Systems, define_connection
from tests.support.watched import WATCHED

IAM = "/service_stage/iam"
SYSTEMS = ("code_stream", "service_stage", "cocktail", "quay")
EVERY_SYSTEM = pytest.mark.parametrize("system", SYSTEMS)
STARTER = {starter.system: starter for starter in reversed(STARTERS.values())}
WATCHER = {watched.system: watched for watched in WATCHED.values()}
BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])


class Shown:
    """Everything that the runs of a test show to people, and the secrets that they must not show.

    :param secrets: everything that Airflow was asked to mask, tokens obtained at run time too.
    """

    def __init__(self, systems: Systems) -> None:
        self.secrets: set[str] = set()
        self.triggers: list[Any] = []
        self.events: list[Any] = []
        self._systems = systems
        self.read_logs: Callable[[], str] = str

    def run(self, build: Callable[[], Any], **options: Any) -> TaskRun:
        self.ended = run_task(build, **options)
        return self.ended

    def check(self, *known: str) -> None:
        """:param known: secrets that must be among those that this searches for."""
        error = self.ended.error
        chain = traceback.format_exception(error) if error else []
        logs = self.read_logs()
        # Each request is a line at level debug, with its query: that of a callback is for Airflow to mask.
        masked = str(redact(logs))
        texts = [*chain, repr(error), str(vars(error) if error else ""), masked, *secrets.kept_by_airflow()]
        texts += [str(self.ended.xcoms), str(self.triggers), str(self.events), *self._journal()]
        # The template of a secret is none.
        masked = {secret for secret in self.secrets if "{{" not in secret}
        assert set(known) <= masked
        assert "urllib3.connectionpool" in logs
        assert secrets.found_in(texts, {*masked, *secrets.WORDS}) == []
        assert secrets.found_in([logs], secrets.IN_CONNECTIONS) == []
        assert [text for text in [*texts, logs] if "Bearer " in text] == []

    def _journal(self) -> list[str]:
        """The requests that the sandbox received."""
        return [json.dumps(self._systems.requests(system)) for system in SYSTEMS]


@pytest.fixture
def shown(systems, mocker, caplog, capfd) -> Shown:
    import airflow.sdk.log
    from airflow._shared.logging import structlog as of_core
    from airflow.sdk._shared.logging import structlog as of_sdk

    shown = Shown(systems)
    mask, serialize, to_event = airflow.sdk.log.mask_secret, ExecutionTrigger.serialize, Outcome.to_event

    def recorded(secret: Any, *args: Any) -> None:
        shown.secrets.add(str(secret))
        mask(secret, *args)

    def serialized(trigger: ExecutionTrigger) -> Any:
        shown.triggers.append(serialize(trigger))
        return shown.triggers[-1]

    def as_event(outcome: Outcome) -> Any:
        shown.events.append(to_event(outcome))
        return shown.events[-1]

    mocker.patch.object(Outcome, "to_event", as_event)
    mocker.patch.object(airflow.sdk.log, "mask_secret", recorded)
    mocker.patch.object(ExecutionTrigger, "serialize", serialized)
    # Not debug: there Airflow itself logs each message between task and supervisor, and one of them has what to mask.
    for module in (of_core, of_sdk):
        mocker.patch.dict(module.PER_LOGGER_LEVELS, {"": logging.INFO})
    caplog.set_level(logging.DEBUG)
    shown.read_logs = lambda: caplog.text + "".join(capfd.readouterr())
    systems.reset(speed=60)
    return shown


def connect(systems: Systems, system: str, **fields: Any) -> str:
    """The default connection, with these fields; returns its secret."""
    fields = {**LOGINS[system], **fields}
    define_connection(f"{system}_default", conn_type=system, host=f"{systems.url}/{system}", **fields)
    return str(fields["password"])


def starter(systems: Systems, system: str, **arguments: Any) -> Callable[[], Any]:
    arguments = {"task_id": "release", "poll_interval": 0.1, **arguments}
    return lambda: BUILD[system](systems, **arguments)


def cocktail_build(_: Systems, **arguments: Any) -> CocktailRunBuildOperator:
    return CocktailRunBuildOperator(
        build_seq=12, tag_name="1.4.2", callback_url="{{ var.value.callback_of_a_test }}", **arguments
    )


def quay_build(_: Systems, **arguments: Any) -> QuayRunBuildOperator:
    return QuayRunBuildOperator(
        repository="acme/shop", archive_url="{{ var.value.archive_of_a_test }}", tags=["1.4.2"], **arguments
    )


BUILD = {system: each.build for system, each in STARTER.items()} | {"cocktail": cocktail_build, "quay": quay_build}


@pytest.fixture(autouse=True)
def secrets_of_arguments(mocker) -> None:
    """They are in no DAG: whoever reads its code, or Airflow's copy of it, reads them there."""
    for name, value in (("callback", secrets.CALLBACK), ("archive", secrets.ARCHIVE), ("webhook", secrets.WEBHOOK)):
        mocker.patch.dict(os.environ, {f"AIRFLOW_VAR_{name.upper()}_OF_A_TEST": value})


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


# Every status leads through the same redaction: all of them for one system, one for each of the others.
@pytest.mark.parametrize(
    ("system", "status"),
    [*(("quay", status) for status in (400, 403, 409, 500)), *zip(SYSTEMS, (400, 500, 409), strict=False)],
)
def test_a_secret_that_the_vendor_repeats_is_not_shown(systems, shown, system, status, mocker):
    mocker.patch.object(DURATIONS, "settling", 0.3)
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


def test_an_iam_user_and_the_token_of_its_login_are_hidden(systems, shown):
    extra = {"auth": "token", "domain_name": seed.SERVICE_STAGE_DOMAIN, "iam_url": f"{systems.url}{IAM}"}
    password = seed.SERVICE_STAGE_USERS["release-bot"]
    connect(
        systems,
        "service_stage",
        login="release-bot",
        password=password,
        extra={**LOGINS["service_stage"]["extra"], **extra},
    )
    assert shown.run(starter(systems, "service_stage", deferrable=True)).error is None
    assert any(secret.startswith("MIIE") and issued.MARK in secret for secret in shown.secrets)
    shown.check(password)


def test_a_temporary_key_and_its_security_token_are_hidden(systems, shown):
    role = {"agency_name": "a", "domain_name": seed.SERVICE_STAGE_DOMAIN}
    connect(systems, "service_stage")
    with ServiceStageHook().get_conn() as client:
        key = client.transport.request(
            "POST",
            f"{systems.url}{IAM}/v3.0/OS-CREDENTIAL/securitytokens",
            body={"auth": {"identity": {"methods": ["assume_role"], "assume_role": role}}},
        ).data["credential"]
    connect(
        systems,
        "service_stage",
        login=key["access"],
        password=key["secret"],
        extra={**LOGINS["service_stage"]["extra"], "security_token": key["securitytoken"]},
    )
    assert shown.run(starter(systems, "service_stage", deferrable=True)).error is None
    shown.check(key["secret"], key["securitytoken"])


def test_a_trigger_knows_a_connection_by_its_name_and_the_system_it_leads_to(systems, shown):
    connect(systems, "service_stage")
    shown.run(starter(systems, "service_stage", deferrable=True))
    for _, arguments in shown.triggers:
        assert arguments["conn_id"] == "service_stage_default"
        assert LOGINS["service_stage"]["login"] not in str(arguments)
        # Which system, but never who asks it; before the start, nothing.
        assert arguments["ref"].get("place", systems.url).startswith(systems.url)
    assert LOGINS["service_stage"]["login"] not in str(shown.ended)


# --- secrets of arguments


def rendered_fields(name: str) -> list[str]:
    """What Airflow has stored of an argument, for all runs so far."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = session.query(RenderedTaskInstanceFields).all()
        return [json.dumps(row.rendered_fields[name]) for row in rows if name in row.rendered_fields]


def test_a_callback_url_is_stored_and_shown_nowhere(systems, shown):
    systems.fault(
        "cocktail", "status", method="POST", path="/build/run/12$", status=400, body=repeats(secrets.CALLBACK)
    )
    connect(systems, "cocktail")
    ended = shown.run(starter(systems, "cocktail"))
    assert "cannot be used" in str(ended.error)
    shown.check(secrets.CALLBACK)
    assert rendered_fields("callback_url")[-1] == '"***"'


def test_an_archive_url_is_stored_and_shown_nowhere(systems, shown):
    systems.fault("quay", "status", method="POST", path="/build/$", status=400, body=repeats(secrets.ARCHIVE))
    connect(systems, "quay")
    ended = shown.run(starter(systems, "quay"))
    assert "cannot be used" in str(ended.error)
    shown.check(secrets.ARCHIVE)
    assert rendered_fields("archive_url")[-1] == '"***"'


def repeats(secret: str) -> dict[str, Any]:
    said = f"{secret} cannot be used"
    return {"message": said, "error_message": said, "status": 400, "error_code": "X.1"}


@pytest.mark.parametrize("whole", [False, True], ids=["in a mapping", "as one template"])
def test_the_config_of_a_notification_is_stored_and_shown_nowhere(systems, shown, whole, mocker):
    connect(systems, "quay")
    mocker.patch.dict(os.environ, {"AIRFLOW_VAR_CONFIG_OF_A_TEST": json.dumps({"url": secrets.WEBHOOK})})
    config = "{{ var.json.config_of_a_test }}" if whole else {"url": "{{ var.value.webhook_of_a_test }}"}
    ended = shown.run(
        lambda: QuayCreateNotificationOperator(
            task_id="notify",
            repository="acme/shop",
            event="repo_push",
            method="webhook",
            config=config,
            render_template_as_native_obj=True,
        )
    )
    assert ended.error is None
    assert ended.result["config"] == {"url": "https://hooks.example.com/***"}
    shown.check(secrets.WEBHOOK)
    assert rendered_fields("config")[-1] == '{"url": "***"}'


def test_a_template_that_cannot_be_rendered_shows_no_secret_of_the_same_argument(systems, shown):
    connect(systems, "quay")
    config = {"url": "https://hooks.example.com/a-known-part-of-it", "template": "{{ 1 / 0 }}"}
    ended = shown.run(
        lambda: QuayCreateNotificationOperator(
            task_id="notify", repository="acme/shop", event="repo_push", method="webhook", config=config
        )
    )
    assert isinstance(ended.error, ZeroDivisionError)
    assert "a-known-part-of-it" not in shown.read_logs()
