"""What Airflow 3.3.2 answers about a task, to a triggerer and to a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, get_args

import pytest
from airflow.jobs import triggerer_job_runner as triggerer
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.sdk.execution_time.comms import PreviousTIResult, TaskStatesResult, XComResult
from airflow.utils.session import create_session

from airflow_provider.core.task_states import GONE, NO_STATE
from airflow_provider.task_instances import task_state
from tests.airflow_facts.real import RealTask, defer, fail, succeed

# What Airflow answers about a task


def told_of(task: RealTask, map_index: int = -1) -> str:
    """What our own code learns, in a triggerer."""

    async def ask() -> str:
        where = {"dag_id": task.dag_id, "run_id": task.where["run_id"], "task_id": task.where["task_id"]}
        return await asyncio.to_thread(task_state, **where, map_index=map_index)

    return str(task.in_triggerer(ask))


WAYS: dict[str, Callable[[RealTask], Any]] = {
    "queued": lambda task: None,
    "running": RealTask.begin,
    "deferred": lambda task: task.run(defer),
    "up_for_retry": lambda task: task.run(fail),
    "success": lambda task: task.run(succeed),
    "failed": RealTask.mark_failed,
    "restarting": lambda task: (task.begin(), task.clear()),
    NO_STATE: RealTask.clear,
    GONE: RealTask.delete_run,
}


@pytest.mark.parametrize("state", WAYS)
def test_the_state_of_a_task_is_a_word(state: str) -> None:
    task = RealTask().queue()
    WAYS[state](task)
    assert told_of(task) == state


def test_a_task_of_a_deleted_dag_is_reported_removed(deferred: RealTask) -> None:
    with create_session() as session:
        session.query(DagRun).filter_by(dag_id=deferred.dag_id).delete()
        session.query(DagModel).filter_by(dag_id=deferred.dag_id).delete()
    assert told_of(deferred) == GONE


def test_each_instance_of_a_mapped_task_has_a_state_of_its_own(deferred: RealTask) -> None:
    def become(map_index: int) -> Callable[[Any], None]:
        return lambda ti: setattr(ti, "map_index", map_index)

    deferred.change(become(1))
    assert [told_of(deferred, map_index) for map_index in (0, 1)] == [GONE, "deferred"]


def test_a_triggerer_can_read_states_and_xcoms_but_no_previous_task_instance() -> None:
    # The last of these could have been a try number.
    can_read = get_args(get_args(triggerer.ToTriggerRunner)[0])
    assert {TaskStatesResult, XComResult} <= set(can_read)
    assert PreviousTIResult not in can_read
