"""Bad input causes an error of the right class that names what to change, and nothing is started."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider.clients import retries
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ConnectionConfigError,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    UnexpectedResponseError,
)
from airflow_provider.operators.base import WaitingOperator
from airflow_provider.operators.cocktail import CocktailCancelBuildOperator, CocktailRunBuildOperator
from airflow_provider.operators.code_stream import (
    CodeStreamApprovalOperator,
    CodeStreamExecutionActionOperator,
    CodeStreamRerunEventOperator,
    CodeStreamRunPipelineOperator,
    CodeStreamTriggerGerritOperator,
)
from airflow_provider.operators.quay import (
    QuayCreateNotificationOperator,
    QuayDeleteNotificationOperator,
    QuayPromoteTagOperator,
    QuayResetNotificationOperator,
    QuayRunBuildOperator,
    QuayTestNotificationOperator,
)
from airflow_provider.operators.service_stage import (
    ServiceStageApprovalOperator,
    ServiceStageReleaseOperator,
    ServiceStageStopReleaseOperator,
)
from airflow_provider.sensors.base import ReleaseSensor
from airflow_provider.sensors.cocktail import CocktailBuildSensor
from airflow_provider.sensors.code_stream import (
    CodeStreamApprovalSensor,
    CodeStreamEventSensor,
    CodeStreamExecutionSensor,
)
from airflow_provider.sensors.quay import QuayBuildSensor, QuaySecurityScanSensor, QuayTagSensor
from airflow_provider.sensors.service_stage import ServiceStageApprovalSensor, ServiceStageReleaseSensor
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.classes import CLASSES
from tests.support.systems import LOGINS, Systems, define_connection

DIGEST = f"sha256:{64 * 'a'}"
NOT_PARSED = "the import of the DAG fails"
WRITES = ("POST", "PUT", "PATCH", "DELETE")
SEEDED = "seed"
LOGIN_PATHS = ("/login", "/authorize", "/auth/tokens")


def run(cls: type, **arguments: Any) -> TaskRun:
    given = {**CLASSES[cls], **arguments}
    if issubclass(cls, ReleaseSensor):
        given = {"poke_interval": 0.1, "timeout": 3, **given}
    if issubclass(cls, WaitingOperator):
        given = {"poll_interval": 0.1, "timeout": 3, **given}
    try:
        return run_task(lambda: cls(task_id="task", **given))
    except BadRequestError as error:
        return TaskRun(NOT_PARSED, None, {}, error)


def writes(systems: Systems) -> list[str]:
    """The requests to the systems that could have changed something."""
    sent = [each for system in LOGINS for each in systems.requests(system)]
    changing = [each for each in sent if each["method"] in WRITES and not each["path"].endswith(LOGIN_PATHS)]
    return [f"{each['method']} {each['path']}" for each in changing]


class Bad(NamedTuple):
    """:param error: the class that the task must fail with.
    :param named: what its text must say, all of it.
    :param needs_system: whether the system must be asked to know.
    :param is_late: whether only the task's run finds it, although without a request: what is inside an argument.
    """

    cls: type
    arguments: dict[str, Any]
    error: type[ReleasePipelineError]
    named: tuple[str, ...]
    needs_system: bool = False
    is_late: bool = False


NOT_EMPTY = "must not be empty"


def empty(cls: type, *names: str) -> list[Bad]:
    return [
        Bad(cls, {name: value}, BadRequestError, (f"task 'task': {name} {NOT_EMPTY}",))
        for name in names
        for value in ("", None)
    ]


def no_choice(cls: type, name: str, *choices: str, may_be_none: bool = False) -> list[Bad]:
    """The value is not one of the valid ones, not even with another spelling."""
    wrong = (
        "something",
        "" if may_be_none else None,
        5,
        choices[0].upper() if choices[0] != choices[0].upper() else choices[0].lower(),
    )
    return [
        Bad(cls, {name: value}, BadRequestError, (f"task 'task': {name} must be", *choices, f"got {value!r}"))
        for value in wrong
    ]


def one_of_two(cls: type, first: str, second: str) -> list[Bad]:
    texts = (first, second, "but not both")
    return [
        Bad(cls, {first: "", second: None}, BadRequestError, texts),
        Bad(cls, {first: DIGEST, second: "other"}, BadRequestError, texts),
    ]


def unusable_path(cls: type, name: str, *values: str) -> list[Bad]:
    """An id that would reach another path, or no path at all."""
    return [
        Bad(cls, {name: value}, BadRequestError, (name, "must not be empty or hold"), is_late=True) for value in values
    ]


BAD: list[Bad] = [
    # empty arguments
    *empty(CodeStreamRunPipelineOperator, "pipeline"),
    *empty(CodeStreamRerunEventOperator, "event_id"),
    *empty(CodeStreamTriggerGerritOperator, "change_id", "project", "trigger"),
    *empty(CodeStreamExecutionActionOperator, "execution_id"),
    *empty(CodeStreamExecutionSensor, "execution_id"),
    *empty(ServiceStageReleaseOperator, "pipeline"),
    *empty(ServiceStageStopReleaseOperator, "pipeline"),
    *empty(ServiceStageApprovalOperator, "pipeline"),
    *empty(ServiceStageReleaseSensor, "pipeline"),
    *empty(ServiceStageApprovalSensor, "pipeline"),
    *empty(CocktailRunBuildOperator, "build_seq"),
    *empty(CocktailCancelBuildOperator, "build_run_seq"),
    *empty(CocktailBuildSensor, "build_run_seq"),
    *empty(QuayRunBuildOperator, "repository", "archive_url"),
    *empty(QuayPromoteTagOperator, "repository", "tag"),
    *empty(QuayCreateNotificationOperator, "repository"),
    *empty(QuayDeleteNotificationOperator, "repository", "uuid"),
    *empty(QuayTestNotificationOperator, "repository", "uuid"),
    *empty(QuayResetNotificationOperator, "repository", "uuid"),
    *empty(QuayBuildSensor, "repository", "build_id"),
    *empty(QuayTagSensor, "repository", "tag"),
    *empty(QuaySecurityScanSensor, "repository"),
    # words that are none of those that may be given
    *no_choice(CodeStreamRerunEventOperator, "event_type", "docker", "git", "gerrit"),
    *no_choice(CodeStreamRerunEventOperator, "action", "rerun", "resume"),
    *no_choice(CodeStreamExecutionActionOperator, "action", "cancel", "pause", "resume"),
    *no_choice(CodeStreamApprovalOperator, "decision", "approve", "reject", may_be_none=True),
    *no_choice(CodeStreamEventSensor, "event_type", "docker", "git", "gerrit"),
    *no_choice(ServiceStageReleaseOperator, "action", "start", "retry", "continue", "rollback"),
    *no_choice(ServiceStageApprovalOperator, "decision", "approve", "reject", may_be_none=True),
    *no_choice(QuayCreateNotificationOperator, "event", "repo_push", "build_success"),
    *no_choice(QuayCreateNotificationOperator, "method", "webhook", "slack"),
    *no_choice(CodeStreamRerunEventOperator, "on_retry", "restart", "resume"),
    *no_choice(CodeStreamRunPipelineOperator, "on_canceled", "fail", "retry"),
    *no_choice(CodeStreamExecutionActionOperator, "on_waiting", "wait", "fail"),
    *no_choice(CocktailRunBuildOperator, "on_busy", "wait", "fail"),
    *no_choice(QuaySecurityScanSensor, "max_severity", "Unknown", "Negligible", "Low", "Medium", "High", "Critical"),
    # arguments that contradict each other
    *one_of_two(CodeStreamApprovalOperator, "execution_id", "user_operation_id"),
    *one_of_two(CodeStreamApprovalSensor, "execution_id", "pipeline"),
    *one_of_two(QuayPromoteTagOperator, "digest", "source_tag"),
    *one_of_two(QuaySecurityScanSensor, "digest", "tag"),
    Bad(
        ServiceStageReleaseOperator,
        {"action": "rollback", "selected_tasks": {"899tih": ["ujgdh4"]}},
        BadRequestError,
        ("selected_tasks", "'rollback'"),
    ),
    Bad(
        QuayRunBuildOperator,
        {"subdirectory": "shop", "dockerfile_path": "shop/Dockerfile"},
        BadRequestError,
        ("subdirectory", "dockerfile_path"),
    ),
    # values of the wrong form
    Bad(CodeStreamEventSensor, {"filters": "tag=1"}, BadRequestError, ("filters", "mapping")),
    Bad(CodeStreamEventSensor, {"since": "yesterday"}, BadRequestError, ("since", "ISO 8601", "'yesterday'")),
    Bad(CodeStreamEventSensor, {"since": "2026-11-21T10:00:00"}, BadRequestError, ("since", "time zone")),
    Bad(CodeStreamEventSensor, {"since": 1763719200}, BadRequestError, ("since", "ISO 8601", "1763719200")),
    Bad(CodeStreamRunPipelineOperator, {"inputs": "tag=1"}, BadRequestError, ("inputs must be a mapping",)),
    *(
        Bad(CodeStreamRunPipelineOperator, {"inputs": {"tag": value}}, BadRequestError, ("'task'", "inputs", "JSON"))
        for value in (datetime(2026, 11, 21, tzinfo=UTC), {"1.4.2"})
    ),
    Bad(CodeStreamRunPipelineOperator, {"tags": "nightly"}, BadRequestError, ("tags", "list", "'nightly'")),
    Bad(ServiceStageReleaseOperator, {"selected_tasks": {}}, BadRequestError, ("selected_tasks",), True),
    Bad(
        ServiceStageReleaseOperator,
        {"selected_tasks": {"899tih": "ujgdh4"}},
        BadRequestError,
        ("selected_tasks", "'899tih'", "list", "'ujgdh4'"),
    ),
    Bad(ServiceStageReleaseOperator, {"selected_tasks": {"899tih": 5}}, BadRequestError, ("selected_tasks", "5")),
    Bad(ServiceStageReleaseOperator, {"selected_tasks": ["899tih"]}, BadRequestError, ("selected_tasks", "mapping")),
    *(
        Bad(cls, {name: value}, BadRequestError, (name, "number", repr(value)))
        for cls, name in (
            (CocktailRunBuildOperator, "build_seq"),
            (CocktailCancelBuildOperator, "build_run_seq"),
            (CocktailBuildSensor, "build_run_seq"),
        )
        for value in ("shop", "12/13", "0", "-1", "1.5")
    ),
    *(
        Bad(CocktailRunBuildOperator, {"tag_name": tag}, BadRequestError, ("tag_name must be letters", repr(tag)))
        for tag in ("1 4", "-1.4", "1/4", "a" * 129)
    ),
    *(
        Bad(CocktailRunBuildOperator, {"tag_name": tag}, BadRequestError, ("tag_name must be text", repr(tag)))
        for tag in (["1.4"], True, 1.4)
    ),
    *(
        Bad(CocktailRunBuildOperator, {"callback_url": url}, BadRequestError, ("callback_url", text))
        for url, text in (
            ("https://hooks.example.com/?secret=1", "'?'"),
            ("hooks.example.com", "http"),
            ("http://[", "http"),
            (5, "http"),
        )
    ),
    Bad(
        CocktailRunBuildOperator,
        {"tag_name": None},
        BadRequestError,
        ("tag_name", "autotag of build 12 is off"),
        needs_system=True,
    ),
    Bad(QuayRunBuildOperator, {"tags": ["1.4.2", "1.4.2"]}, BadRequestError, ("tags", "once")),
    *(
        Bad(QuayRunBuildOperator, {name: value}, BadRequestError, (name, text))
        for name, value, text in (
            ("tags", "1.4.2", "list"),
            ("tags", "", "list"),
            ("tags", [], "at least one"),
            ("tags", 5, "list"),
            ("tags", ["1 4"], "'1 4'"),
            ("tags", [{"name": "1.4.2"}], "{'name': '1.4.2'}"),
            ("tags", [1.4], "1.4"),
            ("archive_url", "shop.tar.gz", "http"),
            ("archive_url", "http://[", "http"),
            ("archive_url", 5, "http"),
            ("dockerfile_path", ["Dockerfile"], "text"),
        )
    ),
    *(
        Bad(cls, {"repository": repository}, BadRequestError, ("repository", repr(repository)))
        for cls in (QuayRunBuildOperator, QuayPromoteTagOperator, QuayCreateNotificationOperator, QuayTagSensor)
        for repository in ("shop", "acme/", "/shop", "acme//shop", "acme/../other/shop", "acme/shop?x=1")
    ),
    *(
        Bad(QuayPromoteTagOperator, {"tag": tag}, BadRequestError, ("tag", repr(tag)))
        for tag in ("a/b", "-production", "prod uction", "..")
    ),
    *(
        Bad(cls, {**others, "digest": digest}, BadRequestError, ("digest", repr(digest)))
        for cls, others in (
            (QuayPromoteTagOperator, {"source_tag": None}),
            (QuayTagSensor, {}),
            (QuaySecurityScanSensor, {"tag": None}),
        )
        for digest in ("latest", "sha256:", "sha256:xyz/..", "a" * 64)
    ),
    *(
        Bad(cls, {"uuid": uuid}, BadRequestError, ("uuid", repr(uuid)))
        for cls in (QuayDeleteNotificationOperator, QuayTestNotificationOperator, QuayResetNotificationOperator)
        for uuid in ("a/b", "..", "a b")
    ),
    Bad(QuayCreateNotificationOperator, {"event": ["repo_push"]}, BadRequestError, ("event", "['repo_push']")),
    Bad(QuayCreateNotificationOperator, {"method": {"webhook": 1}}, BadRequestError, ("method", "{'webhook': 1}")),
    Bad(QuayCreateNotificationOperator, {"config": {}}, BadRequestError, ("config or asset must be given",)),
    Bad(QuayCreateNotificationOperator, {"config": "https://x"}, BadRequestError, ("config", "mapping")),
    Bad(QuayCreateNotificationOperator, {"event_config": "x"}, BadRequestError, ("event_config", "mapping")),
    *(
        Bad(QuayCreateNotificationOperator, arguments, BadRequestError, named, is_late=True)
        for arguments, named in (
            ({"config": {"url": "http://["}}, ("config.url", "http")),
            ({"config": {"uri": "https://x"}}, ("config", "'url'")),
            ({"config": {"url": "hooks"}}, ("config.url", "http")),
            ({"event_config": {"level": 3}}, ("event_config", "'level'")),
        )
    ),
    # durations
    *(
        Bad(
            cls, {name: value}, BadRequestError, (f"task 'task': {name} must be seconds or a timedelta, got {value!r}",)
        )
        for cls, name in (
            (CodeStreamRunPipelineOperator, "poll_interval"),
            (ServiceStageStopReleaseOperator, "timeout"),
            (CodeStreamRerunEventOperator, "start_timeout"),
            (CocktailBuildSensor, "poke_interval"),
            (CodeStreamEventSensor, "timeout"),
            (QuayTagSensor, "max_wait"),
        )
        for value in ("1h", "3600", [60])
    ),
    # switches
    *(
        Bad(cls, {name: value}, BadRequestError, (f"task 'task': {name} must be True or False, got {value!r}",))
        for cls, name in (
            (CodeStreamRunPipelineOperator, "deferrable"),
            (CodeStreamRunPipelineOperator, "wait_for_completion"),
            (CocktailRunBuildOperator, "require_digest"),
            (QuayTagSensor, "finish_in_triggerer"),
            (QuayDeleteNotificationOperator, "missing_ok"),
        )
        for value in ("no", 0, None)
    ),
    # ids that would reach something else
    *(
        row
        for cls in (CodeStreamExecutionActionOperator, CodeStreamExecutionSensor)
        for row in unusable_path(cls, "execution_id", " ", ".", "..")
    ),
    *unusable_path(CodeStreamRerunEventOperator, "event_id", " ", ".."),
    # what is not there, or may not be started
    Bad(
        CodeStreamRunPipelineOperator,
        {"pipeline": "Deploy shpo"},
        NotFoundError,
        ("no pipeline 'Deploy shpo'", "'retail'", "'Deploy shop'"),
        needs_system=True,
    ),
    Bad(
        CodeStreamRunPipelineOperator,
        {"pipeline": "Smoke test", "project": None},
        ConflictError,
        ("'Smoke test'", "'retail'", "'wholesale'", "`project`"),
        needs_system=True,
    ),
    Bad(
        CodeStreamRunPipelineOperator,
        {"pipeline": "Disabled pipeline"},
        ConflictError,
        ("'Disabled pipeline'", "'retail'", "disabled"),
        needs_system=True,
    ),
    Bad(CodeStreamRerunEventOperator, {}, NotFoundError, (CLASSES[CodeStreamRerunEventOperator]["event_id"],), True),
    Bad(CodeStreamRerunEventOperator, {"event_id": "a/b"}, NotFoundError, ("a%2Fb",), needs_system=True),
    Bad(CodeStreamExecutionSensor, {"execution_id": "a/b"}, NotFoundError, ("a%2Fb",), needs_system=True),
    *(
        Bad(cls, {"pipeline": "shop-relaese"}, NotFoundError, ("'shop-relaese'", "shop-release"), needs_system=True)
        for cls in (
            ServiceStageReleaseOperator,
            ServiceStageStopReleaseOperator,
            ServiceStageApprovalOperator,
            ServiceStageReleaseSensor,
        )
    ),
    Bad(
        ServiceStageReleaseOperator,
        {"pipeline": "twin-release"},
        ConflictError,
        ("2 release tasks", "give the id"),
        True,
    ),
    Bad(CocktailRunBuildOperator, {"build_seq": 99}, NotFoundError, ("there is no build 99",), needs_system=True),
    Bad(QuayPromoteTagOperator, {"source_tag": "stabel"}, NotFoundError, ("source_tag 'stabel'",), needs_system=True),
    Bad(QuayDeleteNotificationOperator, {}, NotFoundError, (CLASSES[QuayDeleteNotificationOperator]["uuid"],), True),
]


AT_RUN_TIME = [bad for bad in BAD if bad.needs_system or bad.is_late]
WHEN_PARSED = [bad for bad in BAD if bad not in AT_RUN_TIME]


def not_named(bad: Bad, ended: TaskRun) -> list[str]:
    """What the error should contain, but does not."""
    assert type(ended.error) is bad.error, bad
    return [text for text in bad.named if text not in str(ended.error)]


def test_the_import_of_a_dag_names_a_bad_argument_and_sends_nothing(systems):
    assert len(WHEN_PARSED) > 200
    for bad in WHEN_PARSED:
        ended = run(bad.cls, **bad.arguments)
        assert (ended.state, not_named(bad, ended)) == (NOT_PARSED, []), bad
    assert [each["path"] for system in LOGINS for each in systems.requests(system)] == []


@pytest.mark.parametrize("bad", AT_RUN_TIME, ids=lambda bad: f"{bad.cls.__name__} {bad.arguments}")
def test_a_bad_argument_is_named_before_anything_is_started(systems, bad):
    ended = run(bad.cls, **bad.arguments)
    assert (ended.state, not_named(bad, ended)) == ("failed", [])
    assert writes(systems) == []
    if not bad.needs_system:
        assert [each["path"] for system in LOGINS for each in systems.requests(system)] == []


# --- connections


STARTERS = {
    "code_stream": CodeStreamRunPipelineOperator,
    "service_stage": ServiceStageReleaseOperator,
    "cocktail": CocktailRunBuildOperator,
    "quay": QuayRunBuildOperator,
}
SENSORS = {
    "code_stream": CodeStreamExecutionSensor,
    "service_stage": ServiceStageReleaseSensor,
    "cocktail": CocktailBuildSensor,
    "quay": QuayTagSensor,
}
OF_EVERY_SYSTEM = [(system, cls) for kind in (STARTERS, SENSORS) for system, cls in kind.items()]
EVERY_SYSTEM = pytest.mark.parametrize(("system", "cls"), OF_EVERY_SYSTEM, ids=lambda it: getattr(it, "__name__", it))


def connection(systems: Systems, system: str, **fields: Any) -> str:
    """A connection with one mistake."""
    define_connection("wrong", conn_type=system, **{"host": f"{systems.url}/{system}", **LOGINS[system], **fields})
    return "wrong"


def with_connection(cls: type, conn_id: str, **arguments: Any) -> TaskRun:
    return run(cls, **{f"{cls.system}_conn_id": conn_id}, **arguments)


@EVERY_SYSTEM
def test_an_unknown_connection_is_named(systems, system, cls):
    ended = with_connection(cls, "no_such_connection")
    assert type(ended.error) is ConnectionConfigError
    assert "'no_such_connection'" in str(ended.error)
    assert writes(systems) == []


INCOMPLETE: list[tuple[str, dict[str, Any], str]] = [
    ("code_stream", {"host": None}, "host"),
    ("code_stream", {"login": None}, "login"),
    ("code_stream", {"password": None}, "password"),
    ("service_stage", {"login": None}, "login"),
    ("service_stage", {"password": None}, "password"),
    ("service_stage", {"host": None, "extra": {}}, "region"),
    ("cocktail", {"host": None}, "host"),
    ("cocktail", {"password": None}, "password"),
    ("quay", {"host": None}, "host"),
    ("quay", {"password": None}, "password"),
    ("quay", {"host": "https://"}, "host"),
    ("quay", {"extra": {"request_timeout": "soon"}}, "request_timeout"),
]


BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["waiting", "deferrable"])


@pytest.mark.parametrize(("system", "fields", "named"), INCOMPLETE)
def test_a_connection_that_lacks_a_field_says_which(systems, system, fields, named):
    ended = with_connection(STARTERS[system], connection(systems, system, **fields))
    assert type(ended.error) is ConnectionConfigError
    assert f"connection 'wrong': {named}" in str(ended.error) or f"extra `{named}`" in str(ended.error)
    assert writes(systems) == []


@EVERY_SYSTEM
@BOTH_MODES
def test_wrong_credentials_are_reported_at_once_and_start_nothing(systems, system, cls, deferrable):
    conn_id = connection(systems, system, password="not-the-right-secret")
    ended = with_connection(cls, conn_id, deferrable=deferrable)
    assert type(ended.error) is AuthenticationError
    assert "not-the-right-secret" not in str(ended.error)
    assert started(systems, system) == []


def started(systems: Systems, system: str) -> list[dict[str, Any]]:
    """The executions that are not part of the seed data."""
    return [each for each in systems.executions(system) if each["started_by"] != SEEDED]


@EVERY_SYSTEM
@BOTH_MODES
def test_a_url_that_leads_to_a_web_page_is_distinguished_from_an_api(systems, system, cls, deferrable, mocker):
    mocker.patch.object(retries, "FIRST_PAUSE", 0.02)
    systems.fault(system, "html", times=1000)
    ended = run(cls, deferrable=deferrable, timeout=0.5)
    # A sensor gives it time: the system may be starting.
    assert isinstance(ended.error, (UnexpectedResponseError, AirflowSensorTimeout))
    assert "HTML" in str(ended.error)
    assert "host" in str(ended.error)
    assert started(systems, system) == []


@EVERY_SYSTEM
def test_a_url_that_leads_nowhere_is_reported(systems, system, cls):
    conn_id = connection(systems, system, host=f"{systems.url}/nowhere")
    ended = with_connection(cls, conn_id, timeout=0.5)
    assert isinstance(ended.error, (NotFoundError, UnexpectedResponseError, AirflowSensorTimeout))
    assert "/nowhere" in str(ended.error)
    assert writes(systems) == []


VIEWERS: dict[str, dict[str, Any]] = {
    "code_stream": {"login": "viewer", "password": "viewer-password"},
    "service_stage": {"login": "SANDBOXACCESSKEY0002", "password": "sandbox-secret-key-0002"},
    "quay": {"password": "sandbox-quay-read-token-00000000000000000"},
}


@pytest.mark.parametrize("system", VIEWERS)
def test_a_login_that_may_only_read_starts_nothing(systems, system):
    ended = with_connection(STARTERS[system], connection(systems, system, **VIEWERS[system]))
    assert type(ended.error) is PermissionDeniedError
    assert started(systems, system) == []
