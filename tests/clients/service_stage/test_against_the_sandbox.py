"""The ServiceStage client against the sandbox, which verifies every signature and runs real state machines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from pytest_mock import MockerFixture

from airflow_provider.clients.service_stage import ServiceStageClient, release_states
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
)
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.sandbox.app import SandboxServer
from tests.support.until import until

SPEED = 40
REGION, PROJECT_ID = "sandbox-1", "77b6a44cba5143ab91d13ab9a8ff44fd"
KEY = "SANDBOXACCESSKEY0001"
USER = {"username": "release-bot", "password": "release-bot-password", "domain_name": "sandbox-account"}
KEYS = {"access_key": KEY, "secret_key": "sandbox-secret-key-0001"}

Control = Callable[..., Any]


@pytest.fixture
def server(sandbox: SandboxServer) -> SandboxServer:
    return sandbox


@pytest.fixture
def control(server: SandboxServer) -> Control:
    def call(path: str, /, **body: Any) -> Any:
        answer = requests.post(f"{server.url}/_sandbox/{path}", json=body, timeout=60)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    call("reset", speed=SPEED)
    return call


def _client(server: SandboxServer, **options: Any) -> ServiceStageClient:
    url = f"{server.url}/service_stage"
    values = {"region": REGION, "iam_url": f"{url}/iam", "attempts": 2, **KEYS, **options}
    return ServiceStageClient(url, **values)


@pytest.fixture(autouse=True)
def grace(mocker: MockerFixture) -> None:
    """As much longer than the sandbox's lags as in reality; a busy machine may miss all that comes before an end."""
    mocker.patch.object(release_states, "GRACE", 1.5)


@pytest.fixture
def client(server: SandboxServer, control: Control) -> Iterator[ServiceStageClient]:
    with _client(server) as client:
        yield client


def _wait(client: ServiceStageClient, run: Execution, *states: str) -> Execution:
    seen = until(lambda: client.observe(run.ref), lambda seen: seen.state in states or seen.state.is_terminal)
    assert seen.state in states, seen
    return seen


def _stop(client: ServiceStageClient, name: str = "shop-release") -> Execution:
    return client.releases.stop(client.releases.find_stoppable(name).ref)


def _state(server: SandboxServer, run: Execution) -> str:
    runs = requests.get(f"{server.url}/_sandbox/executions", params={"system": "service_stage"}, timeout=60).json()
    return str(next(each["state"] for each in runs if each["id"] == run.id))


def _until_over(server: SandboxServer, run: Execution) -> None:
    until(lambda: _state(server, run), lambda state: state == "2")


def _log(server: SandboxServer) -> list[dict[str, Any]]:
    answer = requests.get(f"{server.url}/_sandbox/requests", params={"system": "service_stage"}, timeout=60).json()
    return answer if isinstance(answer, list) else answer["requests"]


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"reply_id": "text", "list_form": "bare", "status_form": "text"},
        {"record_id": "text", "record_case": "camel"},
        {"record_status": False},
        {"record_status": False, "list_lag": 0.3},
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_release_is_followed_to_its_end_in_every_spelling(
    server: SandboxServer, client: ServiceStageClient, control: Control, switches: dict[str, Any], together: bool
) -> None:
    control("switches", system="service_stage", **switches)
    first = client.releases.act(client.release_tasks.find("shop-release")["id"], "start")
    done = _wait(client, first, "succeeded")
    again = client.releases.act(first.ref["pipeline_id"], "start")
    assert again.id != first.id
    _follow(server, client, again, together=together)
    assert (done.status, done.id) == ("2", first.id)


LAGS = {
    "the status in the list": {"record_status": False, "list_lag": 0.3},
    "the whole list": {"record_status": False, "list_lag": 0.3, "list_time_lags": True},
    "the list, and the records more": {
        "record_status": False,
        "list_lag": 0.2,
        "list_time_lags": True,
        "record_lag": 0.4,
    },
    "the records": {"record_lag": 0.3},
    "list and records": {"record_lag": 0.3, "list_lag": 0.3, "list_time_lags": True},
    "the records more": {"record_lag": 0.4, "list_lag": 0.2},
}


@pytest.mark.parametrize("switches", LAGS.values(), ids=LAGS)
@pytest.mark.parametrize("together", [True, False])
def test_the_end_of_the_release_before_is_not_taken_for_that_of_a_new_one_whatever_lags(
    server: SandboxServer,
    client: ServiceStageClient,
    control: Control,
    switches: dict[str, Any],
    together: bool,
) -> None:
    control("switches", system="service_stage", task_seconds=10, **switches)
    first = client.releases.act(client.release_tasks.find("shop-release")["id"], "start")
    # So late that lists still show the first one in progress when the second one is started.
    _until_over(server, first)
    _follow(server, client, client.releases.act(first.ref["pipeline_id"], "start"), together=together)


def _follow(server: SandboxServer, client: ServiceStageClient, run: Execution, *, together: bool) -> None:
    """See it succeed, but not before it has."""

    def observe() -> Any:
        seen: Any = client.waits.fetch([run.ref, dict(run.ref)])[0] if together else client.observe(run.ref)
        assert _state(server, run) == "2" or not seen.state.is_terminal, f"the old {seen.state} was believed"
        return seen

    seen = until(observe, lambda seen: seen.state.is_terminal)
    assert (seen.state, seen.id) == (ExecutionState.SUCCEEDED, run.id)


def test_only_selected_tasks_run_and_names_come_from_the_detail(client: ServiceStageClient) -> None:
    pipeline_id = client.release_tasks.find("shop-release")["id"]
    stages = client.release_tasks.list_stages(pipeline_id)
    assert stages == {"899tih": ["ujgdh4"], "uipfzw": ["ax8hus"]}
    _wait(client, client.releases.act(pipeline_id, "start", selected_tasks={"899tih": ["ujgdh4"]}), "succeeded")
    with pytest.raises(BadRequestError, match="nothere"):
        client.releases.act(pipeline_id, "start", selected_tasks={"899tih": ["nothere"]})


@pytest.mark.parametrize(("approval_type", "state"), [("agree", "succeeded"), ("refuse", "failed")])
def test_an_approval_is_answered(client: ServiceStageClient, approval_type: str, state: str) -> None:
    pipeline_id = client.release_tasks.find("shop-release-approval")["id"]
    run = client.releases.act(pipeline_id, "start")
    assert _wait(client, run, "waiting").message == "to be approved: apr0v1"
    answered = client.releases.act(
        pipeline_id, "approval", task_name="apr0v1", approval_type=approval_type, message="发布 + 100 % für später"
    )
    assert answered.id == run.id
    _wait(client, run, state)


@pytest.mark.parametrize("retry_keeps_id", [True, False])
def test_a_failed_release_is_retried_and_rolled_back(
    client: ServiceStageClient, control: Control, retry_keeps_id: bool
) -> None:
    control("switches", system="service_stage", retry_keeps_id=retry_keeps_id)
    pipeline_id = client.release_tasks.find("broken-release")["id"]
    first = _wait(client, client.releases.act(pipeline_id, "start"), "failed")
    retried = client.releases.act(pipeline_id, "retry")
    assert (retried.id == first.id) is retry_keeps_id
    assert retried.state in (ExecutionState.RUNNING, ExecutionState.QUEUED)
    assert _wait(client, retried, "failed").status == "3"
    rolled = _wait(client, client.releases.act(pipeline_id, "rollback"), "succeeded")
    assert rolled.status == "11"


def test_a_release_is_stopped_continued_and_canceled(server: SandboxServer, client: ServiceStageClient) -> None:
    pipeline_id = client.release_tasks.find("shop-release-approval")["id"]
    run = client.releases.act(pipeline_id, "start")
    assert _wait(client, _stop(client, "shop-release-approval"), "succeeded").status == "7"
    assert client.observe(run.ref).state is ExecutionState.PAUSED
    _wait(client, client.releases.act(pipeline_id, "continue"), "waiting")
    client.cancel(run.ref, "timeout")
    _wait(client, run, "paused")
    client.cancel(run.ref, "again")
    assert [entry["query"] for entry in _log(server) if entry["method"] == "POST"] == [
        f"action_id={action}" for action in ("start", "stop", "continue", "stop")
    ]


def test_a_stop_of_what_has_stopped_or_ended_is_no_error(client: ServiceStageClient, control: Control) -> None:
    control("switches", system="service_stage", task_seconds=1e6)
    run = client.releases.act(client.release_tasks.find("shop-release")["id"], "start")
    assert _wait(client, _stop(client), "succeeded").status == "7"
    assert (_stop(client).id, _stop(client).status) == (run.id, "7")
    control("switches", system="service_stage", task_seconds=1)
    _wait(client, client.releases.act(run.ref["pipeline_id"], "continue"), "succeeded")
    ended = _stop(client)
    assert (ended.state, ended.message) == (ExecutionState.SUCCEEDED, "released before it could be stopped")
    with pytest.raises(ConflictError, match="never executed"):
        client.releases.find_stoppable("broken-release")


@pytest.mark.parametrize("switches", [{}, {"record_lag": 0.2}, {"record_status": False}])
def test_a_stop_that_is_repeated_leaves_the_version_alone_that_was_started_since(
    server: SandboxServer, client: ServiceStageClient, control: Control, switches: dict[str, Any]
) -> None:
    control("switches", system="service_stage", task_seconds=40_000, **switches)
    pipeline_id = client.release_tasks.find("shop-release")["id"]
    run = client.releases.act(pipeline_id, "start")
    control("clock", advance=1)
    target = client.releases.find_stoppable("shop-release")
    assert target.id == run.id
    _wait(client, client.releases.stop(target.ref), "succeeded")
    fixed = client.releases.act(pipeline_id, "start")
    control("clock", advance=1)
    again = client.releases.stop(target.ref)
    assert (again.id, again.state) == (run.id, ExecutionState.SUCCEEDED)
    assert client.observe(target.ref).state is ExecutionState.SUCCEEDED
    assert client.observe(fixed.ref).state is ExecutionState.RUNNING
    assert [entry["query"] for entry in _log(server) if entry["method"] == "POST"] == [
        f"action_id={action}" for action in ("start", "stop", "start")
    ]


def test_a_stop_of_what_the_records_do_not_show_yet_stops_it_and_nothing_later(
    client: ServiceStageClient, control: Control
) -> None:
    pipeline_id = client.release_tasks.find("shop-release")["id"]
    first = client.releases.act(pipeline_id, "start")
    _wait(client, first, "succeeded")
    # Trigger times are compared in seconds.
    control("clock", advance=3)
    control("switches", system="service_stage", task_seconds=40_000, record_lag=60)
    second = client.releases.act(pipeline_id, "start")
    target = client.releases.find_stoppable("shop-release")
    assert target.id == ""
    client.releases.stop(target.ref)
    control("switches", system="service_stage", task_seconds=40_000, record_lag=0)
    _wait(client, second, "paused")
    third = client.releases.act(pipeline_id, "start")
    assert client.releases.stop(target.ref).state is ExecutionState.SUCCEEDED
    assert client.observe(third.ref).state is ExecutionState.RUNNING


@pytest.mark.parametrize("wrong_state_status", [400, 409])
def test_a_second_start_is_refused_and_starts_nothing(
    server: SandboxServer, client: ServiceStageClient, control: Control, wrong_state_status: int
) -> None:
    control("switches", system="service_stage", wrong_state_status=wrong_state_status)
    pipeline_id = client.release_tasks.find("shop-release-approval")["id"]
    client.releases.act(pipeline_id, "start")
    with pytest.raises((BadRequestError, ConflictError)) as caught:
        client.releases.act(pipeline_id, "start")
    assert caught.value.effect is Effect.REFUSED
    assert len(client.releases.list(pipeline_id)) == 1


@pytest.mark.parametrize(("fault", "starts"), [("reset_after", 1), ("reset_before", 0), ("truncate", 1)])
@pytest.mark.parametrize("earlier", [0, 1])
def test_a_lost_answer_to_a_start_is_settled_by_the_records(
    client: ServiceStageClient, control: Control, fault: str, starts: int, earlier: int
) -> None:
    item = client.release_tasks.find("shop-release")
    for _ in range(earlier):
        _wait(client, client.releases.act(item["id"], "start"), "succeeded")
    before = client.releases.intent("shop-release", "start")
    intent = {"marker": "m", "since": time.time(), "clock": "worker", **before}
    assert bool(intent["newest_record"]) == bool(earlier)
    control("faults", system="service_stage", method="POST", path="/action", fault=fault)
    with pytest.raises(ReleasePipelineError) as caught:
        client.releases.act(item["id"], "start", before=intent)
    assert caught.value.effect is Effect.UNKNOWN
    found = client.waits.find_started(intent)
    assert len(client.releases.list(item["id"])) - earlier == starts
    assert len(found) == starts
    for each in found:
        _wait(client, each, "succeeded")


@pytest.mark.parametrize("switches", [{}, {"record_case": "camel"}, {"record_status": False}])
@pytest.mark.parametrize(("age", "colleagues", "found"), [(0, 1, 1), (0, 2, 2), (3600, 1, 0), (3600, 2, 0)])
def test_what_a_colleague_starts_long_after_an_intent_is_not_what_it_led_to(
    client: ServiceStageClient, control: Control, switches: dict[str, Any], age: int, colleagues: int, found: int
) -> None:
    control("switches", system="service_stage", **switches)
    before = client.releases.intent("shop-release", "start")
    since = (client.transport.server_time() or 0) - age
    intent = {"marker": "m", "since": since, "clock": "vendor", **before}
    runs = []
    for _ in range(colleagues):
        runs.append(client.releases.act(before["pipeline_id"], "start"))
        _wait(client, runs[-1], "succeeded")
    assert [each.id for each in client.waits.find_started(intent)] == [run.id for run in runs[:found]]


def test_names_are_exact_and_ambiguity_is_an_error(client: ServiceStageClient) -> None:
    with pytest.raises(ConflictError, match="twin-release"):
        client.release_tasks.find("twin-release")
    with pytest.raises(NotFoundError, match="broken-release"):
        client.release_tasks.find("broken")
    with pytest.raises(NotFoundError):
        client.release_tasks.get("no-such-id")


@pytest.mark.parametrize("credentials", [KEYS, {**USER, "access_key": None, "secret_key": None}])
@pytest.mark.parametrize("project_id", [None, PROJECT_ID])
def test_both_logins_work_with_and_without_a_project_id(
    server: SandboxServer, control: Control, credentials: dict[str, Any], project_id: str | None
) -> None:
    with _client(server, **credentials, project_id=project_id) as client:
        assert f"project {PROJECT_ID}, 5 release tasks" in client.check()


def test_a_long_token_that_expires_between_polls_is_renewed_once(server: SandboxServer, control: Control) -> None:
    control("switches", system="service_stage", token_length=20_000)
    with _client(server, **USER, access_key=None, secret_key=None) as client:
        run = client.releases.act(client.release_tasks.find("shop-release")["id"], "start")
        control("faults", system="service_stage", path="/records", fault="expire_token")
        _wait(client, run, "succeeded")
    assert sum(entry["path"].endswith("/v3/auth/tokens") for entry in _log(server)) == 2


def test_temporary_keys_are_sent_with_their_signed_security_token(
    server: SandboxServer, client: ServiceStageClient
) -> None:
    role = {"agency_name": "a", "domain_name": "d"}
    credential = client.transport.request(
        "POST",
        f"{server.url}/service_stage/iam/v3.0/OS-CREDENTIAL/securitytokens",
        body={"auth": {"identity": {"methods": ["assume_role"], "assume_role": role}}},
    ).data["credential"]
    keys = {"access_key": credential["access"], "secret_key": credential["secret"]}
    with _client(server, **keys, security_token=credential["securitytoken"]) as temporary:
        assert len(temporary.release_tasks.list()) == 5
    with _client(server, **keys) as incomplete, pytest.raises(AuthenticationError, match="security token"):
        incomplete.release_tasks.list()


def test_wrong_keys_wrong_projects_and_a_wrong_clock_are_distinguished(
    server: SandboxServer, client: ServiceStageClient
) -> None:
    with _client(server, secret_key="sandbox-secret-key-9999") as wrong, pytest.raises(AuthenticationError) as caught:
        wrong.release_tasks.list()
    assert "credentials" in caught.value.summary
    with _client(server, project_id="0" * 32) as foreign, pytest.raises(PermissionDeniedError, match="project_id"):
        foreign.release_tasks.list()
    client.release_tasks.list()
    server.world.clock.advance(20 * 60)
    with pytest.raises(AuthenticationError, match="check the clock"):
        client.release_tasks.list()


# --- release plans and components

PLAN = {"name": "plan-1", "action": "create", "components": [{"seq": 1, "id": "c-1", "name": "web"}]}


def test_a_release_plan_is_executed_and_rolled_back(client: ServiceStageClient) -> None:
    plan_id = client.release_plans.create(PLAN)["id"]

    def status() -> str:
        return client.release_plans.get_deployment(plan_id)["components"][0]["status"]

    assert [each["id"] for each in client.release_plans.list()] == [plan_id]
    with pytest.raises(BadRequestError, match="only a plan that was executed"):
        client.release_plans.rollback(plan_id)
    client.release_plans.execute(plan_id)
    until(status, "SUCCESS".__eq__)
    client.release_plans.rollback(plan_id)
    until(status, "ROLLBACK_SUCCEED".__eq__)
    client.release_plans.abort(plan_id)
    assert client.release_plans.get(plan_id)["status"] == "ABORTED"
    client.release_plans.update(plan_id, PLAN | {"name": "plan-2"})
    assert client.release_plans.get(plan_id)["name"] == "plan-2"
    client.release_plans.delete(plan_id)
    with pytest.raises(NotFoundError):
        client.release_plans.get(plan_id)


def test_a_release_plan_can_fail(client: ServiceStageClient, control: Control) -> None:
    plan_id = client.release_plans.create(PLAN)["id"]
    control("actions", system="service_stage", action="script_job", name="plan-1", job="execute", fails=True)
    client.release_plans.execute(plan_id)
    until(lambda: client.release_plans.get(plan_id)["status"], "FAILED".__eq__)


def test_the_jobs_of_a_component_run_to_their_ends(client: ServiceStageClient, control: Control) -> None:
    made = client.components.create("shop", {"name": "web", "version": "1", "replica": 1})
    component_id = made["component_id"]

    def ends(job_id: str, status: str) -> None:
        until(lambda: client.components.get_job(job_id)["job"]["execution_status"], status.__eq__)

    ends(made["job_id"], "SUCCEEDED")
    assert client.components.get("shop", component_id)["version"] == "1"
    assert [each["id"] for each in client.components.list()] == [component_id]
    assert client.components.list("another application") == []
    ends(client.components.update("shop", component_id, {"version": "2"})["job_id"], "SUCCEEDED")
    control("actions", system="service_stage", action="script_job", name="web", job="restart", fails=True)
    ends(client.components.act("shop", component_id, "restart")["job_id"], "FAILED")
    with pytest.raises(BadRequestError, match="action must be one of"):
        client.components.act("shop", component_id, "explode")
    done = [each["type"] for each in client.components.list_records("shop", component_id)]
    assert done == ["create", "update", "restart"]
    client.components.delete("shop", component_id)
    with pytest.raises(NotFoundError):
        client.components.get("shop", component_id)
