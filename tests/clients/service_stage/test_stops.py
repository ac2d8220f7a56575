"""A stop ends this very execution and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.clients.service_stage.references import pending_approval_reference
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    ReleasePipelineError,
)
from airflow_provider.execution import Execution, ExecutionState
from tests.support.scripted import Received
from tests.support.service_stage_gateway import JUST_NOW, PIPELINE, TRIGGERED, Gateway, connected, release_ref

# Canceling


def _stop(client: ServiceStageClient) -> Execution:
    return client.releases.stop(client.releases.find_stoppable("shop-release").ref)


@pytest.mark.parametrize(
    ("records", "sent"),
    [
        ([{"id": 286541, "status": 4}], ["records", "stop"]),
        ([{"id": 286541, "status": 10}], ["records", "stop"]),
        ([{"id": 286541, "status": 2}], ["records"]),
        ([{"id": 286541, "status": 7}], ["records"]),
        ([{"id": 286541, "status": 13}], ["records"]),
        ([{"id": 286541, "status": 4}, {"id": 286542, "status": 4}], ["records"]),
        ([{"id": 286541}, {"id": 286542}], ["records"]),
    ],
)
def test_a_cancel_stops_this_very_execution_and_nobody_elses(
    client: ServiceStageClient, gateway: Gateway, records: Any, sent: list[str]
) -> None:
    gateway.recorded(*records)
    client.cancel(release_ref(status_before="1"), "timeout")
    assert gateway.sent == sent
    gateway.scripted.requests.clear()
    client.releases.stop(release_ref(action="stop", since=""))
    assert gateway.sent == sent


@pytest.mark.parametrize(
    ("status", "needed"),
    [
        (1, True),
        (2, False),
        (3, False),
        (4, True),
        (5, True),
        (6, True),
        (7, False),
        (12, False),
        (13, False),
        (14, True),
    ],
)
def test_what_is_over_stopped_or_stopping_needs_no_cancel(
    client: ServiceStageClient, gateway: Gateway, status: int, needed: bool
) -> None:
    gateway.recorded({"id": 286541, "status": status})
    assert client.waits.needs_cancel(client.observe(release_ref())) is needed


def test_an_execution_that_shows_the_status_from_before_still_needs_a_cancel(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.recorded({"id": 286541, "status": 7})
    assert client.waits.needs_cancel(client.observe(release_ref(action="continue", status_before="7")))
    gateway.recorded()
    assert client.waits.needs_cancel(client.observe(release_ref()))


@pytest.mark.parametrize(("later", "sent"), [(0, True), (119, True), (121, False)])
def test_without_records_a_release_task_that_was_triggered_again_is_not_stopped(
    gateway: Gateway, later: float, sent: bool
) -> None:
    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        if request.path.endswith("/records"):
            return 404, {}, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"}
        return gateway.answer(request)

    gateway.items = [Gateway.item(4, last_trigger_at=int((JUST_NOW + later) * 1000))]
    gateway.scripted.always = answer
    with connected(gateway.url) as client:
        if sent:
            client.cancel(release_ref(), "timeout")
        else:
            with pytest.raises(ConflictError, match="nothing was stopped"):
                client.cancel(release_ref(), "timeout")
    assert gateway.sent.count("stop") == sent


def test_a_refused_stop_of_an_execution_that_ended_meanwhile_is_fine(gateway: Gateway) -> None:
    refusal = {"error_code": "SVCSTG.00100400", "error_msg": "not running"}
    status = {"id": 286541, "status": 4}

    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        if request.method == "POST":
            status["status"] = ends_as
            return 400, {}, refusal
        return 200, {}, {"records": [status]}

    gateway.scripted.always = answer
    with connected(gateway.url) as client:
        ends_as = 2
        client.cancel(release_ref(), "timeout")
        status["status"] = ends_as = 4
        with pytest.raises(BadRequestError, match="not running"):
            client.cancel(release_ref(), "timeout")


@pytest.mark.parametrize(("ends_as", "stopped"), [(2, True), (4, False)])
def test_a_stop_that_the_end_of_the_release_overtook_is_fine(gateway: Gateway, ends_as: int, stopped: bool) -> None:
    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        if request.method == "POST":
            gateway.items = [Gateway.item(ends_as)]
            return 400, {}, {"error_code": "SVCSTG.00100400", "error_msg": "not running"}
        return gateway.answer(request)

    gateway.items = [Gateway.item(4)]
    gateway.scripted.always = answer
    with connected(gateway.url) as client:
        if stopped:
            assert _stop(client).message == "released before it could be stopped"
        else:
            with pytest.raises(BadRequestError, match="not running"):
                _stop(client)


def test_what_is_stopping_already_is_sent_no_second_stop(client: ServiceStageClient, gateway: Gateway) -> None:
    gateway.items = [Gateway.item(13)]
    stopping = _stop(client)
    assert (stopping.state, stopping.status) == (ExecutionState.RUNNING, "13")
    assert "stop" not in gateway.sent


# the list item, the records, and the execution that a stop is for
RUNNING = Gateway.item(4, last_trigger_at=TRIGGERED + 60_000)
TARGETS = {
    "a running one": (RUNNING, [{"id": 9, "status": 4, "trigger_at": TRIGGERED + 60_000}], "9"),
    "a retried one": (RUNNING, [{"id": 9, "status": 14, "trigger_at": TRIGGERED}], "9"),
    "without a status": (RUNNING, [{"id": 9, "trigger_at": TRIGGERED + 60_000}], "9"),
    "one that is over, but the list lags": (RUNNING, [{"id": 9, "status": 2, "trigger_at": TRIGGERED + 60_000}], "9"),
    "one that is over": (Gateway.item(2), [{"id": 9, "status": 2}], "9"),
    "the first one, but the list lags": (Gateway.item(1), [{"id": 9, "status": 4}], "9"),
    "one whose record is not there yet": (RUNNING, [{"id": 9, "status": 2, "trigger_at": TRIGGERED}], ""),
    "the first one, without a record yet": (RUNNING, [], ""),
    "any, where records tell neither status nor time": (RUNNING, [{"id": 9}], ""),
}


@pytest.mark.parametrize(("item", "records", "target"), TARGETS.values(), ids=TARGETS)
def test_a_stop_says_beforehand_which_execution_it_is_for(
    client: ServiceStageClient, gateway: Gateway, item: Any, records: Any, target: str
) -> None:
    gateway.items = [item]
    gateway.recorded(*records)
    seen = client.releases.find_stoppable("shop-release")
    assert (seen.id, seen.ref["action"], seen.ref["place"]) == (target, "stop", client.place)
    assert seen.ref.get("triggered", "") == ("" if target else str(TRIGGERED + 60_000))
    assert gateway.sent == ["list", "records"]


def test_a_release_task_that_was_never_executed_has_nothing_to_stop(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.items = [Gateway.item(1, last_trigger_at=None)]
    with pytest.raises(ConflictError, match="never executed"):
        client.releases.find_stoppable("shop-release")


@pytest.mark.parametrize(("item", "records", "target"), TARGETS.values(), ids=TARGETS)
def test_a_stop_is_never_sent_for_an_execution_that_came_later(
    client: ServiceStageClient, gateway: Gateway, item: Any, records: Any, target: str
) -> None:
    gateway.items = [item]
    gateway.recorded(*records)
    ref = client.releases.find_stoppable("shop-release").ref
    gateway.items = [Gateway.item(4, last_trigger_at=TRIGGERED + 90_000)]
    gateway.recorded(*records, {"id": 10, "status": 4, "trigger_at": TRIGGERED + 90_000})
    stopped = client.releases.stop(ref)
    assert stopped.state is ExecutionState.SUCCEEDED
    assert client.observe(ref).state.is_terminal or target == "9"
    assert "stop" not in gateway.sent


@pytest.mark.parametrize(("status", "state"), [(13, ExecutionState.RUNNING), (7, ExecutionState.SUCCEEDED)])
def test_a_stop_that_counts_as_a_trigger_is_not_taken_for_a_later_execution(
    client: ServiceStageClient, gateway: Gateway, status: int, state: ExecutionState
) -> None:
    gateway.items = [Gateway.item(4)]
    ref = client.releases.stop(client.releases.find_stoppable("shop-release").ref).ref
    assert ref["id"] == ""
    gateway.items = [Gateway.item(status, last_trigger_at=TRIGGERED + 90_000)]
    seen = client.observe(ref)
    assert (seen.state, seen.status) == (state, str(status))


def test_a_stop_is_refused_where_nothing_shows_whether_a_later_execution_came(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.items = [Gateway.item(4, last_trigger_at=None)]
    ref = client.releases.find_stoppable("shop-release").ref
    with pytest.raises(ConflictError, match="nothing was stopped"):
        client.releases.stop(ref)
    assert "stop" not in gateway.sent


def test_a_stop_of_another_place_is_refused_before_anything_is_asked(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    with pytest.raises(ConflictError, match=r"https://elsewhere\.example\.com project p"):
        client.releases.stop(release_ref(action="stop", place="https://elsewhere.example.com project p"))
    assert gateway.sent == []


@pytest.mark.parametrize("answered", [(400, {}, {"error_code": "X", "error_msg": "no"}), (500, {}, None)])
@pytest.mark.parametrize(("shows", "stopped"), [(13, True), (7, True), (3, True), (4, False), (5, False)])
def test_a_stop_that_was_refused_or_got_no_answer_counts_if_it_shows(
    gateway: Gateway, answered: Any, shows: int, stopped: bool
) -> None:
    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        if request.method == "POST":
            gateway.items = [Gateway.item(shows)]
            status, headers, body = answered
            return status, headers, body
        return gateway.answer(request)

    gateway.items = [Gateway.item(4)]
    gateway.scripted.always = answer
    with connected(gateway.url) as client:
        if stopped:
            assert _stop(client).status == str(shows)
        else:
            with pytest.raises(ReleasePipelineError) as caught:
                _stop(client)
            assert caught.value.status == answered[0]
    assert gateway.sent.count("stop") == 1


def test_what_cannot_be_canceled_is_not(client: ServiceStageClient, gateway: Gateway) -> None:
    client.cancel(release_ref(action="stop"), "timeout")
    with pytest.raises(BadRequestError):
        client.cancel(release_ref(""), "timeout")
    assert gateway.sent == []


def test_only_a_release_is_stopped(client: ServiceStageClient, gateway: Gateway) -> None:
    with pytest.raises(BadRequestError, match="only a release can be stopped, got a reference to 'approval'"):
        client.releases.stop(pending_approval_reference(PIPELINE))
    assert gateway.sent == []
