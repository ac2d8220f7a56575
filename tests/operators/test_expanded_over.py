"""A task over whose result others are expanded ends in a worker: only there does Airflow learn the result's length."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.operators import base
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.sensors.cocktail import CocktailBuildSensor
from airflow_provider.sensors.quay import QuayTagSensor
from tests.chaos.vendors import ENDED
from tests.support.attempts import Task
from tests.support.story import SLOW
from tests.support.systems import Systems
from tests.support.watched import start_build

IN_TRIGGERER = {"task_id": "build", "deferrable": True, "finish_in_triggerer": True}


def operator(**arguments: Any) -> Any:
    return CocktailRunBuildOperator(build_seq=12, tag_name="1.4.2", poll_interval=0.2, **IN_TRIGGERER, **arguments)


def sensor(**arguments: Any) -> Any:
    return CocktailBuildSensor(build_run_seq=start_build(), poke_interval=0.2, **IN_TRIGGERER, **arguments)


EVERY_KIND = pytest.mark.parametrize("build", [operator, sensor])


def task_over(result: Any) -> None:
    from airflow.sdk import task

    @task
    def show(value: Any) -> None:
        print(value)

    show.expand(value=result)


def group_over(result: Any) -> None:
    from airflow.sdk import task, task_group

    @task
    def show(value: Any) -> None:
        print(value)

    @task_group
    def shown(value: Any) -> None:
        show(value)

    shown.expand(value=result)


def one_of_them_over(result: Any) -> None:
    """The other one is mapped over something else, and only follows it."""
    from airflow.sdk import task

    @task
    def show(value: Any, number: int) -> None:
        print(value)

    show.partial(number=1).expand(value=result.map(lambda key: key))
    show.override(task_id="numbers").partial(value="").expand(number=[1, 2])


def task_after(result: Any) -> None:
    from airflow.sdk import task

    @task
    def show(value: Any, number: int) -> None:
        print(value)

    show.partial(value=result).expand(number=[1, 2])


@pytest.fixture(autouse=True)
def in_a_real_worker(systems: Systems, mocker: MockerFixture) -> None:
    """According to the provider; what it runs in here has no triggerer."""
    systems.reset(SLOW)
    mocker.patch.object(base, "in_dag_test", lambda: False)
    mocker.patch.dict(os.environ, {"AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "0"})


def end(systems: Systems) -> None:
    (build,) = [each for each in systems.executions("cocktail") if each["state"] not in ENDED]
    systems.force("cocktail", build["id"], "DONE")


def lengths(task: Task) -> list[int]:
    """The length of the task's result, if it was reported to Airflow."""
    from airflow.models.taskmap import TaskMap
    from airflow.utils.session import create_session

    with create_session() as session:
        return [row.length for row in session.query(TaskMap).filter_by(dag_id=task.operator.dag_id, task_id="build")]


def followed_by(build: Callable[[], Any], after: Callable[[Any], None]) -> Any:
    built = build()
    after(built.output)
    return built


@EVERY_KIND
@pytest.mark.parametrize("after", [task_over, group_over, one_of_them_over])
def test_a_task_that_others_are_expanded_over_ends_in_a_worker_and_says_so(systems, build, after, capsys):
    task = Task(lambda: followed_by(build, after))
    deferred = task.attempt()
    said = [line for line in capsys.readouterr().out.splitlines() if "Not finishing in the triggerer" in line]
    assert len(said) == 1
    assert "show" in said[0]
    end(systems)
    event = task.fire(task.trigger(deferred))
    assert event.payload["ending"] == "finished"
    assert task.resume(event).state == "success"
    (length,) = lengths(task)
    assert length > 1


@EVERY_KIND
def test_a_task_that_others_only_come_after_ends_in_the_triggerer(systems, build, capsys):
    from airflow.triggers.base import TaskSuccessEvent

    task = Task(lambda: followed_by(build, task_after))
    trigger = task.trigger(task.attempt())
    end(systems)
    assert isinstance(task.fire(trigger), TaskSuccessEvent)
    assert "Not finishing" not in capsys.readouterr().out


@pytest.mark.parametrize(("after", "finish"), [(task_over, ""), (group_over, ""), (task_after, "task")])
def test_a_sensor_that_starts_in_the_triggerer_knows_what_comes_after_it(systems, after, finish):
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import BaseSerialization, DagSerialization

    with DAG("starts_in_the_triggerer", schedule=None) as dag:
        followed_by(lambda: sensor(start_from_trigger=True), after)
    read = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    kwargs = BaseSerialization.deserialize(read.get_task("build").start_trigger_args.trigger_kwargs)
    assert kwargs["finish"] == finish


def test_a_sensor_in_a_mapped_group_starts_in_a_worker_because_only_that_resolves_its_arguments():
    """A trigger got the text of the stand-in, ``MappedArgument(...)``, and waited for what is called that."""
    from airflow.sdk import DAG, task_group
    from airflow.serialization.serialized_objects import DagSerialization

    @task_group
    def each(tag: str) -> None:
        QuayTagSensor(task_id="wait", repository="acme/shop", tag=tag, start_from_trigger=True)

    with DAG("in_a_mapped_group", schedule=None) as dag:
        each.expand(tag=["1.0", "1.1"])
        QuayTagSensor(task_id="beside", repository="acme/shop", tag="1.2", start_from_trigger=True)
    read = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    assert read.get_task("beside").start_trigger_args
    assert read.get_task("each.wait").start_trigger_args is None


def test_multiple_outputs_of_a_sensor_are_pushed_by_a_worker(systems):
    task = Task(lambda: sensor(multiple_outputs=True))
    assert task.trigger(task.attempt()).finish == ""
