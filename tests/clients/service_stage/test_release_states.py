"""How an execution stands: what its record says, and what of a lagging list is believed."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients.service_stage import ServiceStageClient, release_observer
from airflow_provider.exceptions import (
    NotFoundError,
    UnexpectedResponseError,
)
from airflow_provider.execution import ExecutionRef, ExecutionState
from tests.support.scripted import Received
from tests.support.service_stage_gateway import PIPELINE, PREFIX, TRIGGERED, Gateway, connected, release_ref


def _long_ago(seconds: float = 61) -> str:
    return f"{time.time() - seconds:.3f}"


MOVED = TRIGGERED + 1
"""A trigger time that is not that from before."""


# Waiting


@pytest.mark.parametrize(
    ("action", "status", "state", "message"),
    [
        ("start", 1, "queued", None),
        ("start", 2, "succeeded", None),
        ("start", 3, "failed", "release failed"),
        ("start", "4", "running", None),
        ("start", 5, "waiting", "to be approved"),
        ("start", 7, "paused", "paused"),
        ("start", 9, "succeeded", "skipped"),
        ("start", 10, "running", None),
        ("start", 11, "failed", "rolled back"),
        ("retry", 11, "failed", "rolled back"),
        ("start", 12, "failed", "rollback failed"),
        ("start", 13, "running", None),
        ("retry", 14, "running", None),
        ("start", 6, "unknown", "unknown status 6"),
        ("start", "99", "unknown", "unknown status 99"),
        ("rollback", 10, "running", None),
        ("rollback", 11, "succeeded", None),
        ("rollback", 12, "failed", "rollback failed"),
        ("stop", 13, "running", None),
        ("stop", 7, "succeeded", None),
        ("stop", 3, "succeeded", "release failed before it could be stopped"),
        ("stop", 2, "succeeded", "released before it could be stopped"),
    ],
)
@pytest.mark.parametrize("record_id", [286541, "286541"])
def test_the_status_of_the_record_decides(
    client: ServiceStageClient, gateway: Gateway, record_id: Any, action: str, status: Any, state: str, message: str
) -> None:
    gateway.recorded({"id": 286540, "status": 2}, {"id": record_id, "status": status, "triggerAt": TRIGGERED})
    seen = client.observe(release_ref(action=action, status_before="4"))
    assert (seen.state, seen.status, seen.message) == (state, str(status), message)
    assert seen.outputs["id"] == record_id
    assert seen.started_at == datetime.fromtimestamp(TRIGGERED / 1000, UTC)


@pytest.mark.parametrize(
    ("ref", "item", "state"),
    [
        (release_ref(), Gateway.item(2), "queued"),
        (release_ref(), Gateway.item(4), "running"),
        (release_ref(), Gateway.item(3), "queued"),
        (release_ref(), Gateway.item(2, last_trigger_at=MOVED), "queued"),
        (release_ref(), Gateway.item(3, last_trigger_at=MOVED), "queued"),
        (release_ref(), Gateway.item(5), "queued"),
        (release_ref(), Gateway.item(5, last_trigger_at=MOVED), "waiting"),
        (release_ref(), Gateway.item(2, last_trigger_at=None), "queued"),
        (release_ref(status_before="4"), Gateway.item(2, last_trigger_at=MOVED), "queued"),
        (release_ref(since="61 s ago"), Gateway.item(2), "queued"),
        (release_ref(since="301 s ago"), Gateway.item(2), "succeeded"),
        (release_ref(since="61 s ago"), Gateway.item(2, last_trigger_at=MOVED), "succeeded"),
        (release_ref(since="61 s ago", clock="vendor"), Gateway.item(2, last_trigger_at=MOVED), "queued"),
        (release_ref(since="301 s ago", clock="vendor"), Gateway.item(2, last_trigger_at=MOVED), "succeeded"),
        (release_ref(since="61 s ago"), Gateway.item(2, last_trigger_at=None), "succeeded"),
        (release_ref(status_before="3", action="rollback"), Gateway.item(11), "queued"),
        (release_ref(status_before="3", action="rollback", since="61 s ago"), Gateway.item(11), "succeeded"),
        (release_ref(status_before="7", action="continue"), Gateway.item(7), "queued"),
        (release_ref(status_before="7", action="continue", since="61 s ago"), Gateway.item(7), "paused"),
        (release_ref(status_before="5", action="approval"), Gateway.item(5), "queued"),
        (release_ref(status_before="4", action="stop"), Gateway.item(4), "running"),
    ],
)
@pytest.mark.parametrize("records", [[], [{"id": 286541}]])
def test_without_a_status_in_the_record_an_old_status_of_the_task_is_not_believed(
    client: ServiceStageClient, gateway: Gateway, records: Any, ref: ExecutionRef, item: Any, state: str
) -> None:
    gateway.recorded(*records)
    gateway.items = [item]
    # Worked out now: these tests may run many minutes after they were collected.
    since = _long_ago(float(ref["since"].removesuffix(" s ago"))) if ref["since"].endswith("ago") else ref["since"]
    assert client.observe({**ref, "since": since}).state == state


# what a lagging list shows, as status and trigger time, and what a wait is told; 4 and 2 are the old ones before 7
LAGS = {
    "the status": ([(2, MOVED), (4, MOVED), (2, MOVED)], ["queued", "running", "succeeded"]),
    "all of it": ([(2, TRIGGERED), (4, MOVED), (3, MOVED)], ["queued", "running", "failed"]),
    "by two": ([(4, TRIGGERED), (2, TRIGGERED), (4, MOVED), (2, MOVED)], ["running", "queued", "running", "succeeded"]),
    "a paused one": ([(7, TRIGGERED), (4, MOVED), (7, MOVED)], ["queued", "running", "paused"]),
}


@pytest.mark.parametrize("before", ["2", "3", "1", ""])
@pytest.mark.parametrize(("shown", "expected"), LAGS.values(), ids=LAGS)
def test_an_end_in_a_lagging_list_is_believed_once_the_new_execution_was_seen_there(
    client: ServiceStageClient, gateway: Gateway, shown: Any, expected: list[str], before: str
) -> None:
    ref, states = release_ref(status_before=before), []
    for status, triggered in shown:
        gateway.items = [Gateway.item(status, last_trigger_at=triggered)]
        states.append(client.observe(ref).state.value)
    assert states == expected


@pytest.mark.parametrize("apart", [-3600, 3600])
def test_a_status_is_as_old_on_a_machine_whose_clock_is_off(
    client: ServiceStageClient, gateway: Gateway, mocker: MockerFixture, apart: float
) -> None:
    started = client.releases.act(PIPELINE, "start")
    off = SimpleNamespace(time=lambda: time.time() + apart, monotonic=time.monotonic)
    mocker.patch.object(release_observer, "time", off)
    now = int(time.time() * 1000)
    gateway.items = [Gateway.item(2, last_trigger_at=now)]
    assert client.observe(started.ref).state is ExecutionState.QUEUED
    assert client.observe({**started.ref, "since": _long_ago()}).state is ExecutionState.SUCCEEDED


@pytest.mark.parametrize("before", ["3", "4"], ids=["the list was right", "the list lagged"])
def test_a_retry_that_keeps_the_record_is_not_failed_by_its_old_status(
    client: ServiceStageClient, gateway: Gateway, before: str
) -> None:
    ref = release_ref(action="retry", status_before=before)
    gateway.recorded({"id": 286541, "status": 3})
    assert client.observe(dict(ref)).state is ExecutionState.QUEUED
    assert client.observe({**ref, "since": _long_ago()}).state is ExecutionState.FAILED
    gateway.recorded({"id": 286541, "status": 14})
    assert client.observe(ref).state is ExecutionState.RUNNING
    gateway.recorded({"id": 286541, "status": 3})
    assert client.observe(ref).state is ExecutionState.FAILED


def test_the_status_of_somebody_elses_later_execution_is_not_taken_for_ours(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.recorded({"id": 286541}, {"id": 286542})
    gateway.items = [Gateway.item(2, last_trigger_at=TRIGGERED + 9)]
    seen = client.observe(release_ref(since=_long_ago()))
    assert seen.state is ExecutionState.FAILED
    assert "286542" in str(seen.message)
    assert not client.waits.needs_cancel(seen)


def test_a_region_without_the_call_for_records_is_waited_for_by_the_list(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    refusal = (404, {}, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"})
    gateway.refusals = [refusal]
    gateway.items = [Gateway.item(3, last_trigger_at=MOVED)]
    assert client.observe(release_ref(since=_long_ago())).state is ExecutionState.FAILED
    gateway.refusals = [(404, {}, {"error_code": "SVCSTG.00100433", "error_msg": "release task not found"})]
    with pytest.raises(NotFoundError, match="release task not found"):
        client.observe(release_ref())


@pytest.mark.parametrize("path", [PREFIX, f"{PREFIX}/{PIPELINE}/records"], ids=["list", "records"])
@pytest.mark.parametrize("body", [{"error_code": "APIGW.0101", "error_msg": "no such API"}, "<html>404</html>", None])
def test_an_execution_is_not_gone_because_a_gateway_publishes_nothing_for_a_while(
    gateway: Gateway, path: str, body: Any
) -> None:
    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        missing = (path, PREFIX) if isinstance(body, dict) else (path,)
        return (404, {}, body) if request.path in missing else gateway.answer(request)

    gateway.scripted.always = answer
    with connected(gateway.url) as client:
        for observe in (
            lambda: client.observe(release_ref()),
            lambda: client.waits.fetch([release_ref(), release_ref()]),
        ):
            with pytest.raises(UnexpectedResponseError):
                observe()


@pytest.mark.parametrize("execution_id", ["286599", "7", "None", "latest"])
@pytest.mark.parametrize("status", [2, 4])
def test_somebody_elses_execution_that_no_record_shows_is_not_there(
    client: ServiceStageClient, gateway: Gateway, execution_id: str, status: int
) -> None:
    gateway.items = [Gateway.item(status)]
    gateway.recorded({"id": 286541, "status": status})
    with pytest.raises(NotFoundError, match=f"no execution '{execution_id}'"):
        client.observe(release_ref(execution_id, since="", status_before=""))


def test_somebody_elses_execution_is_recognized_by_the_list_where_the_records_cannot_show_it(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    ref = release_ref(since="", status_before="")
    gateway.recorded({"id": 286541})
    assert client.observe(ref).state is ExecutionState.SUCCEEDED
    gateway.refusals = [(404, {}, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"})]
    assert client.observe(ref).state is ExecutionState.SUCCEEDED
    gateway.refusals = [(404, {}, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"})]
    with pytest.raises(NotFoundError, match="no execution 'None'"):
        client.observe({**ref, "id": "None"})


def test_without_an_execution_id_the_last_execution_counts(client: ServiceStageClient, gateway: Gateway) -> None:
    ref = {"system": "service_stage", "kind": "release", "id": "", "pipeline_id": PIPELINE}
    gateway.items = [Gateway.item(1)]
    assert client.observe(ref).state is ExecutionState.QUEUED
    gateway.items = [Gateway.item(4)]
    assert client.observe(ref).state is ExecutionState.RUNNING
    gateway.items = [Gateway.item(2)]
    gateway.recorded({"id": 9, "status": 2}, {"id": 10, "status": 3, "trigger_at": TRIGGERED})
    seen = client.observe(ref)
    assert (seen.id, seen.state, seen.outputs["id"]) == ("10", ExecutionState.FAILED, 10)
    gateway.recorded()
    assert client.observe(ref).state is ExecutionState.SUCCEEDED
