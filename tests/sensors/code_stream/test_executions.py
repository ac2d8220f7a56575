"""The sensor of executions."""

from __future__ import annotations

from airflow_provider.exceptions import ExecutionCanceled, ExecutionRejected
from airflow_provider.sensors.code_stream import CodeStreamExecutionSensor
from tests.support.code_stream_sensors import BOTH_MODES, wait
from tests.support.code_stream_tasks import APPROVED, refuse, start, start_until_it_asks
from tests.support.meanwhile import meanwhile


@BOTH_MODES
def test_an_execution_that_was_refused_is_rejected_even_before_the_first_poll(systems, deferrable):
    execution_id = start_until_it_asks(systems)
    assert refuse()
    ended = wait(CodeStreamExecutionSensor, execution_id=execution_id, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionRejected)
    assert "rejected by release-bot" in str(ended.error)


@BOTH_MODES
def test_an_execution_that_is_refused_meanwhile_is_rejected(deferrable):
    execution_id = start(APPROVED)
    with meanwhile(refuse):
        ended = wait(CodeStreamExecutionSensor, execution_id=execution_id, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionRejected)


@BOTH_MODES
def test_a_canceled_execution_is_no_failed_one(systems, deferrable):
    execution_id = start()
    systems.force("code_stream", execution_id, "CANCELED")
    ended = wait(CodeStreamExecutionSensor, execution_id=execution_id, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionCanceled)


def test_the_outputs_of_an_execution_are_the_pipelines_output():
    ended = wait(CodeStreamExecutionSensor, execution_id=start())
    assert ended.result["outputs"] == {"deployed": "1.4.2"}
