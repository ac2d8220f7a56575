"""Is it the same request? A request that starts nothing is also sent only once, and again after a clear; no guesses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from airflow_provider.clients.code_stream.approvals import Approvals
from airflow_provider.clients.code_stream.events import Events
from airflow_provider.clients.code_stream.executions import Executions
from airflow_provider.clients.service_stage.releases import Releases
from airflow_provider.exceptions import ConflictError
from airflow_provider.operators.code_stream import (
    CodeStreamApprovalOperator,
    CodeStreamExecutionActionOperator,
    CodeStreamTriggerGerritOperator,
)
from airflow_provider.operators.service_stage import ServiceStageApprovalOperator
from tests.conftest import FAST
from tests.support import service_stage_tasks
from tests.support.attempts import Task, WorkerKilled
from tests.support.code_stream_tasks import GERRIT_CHANGE, approvals_in_a_row, start_until_it_asks, state_of
from tests.support.patching import patched
from tests.support.service_stage_tasks import APPROVAL, APPROVED
from tests.support.systems import Systems
from tests.support.until import until

Build = Callable[[], Any]


class Request(NamedTuple):
    """Something that a task sends which starts nothing that it waits for.

    :param client: whose method ``send`` sends it.
    :param arrived: how many of them have arrived.
    :param first: prepares what it is about; returns what makes the operator.
    :param again: as ``first``, once it was taken; gets what made the operator before.
    """

    client: type[Any]
    send: str
    arrived: Callable[[Systems], int]
    first: Callable[[Systems], Build]
    again: Callable[[Systems, Build], Build]


def cancels(systems: Systems) -> int:
    return sum(len(each["cancels"]) for each in systems.executions("code_stream"))


def cancel(systems: Systems) -> Build:
    execution_id = start_until_it_asks(systems)
    arguments = {"task_id": "act", "poll_interval": 0.1, "deferrable": False}
    return lambda: CodeStreamExecutionActionOperator(execution_id=execution_id, action="cancel", **arguments)


def cancel_deferrably(systems: Systems) -> Build:
    execution_id = start_until_it_asks(systems)
    arguments = {"task_id": "act", "poll_interval": 0.1, "deferrable": True}
    return lambda: CodeStreamExecutionActionOperator(execution_id=execution_id, action="cancel", **arguments)


def cancel_without_waiting(systems: Systems) -> Build:
    execution_id = start_until_it_asks(systems)
    arguments = {"task_id": "act", "wait_for_completion": False}
    return lambda: CodeStreamExecutionActionOperator(execution_id=execution_id, action="cancel", **arguments)


def answers_to_code_stream(systems: Systems) -> int:
    return len(systems.requests("code_stream", "PATCH", "/user-operations/"))


asking: list[str] = []
"""The execution that asks several times."""


def answer_code_stream(systems: Systems) -> Build:
    asking[:] = [approvals_in_a_row(3)]
    return answer_code_stream_again(
        systems, lambda: CodeStreamApprovalOperator(task_id="act", decision="approve", execution_id=asking[0])
    )


def answer_code_stream_again(systems: Systems, build: Build) -> Build:
    until(lambda: state_of(systems, asking[0]) == "WAITING")
    return build


def answers_to_service_stage(systems: Systems) -> int:
    return service_stage_tasks.actions(systems).count("approval")


def answer_service_stage(systems: Systems) -> Build:
    service_stage_tasks.start_until_it_asks(systems)
    arguments = {"pipeline": APPROVED, "task_name": APPROVAL, "decision": "approve"}
    return lambda: ServiceStageApprovalOperator(task_id="act", **arguments)


def answer_service_stage_again(systems: Systems, build: Build) -> Build:
    until(lambda: all(each["state"] == "2" for each in systems.executions("service_stage")))
    service_stage_tasks.start_until_it_asks(systems)
    return build


def triggers(systems: Systems) -> int:
    return len(systems.requests("code_stream", "POST", "/gerrit-events"))


def trigger(systems: Systems) -> Build:
    return lambda: CodeStreamTriggerGerritOperator(task_id="act", **GERRIT_CHANGE)


REQUESTS = {
    "act": Request(Executions, "act", cancels, cancel, lambda systems, _: cancel(systems)),
    "act, deferred": Request(
        Executions, "act", cancels, cancel_deferrably, lambda systems, _: cancel_deferrably(systems)
    ),
    "act without waiting": Request(
        Executions,
        "act",
        cancels,
        cancel_without_waiting,
        lambda systems, _: cancel_without_waiting(systems),
    ),
    "code_stream approval": Request(
        Approvals, "answer", answers_to_code_stream, answer_code_stream, answer_code_stream_again
    ),
    "service_stage approval": Request(
        Releases, "act", answers_to_service_stage, answer_service_stage, answer_service_stage_again
    ),
    "trigger": Request(Events, "trigger_gerrit", triggers, trigger, lambda _, build: build),
}
EVERY_REQUEST = pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)


@pytest.fixture(autouse=True)
def fast(systems) -> None:
    systems.reset(speed=FAST)


def succeed(task: Task) -> None:
    ended = task.attempt()
    if ended.state == "deferred":
        ended = task.resume(task.fire(task.trigger(ended)))
    assert ended.error is None


@contextmanager
def dying(request_: Request) -> Iterator[None]:
    """The worker dies once the request has been sent."""
    whole = getattr(request_.client, request_.send)

    def send(*arguments: Any, **named: Any) -> None:
        whole(*arguments, **named)
        raise WorkerKilled

    with patched(request_.client, request_.send, send):
        yield


def fails_loudly(task: Task) -> None:
    error = task.attempt().error
    assert isinstance(error, ConflictError)
    assert "Airflow does not say whether this task was cleared since" in str(error)
    assert "clear this task (again)" in str(error)


@EVERY_REQUEST
def test_a_success_that_is_cleared_is_sent_again_although_its_retries_were_lowered_by_one(systems, request_):
    """Airflow's ``max_tries`` is the same then as before."""
    build = request_.first(systems)
    task = Task(build)
    succeed(task)
    task.deploy(request_.again(systems, build), retries=2)
    task.clear()
    succeed(task)
    assert request_.arrived(systems) == 2


@EVERY_REQUEST
def test_a_success_that_may_have_been_cleared_fails_loudly_until_it_certainly_was(systems, request_):
    build = request_.first(systems)
    task = Task(build)
    succeed(task)
    build = request_.again(systems, build)
    task.deploy(build, retries=2)
    task.clear(leaving_the_run=True)
    for _ in "an attempt", "its retry":
        fails_loudly(task)
    assert request_.arrived(systems) == 1
    task.clear()
    succeed(task)
    assert request_.arrived(systems) == 2


@EVERY_REQUEST
def test_a_retry_that_may_be_a_clear_fails_loudly_until_it_certainly_is_one(systems, request_):
    build = request_.first(systems)
    task = Task(build)
    with dying(request_):
        assert isinstance(task.attempt().error, WorkerKilled)
    task.clear_beside()
    for _ in "an attempt", "its retry":
        fails_loudly(task)
    assert request_.arrived(systems) == 1
    task.deploy(request_.again(systems, build))
    task.clear()
    succeed(task)
    assert request_.arrived(systems) == 2


@EVERY_REQUEST
def test_a_worker_that_dies_in_the_last_moment_of_a_success_sends_nothing_twice(systems, request_):
    task = Task(request_.first(systems))

    def die(*_: Any) -> None:
        raise WorkerKilled

    with patched(task.operator, "post_execute", die):
        ended = task.attempt()
        if ended.state == "deferred":
            ended = task.resume(task.fire(task.trigger(ended)))
        assert isinstance(ended.error, WorkerKilled)
    succeed(task)
    assert request_.arrived(systems) == 1


@pytest.mark.parametrize("name", ["act", "service_stage approval", "trigger"])
def test_a_retry_sends_nothing_to_another_system(systems, elsewhere, name):
    request_ = REQUESTS[name]
    task = Task(request_.first(systems))
    with dying(request_):
        assert isinstance(task.attempt().error, WorkerKilled)
    elsewhere.connect()
    error = task.attempt().error
    assert isinstance(error, ConflictError)
    assert systems.url in str(error)
    assert elsewhere.url in str(error)
    assert request_.arrived(elsewhere) == 0
