"""An attempt that Airflow has given up sends nothing more that has an effect, whichever operator it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.api.client import ServerResponseError
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms
from pytest_mock import MockerFixture

from airflow_provider.clients.session import READS
from airflow_provider.core.record import read_record
from airflow_provider.hooks.quay import QuayHook
from airflow_provider.links import MARKER_XCOM
from airflow_provider.operators.attempt import AttemptOver
from airflow_provider.operators.code_stream import CodeStreamRunPipelineOperator
from tests.support import service_stage_tasks
from tests.support.attempts import Task
from tests.support.classes import CLASSES, SHOP
from tests.support.code_stream_tasks import GERRIT_CHANGE, start, start_until_it_asks
from tests.support.code_stream_tasks import SHOP as PIPELINE
from tests.support.service_stage_tasks import APPROVAL, APPROVED
from tests.support.starters import failed_event
from tests.support.story import SLOW
from tests.support.systems import Systems
from tests.support.watched import start_build

WEBHOOK = {"event": "repo_push", "method": "webhook", "config": {"url": "https://hooks.example.com/quay"}}


def notification(systems: Systems) -> dict[str, Any]:
    with QuayHook().get_conn() as client:
        return {"repository": SHOP, "uuid": client.notifications.create(SHOP, **WEBHOOK)["uuid"]}


def approval(systems: Systems) -> dict[str, Any]:
    systems.reset(60)
    service_stage_tasks.start_until_it_asks(systems)
    return {"pipeline": APPROVED, "task_name": APPROVAL, "decision": "approve"}


def asked(systems: Systems) -> str:
    systems.reset(60)
    return start_until_it_asks(systems)


def release(systems: Systems) -> dict[str, Any]:
    service_stage_tasks.start()
    return {"pipeline": service_stage_tasks.SHOP}


OPERATORS = [cls for cls in CLASSES if not cls.__name__.endswith("Sensor")]
FOUND_FIRST: dict[str, Callable[[Systems], dict[str, Any]]] = {
    "CodeStreamRerunEventOperator": lambda systems: {"event_type": "docker", "event_id": failed_event(systems)},
    "CodeStreamTriggerGerritOperator": lambda _: GERRIT_CHANGE,
    "CodeStreamExecutionActionOperator": lambda _: {"execution_id": start(), "action": "cancel"},
    "CodeStreamApprovalOperator": lambda systems: {"execution_id": asked(systems), "decision": "approve"},
    "ServiceStageStopReleaseOperator": release,
    "ServiceStageApprovalOperator": approval,
    "CocktailCancelBuildOperator": lambda _: {"build_run_seq": start_build()},
    "QuayDeleteNotificationOperator": notification,
    "QuayTestNotificationOperator": notification,
    "QuayResetNotificationOperator": notification,
}
"""What some need to have something to do; the others do it with the arguments of ``CLASSES``."""


def writes(systems: Systems, system: str) -> list[str]:
    arrived = [each for each in systems.requests(system) if each["method"] not in READS]
    return [f"{each['method']} {each['path']}" for each in arrived if "login" not in each["path"]]


@pytest.mark.parametrize("cls", OPERATORS, ids=lambda cls: cls.__name__)
def test_an_attempt_that_is_over_sends_nothing_more(systems, cls, mocker):
    systems.reset(SLOW)
    arguments = FOUND_FIRST[cls.__name__](systems) if cls.__name__ in FOUND_FIRST else CLASSES[cls]
    task = Task(lambda: cls(task_id="send", **arguments))
    before = writes(systems, cls.system)
    # Where nothing is awaited yet, somebody marks the task; its process does not hear of it for a while.
    mocker.patch.object(task.operator, "check_arguments", lambda: task.mark("failed"))
    error = task.attempt().error
    assert isinstance(error, AttemptOver), error
    assert writes(systems, cls.system) == before


@pytest.fixture
def _refuses_as_to_a_process(mocker: MockerFixture) -> None:
    """In this process, an error of Airflow's API would be another one than a worker's process gets."""
    plain = InProcessSupervisorComms.send

    def send(comms: Any, msg: Any) -> Any:
        try:
            return plain(comms, msg)
        except ServerResponseError as error:
            detail = {"status_code": error.response.status_code, "message": str(error)}
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail)) from None

    mocker.patch.object(InProcessSupervisorComms, "send", send)


def given_up(task: Task) -> None:
    """While its attempt is frozen, Airflow gives it up, and the next one defers."""
    task.clear()
    task.begin_another_attempt()
    task.push_xcom(MARKER_XCOM, "of the next attempt")


@pytest.mark.usefixtures("_refuses_as_to_a_process")
def test_an_attempt_that_is_over_does_not_hide_from_triggers_what_the_next_one_waits_for(systems, mocker):
    task = Task(lambda: CodeStreamRunPipelineOperator(task_id="send", pipeline=PIPELINE, deferrable=True))

    def frozen() -> float:
        given_up(task)
        return 0.0

    mocker.patch("airflow_provider.operators.carrying_out.noticed_within", frozen)
    task.attempt()
    assert task.xcoms()[MARKER_XCOM] == "of the next attempt"


@pytest.mark.usefixtures("_refuses_as_to_a_process")
def test_an_attempt_that_is_over_as_it_resumes_does_not_hide_it_either(systems, mocker):
    systems.reset(60)
    task = Task(lambda: CodeStreamRunPipelineOperator(task_id="send", pipeline=PIPELINE, deferrable=True))
    event = task.fire(task.trigger(task.attempt()))

    def frozen(record: object, system: str) -> object:
        given_up(task)
        return read_record(record, system)

    mocker.patch("airflow_provider.core.record.read_record", frozen)
    task.resume(event)
    assert task.xcoms()[MARKER_XCOM] == "of the next attempt"
