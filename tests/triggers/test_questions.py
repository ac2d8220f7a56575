"""What the trigger asks Airflow about its task must be answered in words that a triggerer's process can read."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from airflow.jobs.triggerer_job_runner import ToTriggerRunner, ToTriggerSupervisor
from airflow.sdk.execution_time import comms, task_runner
from pydantic import TypeAdapter

from airflow_provider.core.canceling import TaskSeen, Verdict
from airflow_provider.triggers import execution
from airflow_provider.triggers.execution import ExecutionTrigger

WHERE = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
ANSWERS = {
    comms.GetTaskStates: comms.TaskStatesResult(task_states={"r": {"t": "failed"}}),
    comms.GetXCom: comms.XComResult(key="release_marker", value="airflow-1"),
    comms.GetPreviousTI: comms.PreviousTIResult(task_instance=None),
}


class Supervisor:
    """Takes what a triggerer's supervisor takes, and answers as its process reads it."""

    def send(self, message):
        TypeAdapter(ToTriggerSupervisor).validate_python(message.model_dump())
        return TypeAdapter(ToTriggerRunner).validate_python(ANSWERS[type(message)].model_dump())

    async def asend(self, message):
        return self.send(message)


@pytest.fixture
def supervisor(mocker):
    mocker.patch.object(task_runner, "SUPERVISOR_COMMS", Supervisor(), create=True)


def test_a_triggerer_can_read_the_state_of_its_task(supervisor, mocker):
    judged = mocker.patch.object(execution, "judge_trigger_kill", return_value=(Verdict.LEAVE, "it was only asked"))
    ref = {"kind": "build", "id": "1"}
    trigger = ExecutionTrigger(system="quay", conn_id="quay_default", ref=ref, poll_interval=1, marker="airflow-1")
    trigger.task_instance = SimpleNamespace(**WHERE)
    asyncio.run(trigger.on_kill())
    assert judged.call_args.args[:2] == (TaskSeen("failed", waits_as="airflow-1"), "airflow-1")
