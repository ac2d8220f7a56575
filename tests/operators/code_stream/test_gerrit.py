"""The operator that triggers a Gerrit change."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.clients.code_stream.events import Events
from airflow_provider.exceptions import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider.operators.code_stream import CodeStreamTriggerGerritOperator
from tests.support.attempts import Task, WorkerKilled
from tests.support.code_stream_tasks import GERRIT_CHANGE, SHOP, executions_of, trigger
from tests.support.patching import patched


def test_a_gerrit_change_triggers_the_pipelines_whose_names_are_given(systems):
    before = executions_of(systems, SHOP)
    ended = trigger()
    assert ended.result == {"message": "Manual Trigger Successful", "pipelinesTriggered": [SHOP]}
    assert len(executions_of(systems, SHOP)) == len(before) + 1
    (request,) = systems.requests("code_stream", "POST", "/gerrit-events")
    assert request["body"] == {"changeId": "I1a2b3c", "project": "retail", "trigger": "shop-changes"}


def test_an_unknown_gerrit_trigger_is_not_found():
    ended = trigger(trigger="shop-changed")
    assert isinstance(ended.error, NotFoundError)
    assert "shop-changed" in str(ended.error)


def triggers(systems) -> int:
    return len(systems.requests("code_stream", "POST", "/gerrit-events"))


@pytest.mark.parametrize("fault", ["reset_after", "truncate"])
def test_a_trigger_whose_answer_was_lost_is_recognized_by_its_event(systems, fault):
    assert trigger().error is None
    systems.fault("code_stream", fault, method="POST", path="/gerrit-events")
    ended = trigger()
    assert (ended.error, ended.result["pipelinesTriggered"]) == (None, [SHOP])
    assert triggers(systems) == 2


def test_a_worker_that_dies_after_a_trigger_does_not_make_it_happen_twice(systems):
    task = Task(lambda: CodeStreamTriggerGerritOperator(task_id="trigger", **GERRIT_CHANGE))
    whole = Events.trigger_gerrit

    def dying(*arguments: Any) -> None:
        whole(*arguments)
        raise WorkerKilled

    with patched(Events, "trigger_gerrit", dying):
        assert isinstance(task.attempt().error, WorkerKilled)
    assert task.attempt().error is None
    assert triggers(systems) == 1
    task.clear()
    assert task.attempt().error is None
    assert triggers(systems) == 2


def test_a_trigger_that_may_have_happened_is_repeated_only_after_a_clear(systems):
    task = Task(lambda: CodeStreamTriggerGerritOperator(task_id="trigger", **GERRIT_CHANGE))
    systems.fault("code_stream", "reset_before", method="POST", path="/gerrit-events")
    for _ in range(2):
        error = task.attempt().error
        assert isinstance(error, ConflictError)
        assert "may have been triggered" in str(error)
        assert "clearing this task" in str(error)
    assert triggers(systems) == 1
    task.clear()
    assert task.attempt().error is None
    assert triggers(systems) == 2


def test_a_trigger_that_was_refused_may_be_repeated(systems):
    task = Task(lambda: CodeStreamTriggerGerritOperator(task_id="trigger", **GERRIT_CHANGE))
    systems.fault("code_stream", "status", method="POST", path="/gerrit-events", status=403)
    assert isinstance(task.attempt().error, PermissionDeniedError)
    assert task.attempt().error is None
    assert triggers(systems) == 2


@pytest.mark.parametrize(
    ("reply", "names"),
    [
        ({"message": {"a": 1}, "pipelinesTriggered": 5}, []),
        ({"message": 7, "pipelinesTriggered": {"a": 1}}, []),
        ({"pipelinesTriggered": ["Deploy shop", 5, None]}, ["Deploy shop", "5", "None"]),
        ({"message": "x" * 1_000_000, "pipelinesTriggered": ["y" * 1_000] * 2_000}, ["y" * 197 + "..."] * 1_000),
    ],
    ids=["number", "object", "other texts", "long"],
)
def test_whatever_the_answer_to_a_trigger_holds_it_happens_once_and_its_result_is_short(systems, reply, names):
    systems.fault("code_stream", "status", method="POST", path="/gerrit-events", status=200, body=reply)
    ended = trigger()
    assert (ended.error, ended.result["pipelinesTriggered"]) == (None, names)
    assert isinstance(ended.result["message"], str)
    assert len(ended.result["message"]) <= 4_000
    assert triggers(systems) == 1


def test_an_event_without_an_id_does_not_keep_a_change_from_being_triggered(systems):
    link = "/codestream/api/gerrit-events/e1"
    event = {"project": "retail", "trigger": "shop-changes", "properties": {"GERRIT_CHANGE_ID": "I1a2b3c"}}
    listed = {"links": [link], "documents": {link: event}, "totalCount": 1}
    systems.fault("code_stream", "status", method="GET", path="/gerrit-events", status=200, body=listed)
    assert trigger().error is None
    assert triggers(systems) == 1
