"""The operator that reruns an event."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    ExecutionFailed,
    ExecutionTimeout,
    NotFoundError,
)
from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.operators.code_stream import CodeStreamRerunEventOperator
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.attempts import Task
from tests.support.code_stream_tasks import BOTH_MODES, SHOP, SLOW, executions_of, state_of
from tests.support.meanwhile import meanwhile
from tests.support.turns import in_turns

EVENT_TYPES = pytest.mark.parametrize("event_type", ["docker", "git", "gerrit"])


def rerun(event_id: str, event_type: str = "docker", **arguments: Any) -> TaskRun:
    arguments = {"event_type": event_type, "event_id": event_id, **arguments}
    return run_task(lambda: CodeStreamRerunEventOperator(task_id="rerun", poll_interval=0.1, **arguments))


def event(event_type: str = "docker", pipeline: str = SHOP, *, linked: bool = False) -> dict[str, Any]:
    """The oldest event of the seed that is like this."""
    with CodeStreamHook().get_conn() as client:
        found = [each for each in client.events.list(event_type) if each["pipeline"] == pipeline]
    return [each for each in found if bool(each["executionLink"]) is linked][-1]


def event_now(event_id: str, event_type: str = "docker") -> dict[str, Any]:
    with CodeStreamHook().get_conn() as client:
        return client.events.get(event_type, event_id)


# How a server links what results is the client's part: tests/clients tries every type in every way.
@pytest.mark.parametrize(
    ("event_type", "mode", "deferrable"),
    in_turns(["docker", "git", "gerrit"], ["link_in_reply", "link_later", "new_event"]),
)
def test_a_rerun_follows_the_execution_that_results(systems, event_type, deferrable, mode):
    systems.switch("code_stream", rerun=mode)
    before = executions_of(systems, SHOP)
    failed = event(event_type)
    ended = rerun(failed["id"], event_type, deferrable=deferrable)
    assert ended.error is None
    (execution,) = [each for each in executions_of(systems, SHOP) if each not in before]
    assert (ended.result["id"], ended.result["ref"]["kind"]) == (execution["id"], "execution")
    assert ended.result["state"] == "succeeded"
    assert ended.xcoms["id"] == execution["id"]
    assert ended.xcoms["url"].endswith(execution["id"])
    posts = systems.requests("code_stream", "POST", f"-events/{failed['id']}")
    assert [each["query"].lower() for each in posts] == ["action=rerun&apiversion=2019-10-17"]


@BOTH_MODES
def test_a_rerun_of_an_event_that_led_to_an_execution_leads_to_another_one(systems, deferrable):
    systems.switch("code_stream", rerun="link_later")
    done = event(linked=True)
    ended = rerun(done["id"], deferrable=deferrable)
    assert ended.error is None
    assert ended.result["id"] not in done["executionLink"]
    assert ended.result["id"] in event_now(done["id"])["executionLink"]


@BOTH_MODES
def test_a_rerun_that_leads_to_nothing_fails_with_what_the_event_says(systems, deferrable):
    systems.switch("code_stream", rerun="message_only")
    before = executions_of(systems, SHOP)
    ended = rerun(event()["id"], deferrable=deferrable, timeout=1.2)
    assert isinstance(ended.error, ExecutionTimeout)
    assert "Invalid Oauth Refresh token" in str(ended.error)
    assert executions_of(systems, SHOP) == before


@BOTH_MODES
@pytest.mark.parametrize("start_timeout", [1.0, timedelta(seconds=1)])
def test_a_rerun_that_leads_to_nothing_ends_by_itself(systems, deferrable, start_timeout, capsys):
    systems.switch("code_stream", rerun="message_only")
    before = executions_of(systems, SHOP)
    broken = event()
    ended = rerun(broken["id"], deferrable=deferrable, start_timeout=start_timeout)
    assert isinstance(ended.error, ExecutionFailed)
    failure = f"event {broken['id']} did not start an execution within 1 s: Invalid Oauth Refresh token"
    assert failure in str(ended.error)
    # There is nothing to cancel, and a cancel that fails is tried for a minute.
    took = re.search(r"Failed after ([\d.]+) s", capsys.readouterr().out)
    assert took
    assert float(took[1]) < 30
    assert executions_of(systems, SHOP) == before


def test_a_retry_reruns_an_event_that_has_led_to_nothing_before(systems):
    """Somebody mends the webhook between the two attempts."""
    systems.switch("code_stream", rerun="message_only")
    broken = event()
    arguments = {"event_type": "docker", "event_id": broken["id"], "poll_interval": 0.1, "deferrable": False}
    for on_retry in ("restart", "resume"):
        systems.switch("code_stream", rerun="message_only")
        before = len(executions_of(systems, SHOP))
        task = Task(
            lambda on_retry=on_retry: CodeStreamRerunEventOperator(
                task_id="rerun", start_timeout=0.5, on_retry=on_retry, **arguments
            )
        )
        assert isinstance(task.attempt().error, ExecutionFailed)
        systems.switch("code_stream", rerun="new_event")
        assert task.attempt().error is None
        assert len(executions_of(systems, SHOP)) == before + 1
    posts = systems.requests("code_stream", "POST", f"-events/{broken['id']}")
    assert ["rerun" in each["query"].lower() for each in posts] == [True] * 4


@pytest.mark.parametrize("start_timeout", [0, -1.0, timedelta(0)])
def test_a_limit_that_no_rerun_can_keep_is_refused(start_timeout):
    with pytest.raises(BadRequestError, match="start_timeout must be more than 0"):
        CodeStreamRerunEventOperator(task_id="x", event_type="git", event_id="e", start_timeout=start_timeout)


@BOTH_MODES
def test_an_event_whose_execution_still_runs_is_rerun_by_force(systems, deferrable):
    systems.reset(speed=1)
    delivered = systems.act("code_stream", "deliver", kind="docker", inputs={"tag": "1.4.2"})
    systems.force("code_stream", delivered["executionLink"].rpartition("/")[2], "PAUSED")
    before = len(executions_of(systems, SHOP))

    def go_on() -> bool:
        has_begun = len(executions_of(systems, SHOP)) > before
        if has_begun:
            systems.advance(100)
        return has_begun

    with meanwhile(go_on):
        ended = rerun(delivered["id"], force=True, deferrable=deferrable)
    assert ended.error is None
    assert ended.result["id"] not in delivered["executionLink"]
    first = state_of(systems, delivered["executionLink"].rpartition("/")[2])
    assert first == "PAUSED", "it is left alone"


def test_a_resume_cannot_be_forced():
    ended = rerun("some-event", action="{{ 'resume' }}", force=True)
    assert isinstance(ended.error, BadRequestError)
    assert "force is valid only with action='rerun'" in str(ended.error)


@pytest.mark.parametrize("action", ["rerun", "resume"])
def test_an_event_whose_execution_still_runs_is_left_alone(systems, action):
    systems.reset(speed=SLOW)
    delivered = systems.act("code_stream", "deliver", kind="docker", inputs={"tag": "1.4.2"})
    ended = rerun(delivered["id"], action=action)
    assert isinstance(ended.error, ConflictError)
    assert "still" in str(ended.error)
    assert systems.requests("code_stream", "POST", "-events/") == []


@BOTH_MODES
def test_a_resume_continues_with_the_execution_that_the_event_led_to(systems, deferrable):
    broken = event(pipeline="Always fails", linked=True)
    systems.act("code_stream", "script", pipeline="Always fails", task="Prod.Deploy")
    ended = rerun(broken["id"], action="resume", deferrable=deferrable)
    assert ended.error is None
    assert ended.result["id"] in broken["executionLink"]
    assert ended.result["state"] == "succeeded"


def test_a_resume_of_an_event_that_led_to_nothing_is_refused_by_the_vendor(systems):
    ended = rerun(event()["id"], action="resume")
    assert isinstance(ended.error, BadRequestError)
    assert "no execution to resume" in str(ended.error)


@EVENT_TYPES
def test_an_unknown_event_is_not_found_and_nothing_is_sent(systems, event_type):
    other = {"docker": "git", "git": "gerrit", "gerrit": "docker"}[event_type]
    for event_id in ("no-such-event", event(other)["id"]):
        ended = rerun(event_id, event_type)
        assert isinstance(ended.error, NotFoundError)
        assert event_id in str(ended.error)
    assert systems.requests("code_stream", "POST", "-events/") == []
