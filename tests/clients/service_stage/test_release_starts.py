"""Which execution belongs to a start whose answer was lost."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.exceptions import ConflictError
from tests.support.scripted import Received
from tests.support.service_stage_gateway import (
    JUST_NOW,
    PIPELINE,
    TRIGGERED,
    Gateway,
    Iam,
    as_user,
    connected,
    intent_of,
)

OLD = {"id": 286540, "status": 2}
NOW = int(JUST_NOW * 1000)


@pytest.mark.parametrize(
    ("intent", "item", "records", "found"),
    [
        (intent_of(), Gateway.item(2), [OLD], None),
        (intent_of(newest_record="", status_before="1"), Gateway.item(1), [], None),
        (intent_of(), Gateway.item(4, last_trigger_at=NOW), [OLD, {"id": 286541, "status": 4}], "286541"),
        (intent_of(), Gateway.item(2, last_trigger_at=None), [{"id": "286541"}, OLD], "286541"),
        (intent_of(), Gateway.item(2, last_trigger_at=NOW), [{"id": "286541"}, OLD], "286541"),
        (intent_of(), Gateway.item(2), [{"id": "286541", "triggerAt": NOW}, OLD], "286541"),
        (intent_of(clock="worker"), Gateway.item(2), [{"id": "286541", "trigger_at": NOW - 290_000}, OLD], "286541"),
        (
            intent_of(newest_record="99"),
            Gateway.item(4, last_trigger_at=NOW),
            [{"id": 100, "status": 4}, {"id": 99, "status": 2}],
            "100",
        ),
        (
            intent_of(newest_record="", status_before="1"),
            Gateway.item(4, last_trigger_at=NOW),
            [{"id": 1, "status": 4}],
            "1",
        ),
        (intent_of("retry", status_before="3"), Gateway.item(3), [{"id": 286540, "status": 3}], None),
        (intent_of("retry", status_before="3"), Gateway.item(3), [{"id": 286540, "status": 14}], "286540"),
        (
            intent_of("retry", status_before="3"),
            Gateway.item(4, last_trigger_at=NOW),
            [{"id": 286540}, {"id": 286541}],
            "286541",
        ),
        (intent_of("continue", status_before="7"), Gateway.item(4), [{"id": 286540}], "286540"),
        (intent_of("rollback"), Gateway.item(10), [{"id": 286540, "status": 10}], "286540"),
        (intent_of("stop", status_before="4"), Gateway.item(13), [{"id": 286540, "status": 13}], "286540"),
        (intent_of("stop", status_before="4"), Gateway.item(4), [{"id": 286540, "status": 4}], None),
        (intent_of(status_before="4"), Gateway.item(2), [OLD], None),
        (intent_of("retry", status_before="4"), Gateway.item(4), [{"id": 286540, "status": 3}], None),
    ],
)
def test_a_start_whose_answer_was_lost_is_found_or_certainly_not_there(
    client: ServiceStageClient, gateway: Gateway, intent: Any, item: Any, records: Any, found: str | None
) -> None:
    gateway.items = [item]
    gateway.recorded(*records)
    started = client.waits.find_started(intent)
    assert [each.id for each in started] == ([found] if found else [])
    for each in started:
        assert each.ref["action"] == intent["action"]
        assert each.ref["status_before"] == intent["status_before"]
        assert each.ref["clock"] == intent["clock"]
        assert not each.state.is_terminal


SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
# trigger times of later records, in milliseconds after the intent; which of these may be what was started
WINDOWS = {
    "at once": ("vendor", [0], [0]),
    "a second before, as the vendor's Date is cut": ("vendor", [-SECOND], [0]),
    "as late as a request may take": ("vendor", [450 * SECOND], [0]),
    "a minute before": ("vendor", [-MINUTE], []),
    "later than any request": ("vendor", [450 * SECOND + 3 * SECOND], []),
    "an hour later": ("vendor", [HOUR], []),
    "a minute before, by another clock": ("worker", [-MINUTE], [0]),
    "nine minutes later, by another clock": ("worker", [9 * MINUTE], [0]),
    "an hour later, by any clock": ("worker", [HOUR], []),
    "two at once": ("vendor", [SECOND, MINUTE], [0, 1]),
    "ours and a colleague's": ("vendor", [-HOUR, SECOND, HOUR], [1]),
}


@pytest.mark.parametrize(("clock", "times", "counts"), WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("action", ["start", "retry"])
@pytest.mark.parametrize("age", [1, 7200])
def test_only_what_began_soon_after_the_intent_may_be_its_execution(
    client: ServiceStageClient, gateway: Gateway, clock: str, times: Any, counts: Any, action: str, age: int
) -> None:
    since = round(time.time() - age, 3)
    later = [{"id": 286541 + place, "trigger_at": int(since * 1000) + time} for place, time in enumerate(times)]
    gateway.recorded(*reversed(later), OLD)
    gateway.items = [Gateway.item(4, last_trigger_at=later[-1]["trigger_at"])]
    intent = intent_of(action, since=since, clock=clock, status_before="3")
    if action == "start" or counts:
        assert [each.id for each in client.waits.find_started(intent)] == [str(286541 + place) for place in counts]
    else:
        # It may have gone on with the record before, and then somebody with another one.
        with pytest.raises(ConflictError, match="could not find out"):
            client.waits.find_started(intent)


OLD_RETRY = {"id": 286540, "status": 14}
# an hour after the intent: the action, the list item, the records, and what is found; None: nobody can tell
HOUR_LATER = {
    "a record without a time": ("start", Gateway.item(4), [OLD, {"id": 286541, "status": 4}], None),
    "its time is in the list": (
        "start",
        Gateway.item(4, last_trigger_at=NOW - HOUR),
        [OLD, {"id": 286541}],
        ["286541"],
    ),
    "the list tells a later one": ("start", Gateway.item(4, last_trigger_at=NOW), [OLD, {"id": 286541}], []),
    "two without a time": (
        "start",
        Gateway.item(4, last_trigger_at=NOW - HOUR),
        [{"id": 286541}, {"id": 286542}],
        None,
    ),
    "somebody continued the one before": ("start", Gateway.item(4), [OLD], []),
    "somebody retried the one before": ("start", Gateway.item(14, last_trigger_at=NOW), [OLD], []),
    "a retry that the list times": ("retry", Gateway.item(14, last_trigger_at=NOW - HOUR), [OLD_RETRY], ["286540"]),
    "somebody's retry": ("retry", Gateway.item(14, last_trigger_at=NOW), [OLD_RETRY], None),
    "somebody's retry, untold": ("retry", Gateway.item(14), [OLD_RETRY], None),
    "no retry": ("retry", Gateway.item(3), [{"id": 286540, "status": 3}], []),
}


@pytest.mark.parametrize(("action", "item", "records", "found"), HOUR_LATER.values(), ids=HOUR_LATER)
def test_an_hour_after_an_intent_a_colleagues_release_is_not_adopted(
    client: ServiceStageClient,
    gateway: Gateway,
    mocker: MockerFixture,
    action: str,
    item: Any,
    records: Any,
    found: Any,
) -> None:
    gateway.items = [item]
    gateway.recorded(*records)
    intent = intent_of(action, since=NOW / 1000 - 3600, status_before="3" if action == "retry" else "2")
    mocker.patch.object(client.transport, "server_time", lambda: NOW / 1000)
    if found is None:
        with pytest.raises(ConflictError, match="could not find out"):
            client.waits.find_started(intent)
    else:
        assert [each.id for each in client.waits.find_started(intent)] == found


@pytest.mark.parametrize(
    ("age", "last_trigger_at"),
    [(0, NOW), (3600, NOW), (3600, NOW - HOUR), (3600, NOW - 2 * HOUR)],
    ids=["just now", "since", "then", "before"],
)
def test_without_records_it_is_unknown_what_a_start_led_to(gateway: Gateway, age: float, last_trigger_at: int) -> None:
    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        if request.path.endswith("/records"):
            return 404, {}, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"}
        return gateway.answer(request)

    gateway.scripted.always = answer
    intent = intent_of(newest_record="", since=NOW / 1000 - age)
    with connected(gateway.url) as client:
        assert client.waits.find_started(intent) == []
        gateway.items = [Gateway.item(4, last_trigger_at=last_trigger_at)]
        with pytest.raises(ConflictError, match="could not find out"):
            client.waits.find_started(intent)


@pytest.mark.parametrize("iam_user", [False, True])
def test_what_an_intent_needs_has_the_vendors_clock(iam: Iam, iam_user: bool) -> None:
    with (as_user if iam_user else connected)(iam.gateway.url) as client:
        assert client.transport.server_time() is None
        before = client.releases.intent("shop-release", "start")
        now = client.transport.server_time()
        assert now is not None
        assert abs(now - time.time()) < 60
    assert before == {
        "kind": "release",
        "action": "start",
        "pipeline_id": PIPELINE,
        "newest_record": "",
        "status_before": "2",
        "triggered_before": str(TRIGGERED),
    }


@pytest.mark.parametrize(
    ("intent", "item", "records"),
    [
        (intent_of(), Gateway.item(4), [OLD]),
        (intent_of(), Gateway.item(4), [OLD, {"id": 286541, "status": 4}]),
        (intent_of(), Gateway.item(2, last_trigger_at=NOW), []),
        (
            intent_of("retry", status_before="3"),
            Gateway.item(3, last_trigger_at=NOW),
            [{"id": 286540, "status": 3}],
        ),
        (intent_of("retry", status_before="3", newest_record=""), Gateway.item(14), []),
        (intent_of("stop", status_before="4"), Gateway.item(4), [OLD, {"id": 286541, "status": 4}]),
    ],
)
def test_a_doubtful_start_is_neither_adopted_nor_repeated(
    client: ServiceStageClient, gateway: Gateway, intent: Any, item: Any, records: Any
) -> None:
    gateway.items = [item]
    gateway.recorded(*records)
    with pytest.raises(ConflictError, match="could not find out"):
        client.waits.find_started(intent)
