"""The sensor of events."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider.core.durations import DURATIONS
from airflow_provider.sensors.code_stream import CodeStreamEventSensor
from tests.support.airflow_runs import TaskRun
from tests.support.attempts import Task
from tests.support.code_stream_sensors import BOTH_MODES, wait
from tests.support.meanwhile import meanwhile
from tests.support.patching import patched

LONG_AGO = "2020-01-01T00:00:00+00:00"
"""Before all events of the seed."""


def event(**arguments: Any) -> TaskRun:
    return wait(CodeStreamEventSensor, **{"since": LONG_AGO, **arguments})


def deliver(systems, kind: str, **fields: Any) -> dict[str, Any]:
    return systems.act("code_stream", "deliver", kind=kind, fields=fields, inputs={"tag": "1"})


# event type, filters, the field and value by which the event is known
FOUND = {
    "docker by tag": ("docker", {"tag": "1.4.3"}, ("tag", "1.4.3")),
    "docker by several": ("docker", {"repo": "shop", "repoNamespace": "acme", "tag": "1.4.3"}, ("tag", "1.4.3")),
    "git by commit": ("git", {"commitId": "4be2f10"}, ("subject", "Fix checkout")),
    "gerrit by number": ("gerrit", {"changeNumber": 18824}, ("changeNumber", 18824)),
    "gerrit by number as text": ("gerrit", {"changeNumber": "18824"}, ("changeNumber", 18824)),
    "any": ("docker", None, ("repo", "shop")),
}


@BOTH_MODES
@pytest.mark.parametrize(("event_type", "filters", "known_by"), FOUND.values(), ids=FOUND)
def test_an_event_that_matches_every_filter_is_found(event_type, filters, known_by, deferrable):
    ended = event(event_type=event_type, filters=filters, deferrable=deferrable)
    assert ended.error is None
    outputs = ended.result["outputs"]
    assert outputs[known_by[0]] == known_by[1]
    assert ended.result["id"] == ended.xcoms["id"] == outputs["id"]
    assert (ended.result["state"], ended.result["system"]) == ("succeeded", "code_stream")


NOT_FOUND = {
    "another value": ("docker", {"tag": "1.4.4"}),
    "one of two": ("docker", {"tag": "1.4.3", "repo": "cart"}),
    "part of a value": ("docker", {"tag": "1.4"}),
    "another kind": ("git", {"tag": "1.4.3"}),
    "no such field": ("docker", {"digest": "1"}),
}


@pytest.mark.parametrize(("event_type", "filters"), NOT_FOUND.values(), ids=NOT_FOUND)
def test_an_event_that_does_not_match_is_not_taken(event_type, filters):
    ended = event(event_type=event_type, filters=filters, timeout=0.2)
    assert isinstance(ended.error, AirflowSensorTimeout)


@BOTH_MODES
def test_an_event_that_comes_meanwhile_is_found_with_its_execution(systems, deferrable):
    delivered: list[dict[str, Any]] = []

    def come() -> bool:
        asked = systems.requests("code_stream", "GET", "/registry-events")
        if asked:
            delivered.append(deliver(systems, "docker", tag="2.0.0"))
        return bool(asked)

    with meanwhile(come):
        ended = event(event_type="docker", filters={"tag": "2.0.0"}, deferrable=deferrable)
    assert ended.result["id"] == delivered[0]["id"]
    assert ended.result["url"].endswith(delivered[0]["executionLink"].rpartition("/")[2])
    assert ended.xcoms["url"] == ended.result["url"]


@BOTH_MODES
@pytest.mark.parametrize("form", [lambda moment: moment, lambda moment: moment.isoformat()], ids=["datetime", "text"])
@pytest.mark.parametrize(("hours", "is_found"), [(3, True), (1, False)])
def test_only_events_after_a_moment_count(deferrable, form, hours, is_found):
    # The seed holds one that is two hours old.
    since = form(datetime.now(UTC) - timedelta(hours=hours))
    ended = event(event_type="docker", since=since, timeout=10 if is_found else 0.2, deferrable=deferrable)
    if is_found:
        assert ended.error is None
    else:
        assert isinstance(ended.error, AirflowSensorTimeout)


def test_of_several_events_the_newest_is_taken():
    # The seed holds two of them, two and thirty hours old.
    ended = event(event_type="docker", filters={"tag": "1.4.3"})
    age = datetime.now(UTC) - datetime.fromisoformat(ended.result["started_at"])
    assert timedelta(hours=1) < age < timedelta(hours=3)


OWN_START: dict[str, Any] = {"since": None, "filters": {"tag": "1.4.3"}}
"""The seed holds two that match, two and thirty hours old."""


@pytest.mark.parametrize(
    "mode", [{}, {"mode": "reschedule"}, {"deferrable": True}], ids=["poke", "reschedule", "deferrable"]
)
def test_without_a_moment_only_what_comes_after_its_own_start_counts(systems, mode):
    assert isinstance(event(event_type="docker", timeout=0.5, **OWN_START, **mode).error, AirflowSensorTimeout)
    delivered: list[dict[str, Any]] = []

    def come() -> bool:
        asked = systems.requests("code_stream", "GET", "/registry-events")
        if len(asked) >= before + 3:
            delivered.append(deliver(systems, "docker", tag="1.4.3"))
        return bool(delivered)

    before = len(systems.requests("code_stream", "GET", "/registry-events"))
    with meanwhile(come):
        ended = event(event_type="docker", **OWN_START, **mode)
    assert ended.result["id"] == delivered[0]["id"]


def sensing() -> Task:
    return Task(
        lambda: CodeStreamEventSensor(task_id="wait", event_type="docker", deferrable=True, timeout=60, **OWN_START)
    )


def since_of_attempt(task: Task) -> str:
    """Of an attempt that fails when it is about to be deferred."""
    seen: list[str] = []

    def fail(sensor: Any, wait: Any, deadline: float) -> None:
        seen.append(wait.ref["since"])
        raise RuntimeError("the worker is in trouble")

    with patched(CodeStreamEventSensor, "defer_to_triggerer", fail):
        task.attempt()
    return seen[0]


def test_a_retry_begins_where_the_first_attempt_did_and_a_clear_anew(systems):
    task = sensing()
    first = since_of_attempt(task)
    systems.advance(100)
    assert since_of_attempt(task) == first
    task.clear()
    again = since_of_attempt(task)
    assert datetime.fromisoformat(again) - datetime.fromisoformat(first) > timedelta(seconds=90)


def test_a_wait_that_began_in_an_outage_misses_nothing_that_came_during_it(systems):
    systems.fault("code_stream", "status", method="GET", path="/registry-events", status=503, times=12)
    delivered: list[dict[str, Any]] = []

    def come() -> bool:
        failed = [each for each in systems.requests("code_stream", "GET", "/registry-events") if each["status"] == 503]
        if failed and not delivered:
            time.sleep(2 * DURATIONS.same_clock)
            delivered.append(deliver(systems, "docker", tag="1.4.3"))
            time.sleep(2 * DURATIONS.same_clock)
            systems.clear_faults()
        return bool(delivered)

    with meanwhile(come):
        ended = event(event_type="docker", timeout=60, poke_interval=0.3, **OWN_START)
    assert ended.result["id"] == delivered[0]["id"]
