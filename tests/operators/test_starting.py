"""What every operator that starts something promises, in both modes, in real Airflow against the sandbox."""

from __future__ import annotations

import time

import pytest

from airflow_provider.clients import retries
from airflow_provider.exceptions import ExecutionFailed, ExecutionTimeout
from airflow_provider.operators import base
from tests.support.attempts import Task
from tests.support.starters import ARGUMENTS, EVERY_STARTER, STARTERS, first_execution_fails, run, started
from tests.support.turns import PAUSES, in_turns

BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])
# Where what happens is the core's part, which is one for all systems, and each of both modes comes with two systems.
EVERY_STARTER_IN_A_MODE = pytest.mark.parametrize(("name", "deferrable"), in_turns(STARTERS))


@EVERY_STARTER
@BOTH_MODES
def test_it_starts_once_and_returns_the_result(systems, starter, deferrable):
    before = systems.executions(starter.system)
    ended = run(systems, starter, deferrable=deferrable)
    assert ended.error is None
    assert ended.state == "success"
    assert set(ended.result) == {
        "system", "id", "ref", "state", "status", "url", "message", "started_at", "finished_at", "duration", "outputs"
    }  # fmt: skip
    assert (ended.result["system"], ended.result["state"]) == (starter.system, "succeeded")
    assert ended.xcoms["id"] == ended.result["id"]
    assert ended.xcoms["url"] == (ended.result["url"] or "")
    (execution,) = started(systems, starter, before)
    assert execution["id"] == ended.result["id"]
    assert execution["cancels"] == []


# A start is sent and found again before a mode makes a difference: each starter and each fault comes in both of them.
@pytest.mark.parametrize(("name", "fault", "deferrable"), in_turns(STARTERS, ["reset_after", "truncate", "status"]))
def test_an_answer_that_is_lost_leads_to_one_start_only(systems, name, fault, deferrable):
    starter = STARTERS[name]
    before = systems.executions(starter.system)
    details = {"status": 500} if fault == "status" else {}
    systems.fault(starter.system, fault, method="POST", path=starter.start, **details)
    ended = run(systems, starter, deferrable=deferrable)
    assert ended.error is None
    assert ended.state == "success"
    (execution,) = started(systems, starter, before)
    assert execution["id"] == ended.result["id"]


@EVERY_STARTER_IN_A_MODE
def test_looks_that_fail_for_a_while_do_not_fail_the_wait(systems, name, deferrable):
    starter = STARTERS[name]
    before = systems.executions(starter.system)
    for fault in ({"fault": "status", "status": 503}, {"fault": "html"}, {"fault": "truncate"}):
        systems.fault(starter.system, method="GET", path=starter.poll, after=4, times=1, **fault)
    ended = run(systems, starter, deferrable=deferrable)
    assert ended.error is None
    assert len(started(systems, starter, before)) == 1


@EVERY_STARTER_IN_A_MODE
def test_a_deadline_cancels_once_and_says_so(systems, name, deferrable):
    starter = STARTERS[name]
    systems.reset(speed=0.1)
    before = systems.executions(starter.system)
    ended = run(systems, starter, deferrable=deferrable, timeout=1.5)
    assert ended.state == "failed"
    assert isinstance(ended.error, ExecutionTimeout)
    (execution,) = started(systems, starter, before)
    assert len(execution["cancels"]) == 1


def test_a_deadline_that_comes_before_a_deferred_task_could_resume_is_kept_by_the_worker(systems, mocker):
    """Airflow must have noticed that the process of a task has ended before another one may begin."""
    systems.reset(speed=0.1)
    mocker.patch.object(base, "in_dag_test", lambda: False)
    mocker.patch.object(base, "NOTICE_MARGIN", 60.0)
    before = systems.executions("quay")
    task = Task(lambda: STARTERS["quay"].build(systems, **ARGUMENTS, deferrable=True, timeout=2.0))
    assert isinstance(task.attempt().error, ExecutionTimeout)
    (execution,) = started(systems, STARTERS["quay"], before)
    assert len(execution["cancels"]) == 1


@EVERY_STARTER_IN_A_MODE
def test_a_failed_execution_fails_the_task_with_a_link_to_it(systems, name, deferrable):
    starter = STARTERS[name]
    before = systems.executions(starter.system)
    with first_execution_fails(systems, starter, before):
        ended = run(systems, starter, deferrable=deferrable)
    assert ended.state == "failed"
    assert isinstance(ended.error, ExecutionFailed)
    (execution,) = started(systems, starter, before)
    assert execution["id"] in str(ended.error)
    assert execution["cancels"] == []


@EVERY_STARTER_IN_A_MODE
def test_a_retry_after_a_failed_execution_starts_one_more(systems, name, deferrable):
    starter = STARTERS[name]
    before = systems.executions(starter.system)
    with first_execution_fails(systems, starter, before):
        ended = run(systems, starter, deferrable=deferrable, retries=1, retry_delay=0)
    assert ended.state == "success"
    first, second = started(systems, starter, before)
    assert ended.result["id"] == second["id"] != first["id"]


@BOTH_MODES
@pytest.mark.parametrize("name", ["service_stage", "code_stream rerun"])
def test_a_retry_can_continue_the_failed_execution(systems, name, deferrable):
    starter = STARTERS[name]
    before = systems.executions(starter.system)
    with first_execution_fails(systems, starter, before):
        ended = run(systems, starter, deferrable=deferrable, retries=1, retry_delay=0, on_retry="resume")
    assert ended.error is None or ended.state == "success"
    (execution,) = started(systems, starter, before)
    assert ended.result["id"] == execution["id"]


@EVERY_STARTER_IN_A_MODE
def test_a_retry_after_the_deadline_starts_again_and_the_first_one_is_canceled_once(systems, name, deferrable):
    starter = STARTERS[name]
    systems.reset(speed=0.5)
    before = systems.executions(starter.system)
    ended = run(systems, starter, deferrable=deferrable, timeout=1.0, retries=1, retry_delay=0)
    assert isinstance(ended.error, ExecutionTimeout)
    first, second = started(systems, starter, before)
    assert (len(first["cancels"]), len(second["cancels"])) == (1, 1)


@EVERY_STARTER
def test_a_start_waits_as_long_as_the_system_asks_for(systems, starter, mocker):
    mocker.patch.object(retries, "LONGEST_PAUSE", 0.5)
    before = systems.executions(starter.system)
    systems.fault(starter.system, "status", method="POST", path=starter.start, status=429, headers={"Retry-After": "1"})
    begun = time.monotonic()
    ended = run(systems, starter)
    assert ended.error is None
    assert time.monotonic() - begun > 1.0
    assert len(started(systems, starter, before)) == 1


@pytest.mark.parametrize(("asked", "deferrable"), in_turns(PAUSES))
def test_no_pause_that_the_system_asks_for_outlasts_the_deadline(systems, asked, deferrable):
    starter = STARTERS["code_stream pipeline"]
    systems.reset(speed=0.1)
    asks_for_a_pause = {"status": 429, "headers": {"Retry-After": asked}, "times": 1000}
    systems.fault(starter.system, "status", method="GET", path=starter.poll, after=1, **asks_for_a_pause)
    begun = time.monotonic()
    ended = run(systems, starter, deferrable=deferrable, timeout=2.0)
    assert isinstance(ended.error, ExecutionTimeout)
    # Less than the pause.
    assert time.monotonic() - begun < 20


@BOTH_MODES
def test_a_start_that_is_answered_as_failed_fails_the_task_that_does_not_wait_too(systems, deferrable):
    systems.switch("cocktail", refuse_build_server=True)
    ended = run(systems, STARTERS["cocktail"], deferrable=deferrable, wait_for_completion=False)
    assert isinstance(ended.error, ExecutionFailed)
