"""A task that another one is expanded over ends in a worker: only that tells Airflow how many tasks come of it.

Airflow 3.3.2 fails the other one (``upstream_failed``) where nobody has told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskmap import TaskMap
from airflow.models.trigger import Trigger
from airflow.sdk import task
from airflow.sdk._shared.module_loading import import_string
from airflow.serialization.decoders import smart_decode_trigger_kwargs
from airflow.utils.session import create_session

from airflow_provider.operators import connected
from airflow_provider.sensors.quay import QuayTagSensor
from tests.attempts import Task
from tests.operators.story import SLOW, STARTERS, Story
from tests.operators.test_resuming import FINISHED

ENDS_THERE = {"deferrable": True, "finish_in_triggerer": True}


@pytest.fixture(autouse=True)
def outside_of_dag_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing ends in a triggerer at all."""
    monkeypatch.setattr(connected, "in_dag_test", lambda: False)
    monkeypatch.setattr(connected, "NOTICE_MARGIN", -5.0)


@task
def one_of(value: Any) -> None:
    """Takes one part of what the task before it has returned."""


def expanded_over(operator: Any) -> Any:
    one_of.expand(value=operator.output)
    return operator


def as_it_is(operator: Any) -> Any:
    return operator


def lengths_told(waiting: Task) -> list[int]:
    with create_session() as session:
        rows = session.query(TaskMap).filter_by(dag_id=waiting._dag_id, task_id=waiting.operator.task_id).all()
        return [row.length for row in rows]


@pytest.mark.parametrize(
    ("placed", "ends_there"), [(as_it_is, True), (expanded_over, False)], ids=["nothing after it", "expanded over it"]
)
def test_a_task_ends_in_the_triggerer_unless_another_one_is_expanded_over_it(
    systems, placed: Callable[[Any], Any], ends_there, monkeypatch
):
    systems.reset(SLOW)
    quay = STARTERS["quay"]
    starter = quay._replace(build=lambda systems, **arguments: placed(quay.build(systems, **arguments)))
    story = Story(systems, starter, monkeypatch, **ENDS_THERE)
    trigger = story.task.trigger(story.attempt())
    systems.force("quay", story.executions()[0]["id"], FINISHED["quay"])
    event = story.task.fire(trigger)
    assert (type(event).__name__ == "TaskSuccessEvent") is ends_there
    if not ends_there:
        assert story.task.resume(event).state == "success"
        assert lengths_told(story.task) == [11]


def begun_in_the_triggerer(waiting: Task) -> Any:
    """The trigger of a task that has never had a worker, as a triggerer builds it."""
    with create_session() as session:
        dag_data = SerializedDagModel.get(waiting._dag_id, session=session).data
        run = session.query(DagRun).filter_by(**waiting._run_of).one().dag_run_data.model_dump(exclude_unset=True)
    context = TriggerRunner.create_runtime_ti(waiting._identity(), dag_data, run).get_template_context()
    how = context["task"].start_trigger_args
    kept = Trigger(how.trigger_cls, how.trigger_kwargs)
    arguments = Trigger._decrypt_kwargs(kept.encrypted_kwargs)
    decoded = {name: smart_decode_trigger_kwargs(value) for name, value in arguments.items()}
    trigger = import_string(how.trigger_cls)(**decoded)
    trigger.task_instance = waiting._identity()
    trigger.render_template_fields(context)
    return trigger


@pytest.mark.parametrize(
    ("placed", "ends_there"), [(as_it_is, True), (expanded_over, False)], ids=["nothing after it", "expanded over it"]
)
def test_a_sensor_that_begins_in_the_triggerer_ends_there_unless_a_task_is_expanded_over_it(
    systems, placed: Callable[[Any], Any], ends_there
):
    arguments = {"start_from_trigger": True, "poke_interval": 0.3, **ENDS_THERE}
    waiting = Task(lambda: placed(QuayTagSensor(task_id="tag", repository="acme/shop", tag="stable", **arguments)))
    event = waiting.fire(begun_in_the_triggerer(waiting))
    assert (type(event).__name__ == "TaskSuccessEvent") is ends_there
