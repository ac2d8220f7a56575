"""Many waits, one poll: through the real trigger in one event loop, over HTTP to the sandbox."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from airflow.triggers.base import TaskSuccessEvent

from airflow_provider.clients.login import forget_shared_logins
from airflow_provider.clients.waits import Waits
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.waiting import Ending, Outcome
from airflow_provider.exceptions import UnexpectedResponseError
from airflow_provider.execution import Execution
from airflow_provider.hooks.cocktail import CocktailHook
from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.triggers import poller, shared_client, xcoms
from airflow_provider.triggers.execution import ExecutionTrigger
from tests.support.systems import define_connection
from tests.support.until import until, until_in_loop

PIPELINES = 12


@pytest.fixture(autouse=True)
def short_lingering(mocker):
    mocker.patch.object(poller, "LINGER", 0.3)


def start_pipelines(count: int) -> list[dict[str, str]]:
    with CodeStreamHook().get_conn() as client:
        pipeline_id = client.pipelines.find("Deploy shop", "retail")["id"]
        return [client.pipelines.run(pipeline_id, inputs={"tag": "1"}).ref for _ in range(count)]


def start_build(build_seq: int = 12) -> dict[str, str]:
    with CocktailHook().get_conn() as client:
        return client.builds.run(build_seq, tag_name="1.4.2").ref


def trigger(ref: dict[str, str], **arguments: Any) -> ExecutionTrigger:
    system = ref["system"]
    made = ExecutionTrigger(
        **{"system": system, "conn_id": f"{system}_default", "ref": ref, "poll_interval": 0.2, **arguments}
    )
    _, kwargs = made.serialize()
    return ExecutionTrigger(**kwargs)


async def has_ended(system: str) -> None:
    """Wait until the poll of its default connection has."""
    shared = poller.shared_poller(system, f"{system}_default")
    await until_in_loop(lambda: shared.ended)


async def outcome_of(waiting: ExecutionTrigger) -> Outcome:
    async for event in waiting.run():
        return Outcome.from_event(event.payload)
    raise AssertionError("the trigger ended without an event")


def outcomes(*waits: ExecutionTrigger) -> list[Outcome]:
    async def all_of_them() -> list[Outcome]:
        return await asyncio.gather(*(outcome_of(wait) for wait in waits))

    return asyncio.run(all_of_them())


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("poll-")}


def test_many_waits_share_one_login_and_each_gets_its_own_answer(systems):
    refs = start_pipelines(PIPELINES)
    systems.force("code_stream", refs[3]["id"], "FAILED")
    forget_shared_logins()
    before = len(systems.requests("code_stream", path="/login"))
    ended = outcomes(*(trigger(ref) for ref in refs))
    assert [outcome.execution["id"] for outcome in ended] == [ref["id"] for ref in refs]
    assert [outcome.is_success for outcome in ended] == [index != 3 for index in range(PIPELINES)]
    assert len(systems.requests("code_stream", path="/login")) - before == 2  # the two steps of one login


def test_a_token_that_expires_meanwhile_costs_one_login_for_all_waits(systems):
    systems.reset(speed=5)
    refs = start_pipelines(PIPELINES)
    forget_shared_logins()
    before = len(systems.requests("code_stream", path="/iaas/api/login"))
    systems.fault("code_stream", "expire_token", method="GET", path="/executions", after=2)
    assert all(outcome.is_success for outcome in outcomes(*(trigger(ref) for ref in refs)))
    assert len(systems.requests("code_stream", path="/iaas/api/login")) - before == 2  # at first, and once renewed


@pytest.mark.parametrize(
    "faults",
    [
        [{"fault": "status", "status": 503}],
        [{"fault": "html"}],
        [{"fault": "truncate"}],
        [{"fault": "reset_before"}, {"fault": "reset_after"}],
    ],
    ids=["5xx", "html", "truncated", "resets"],
)
def test_a_vendor_that_is_down_for_a_while_ends_no_wait(systems, faults):
    ref = start_build()
    for fault in faults:
        systems.fault("cocktail", method="GET", path="/build/run/", times=2, **fault)
    (outcome,) = outcomes(trigger(ref))
    assert outcome.is_success


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *itertools.product(
            ["/csp/gateway/am/api/login", "/iaas/api/login"],
            [None, "404 page not found", {"message": "no Route matched with those values"}],
        ),
        ("/executions/", "404 page not found"),
    ],
)
def test_a_gateway_that_finds_nothing_for_a_while_ends_no_wait(systems, mocker, path, body):
    mocker.patch.object(DURATIONS, "gone_after", 0.0)
    (ref,) = start_pipelines(1)
    forget_shared_logins()
    systems.fault("code_stream", "status", path=path, status=404, body=body, times=3)
    (outcome,) = outcomes(trigger(ref))
    assert outcome.is_success, outcome
    assert len([each for each in systems.requests("code_stream", path=path) if each["status"] == 404]) == 3


@pytest.mark.parametrize("named", ["1", "date"])
def test_a_moment_that_the_vendor_names_is_kept_by_the_whole_connection(systems, named):
    from email.utils import formatdate

    ref = start_build()
    retry_after = "2" if named == "1" else formatdate(time.time() + 2.9, usegmt=True)
    systems.fault(
        "cocktail", "status", method="GET", path="/build/run/", status=429, headers={"Retry-After": retry_after}
    )
    (outcome,) = outcomes(trigger(ref))
    assert outcome.is_success
    polls = systems.requests("cocktail", method="GET", path="/build/run/")
    throttled = next(index for index, each in enumerate(polls) if each["status"] == 429)
    assert polls[throttled + 1]["time"] - polls[throttled]["time"] >= 1.8


@pytest.mark.parametrize("broken_first", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "status", "status": 503},
        {"fault": "status", "status": 429},
        {"fault": "html"},
        {"fault": "reset_after"},
    ],
    ids=["5xx", "429", "html", "reset"],
)
def test_a_poll_that_fails_by_itself_holds_up_no_other_wait(systems, fault, broken_first):
    broken, healthy = start_build(12), start_build(14)
    path = f"/build/run/{broken['id']}"
    systems.fault("cocktail", method="GET", path=path, times=1000, **fault)

    async def scenario() -> tuple[Outcome, bool]:
        order = ["broken", "healthy"] if broken_first else ["healthy", "broken"]
        refs = {"broken": broken, "healthy": healthy}
        waits = {name: asyncio.create_task(outcome_of(trigger(refs[name]))) for name in order}
        ended = await asyncio.wait_for(waits["healthy"], 60)
        still_waits = not waits["broken"].done()
        waits["broken"].cancel()
        return ended, still_waits

    ended, still_waits = asyncio.run(scenario())
    assert ended.execution["id"] == healthy["id"]
    assert still_waits


def test_failing_polls_end_the_wait_when_the_error_budget_is_spent_and_cancel_nothing(systems, mocker):
    mocker.patch.object(DURATIONS, "error_budget", 0.5)
    ref = start_build()
    systems.fault("cocktail", "status", method="GET", status=503, probability=1.0)
    (outcome,) = outcomes(trigger(ref))
    assert outcome.ending is Ending.LOST
    assert outcome.cause == "ServerUnavailableError"
    assert systems.executions("cocktail")[-1]["cancels"] == []


def test_the_deadline_is_kept_by_the_wall_clock(systems):
    systems.reset(speed=0.1)
    ref = start_build()
    started = time.time()
    (outcome,) = outcomes(trigger(ref, deadline=started + 0.8, poll_interval=60.0))
    assert outcome.ending is Ending.DEADLINE
    # Long before the next poll.
    assert 0.7 <= time.time() - started < 50
    assert systems.executions("cocktail")[-1]["cancels"] == []


def test_client_threads_and_poll_are_gone_when_the_last_wait_has_left(systems):
    async def wait_and_leave() -> None:
        assert (await outcome_of(trigger(start_build()))).is_success
        assert threads()
        await has_ended("cocktail")

    asyncio.run(wait_and_leave())
    until(lambda: not threads())


def test_a_login_outlives_the_waits_that_needed_it(systems):
    async def one_after_the_other() -> None:
        for _ in range(3):
            (ref,) = await asyncio.to_thread(start_pipelines, 1)
            assert (await outcome_of(trigger(ref))).is_success
            await has_ended("code_stream")

    forget_shared_logins()
    before = len(systems.requests("code_stream", path="/login"))
    asyncio.run(one_after_the_other())
    # The two steps of one login, for the clients that start and for those that wait.
    assert len(systems.requests("code_stream", path="/login")) - before == 2


def test_a_connection_that_changes_between_two_waits_is_used_as_it_is_then(systems):
    async def one_after_the_other() -> None:
        assert (await outcome_of(trigger(start_build(12)))).is_success
        define_connection("cocktail_default", conn_type="cocktail", host=f"{systems.url}/cocktail", password="wrong")
        await has_ended("cocktail")
        shared_client.shared_client("cocktail", "cocktail_default").lifetime = 0.0
        ref = {"system": "cocktail", "kind": "build_run", "id": "1", "build_seq": "12", "tag": ""}
        wrong = asyncio.create_task(outcome_of(trigger(ref, deadline=time.time() + 1.0)))
        assert (await wrong).cause == "AuthenticationError"

    asyncio.run(one_after_the_other())


def test_a_connection_whose_field_is_of_the_wrong_type_ends_the_wait_with_the_name_of_the_field(systems):
    ref = start_build()
    extra = {"paths": {"run": ["a", "list"]}}
    define_connection("cocktail_wrong", conn_type="cocktail", host=f"{systems.url}/cocktail", password="t", extra=extra)
    (outcome,) = outcomes(trigger(ref, conn_id="cocktail_wrong"))
    assert (outcome.ending, outcome.cause) == (Ending.LOST, "ConnectionConfigError")
    assert "'cocktail_wrong': extra `paths`" in outcome.error


BROKEN: dict[str, dict[str, Any] | None] = {
    "gone": None,
    "of a wrong type": {"conn_type": "cocktail", "extra": {"paths": {"run": ["a", "list"]}}},
    "of another system": {"conn_type": "quay"},
    "without a host": {"conn_type": "cocktail", "host": ""},
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_connection_that_breaks_while_credentials_are_refused_ends_no_wait(systems, broken):
    systems.reset(speed=0.001)
    ref = start_build()

    def polls(status: int) -> int:
        # Reading the log may meet the fault, too.
        return sum(each["status"] == status for each in systems.requests("cocktail", "GET", "/build/run/"))

    async def scenario() -> Outcome:
        waiting = asyncio.create_task(outcome_of(trigger(ref)))
        await until_in_loop(lambda: polls(200) >= 1)
        if fields := BROKEN[broken]:
            define_connection("cocktail_default", **{"host": f"{systems.url}/cocktail", "password": "t", **fields})
        else:
            del os.environ["AIRFLOW_CONN_COCKTAIL_DEFAULT"]
        systems.fault("cocktail", "status", method="GET", path="/build/run/", status=401, times=3)
        await until_in_loop(lambda: polls(401) >= 3)
        systems.connect()
        systems.force("cocktail", ref["id"], "DONE")
        return await waiting

    assert asyncio.run(scenario()).is_success


def test_an_xcom_backend_that_uploads_does_not_hold_up_the_loop(systems, mocker):
    pushed: dict[str, tuple[Any, bool]] = {}

    class Uploading(BaseXCom):
        @classmethod
        def set(cls, key: str, value: Any, **_: Any) -> None:
            pushed[key] = (value, threading.current_thread() is threading.main_thread())

    mocker.patch.object(xcoms, "XCom", Uploading)
    waiting = trigger(start_build(), finish="task")
    waiting.task_instance = SimpleNamespace(dag_id="dag", task_id="task", run_id="run", map_index=-1)

    async def first() -> Any:
        return await anext(waiting.run())

    assert isinstance(asyncio.run(first()), TaskSuccessEvent)
    assert {"return_value", "id"} <= set(pushed)
    assert not any(in_loop for _, in_loop in pushed.values())


def test_a_new_wait_is_polled_soon_although_the_others_are_polled_rarely(systems):
    systems.reset(speed=0.1)
    slow_ref = start_build()

    async def join_late() -> float:
        slow = asyncio.create_task(outcome_of(trigger(slow_ref, poll_interval=60.0)))
        await asyncio.sleep(0.5)
        systems.force("cocktail", slow_ref["id"], "DONE")
        joined = time.monotonic()
        assert (await outcome_of(trigger(slow_ref, poll_interval=60.0))).is_success
        slow.cancel()
        return time.monotonic() - joined

    # Long before the next poll of the other one.
    assert asyncio.run(join_late()) < 50


def test_a_connection_that_is_missing_ends_the_wait_with_its_name(systems):
    (outcome,) = outcomes(trigger(start_build(), conn_id="nowhere"))
    assert outcome.ending is Ending.LOST
    assert "nowhere" in outcome.error


def test_one_connection_in_trouble_does_not_hold_up_another(systems):
    ref = start_build()
    define_connection("cocktail_down", conn_type="cocktail", host="http://127.0.0.1:9", password="none")

    async def both() -> None:
        anywhere = {name: text for name, text in ref.items() if name != "place"}
        down = asyncio.create_task(outcome_of(trigger(anywhere, conn_id="cocktail_down")))
        assert (await outcome_of(trigger(ref))).is_success
        assert not down.done()
        down.cancel()

    asyncio.run(both())


def test_credentials_never_enter_the_arguments_of_a_trigger(systems):
    _, kwargs = trigger(start_build()).serialize()
    assert "sandbox-cocktail-token" not in repr(kwargs)


def test_one_answer_that_trips_the_client_ends_no_other_wait(systems, mocker):
    ref = start_build()
    real, calls = Waits.fetch, []

    def trip_once(self, refs):
        calls.append(refs)
        if len(calls) == 1:
            raise KeyError("unforeseen")
        return real(self, refs)

    mocker.patch.object(Waits, "fetch", trip_once)
    (outcome,) = outcomes(trigger(ref))
    assert outcome.is_success


@pytest.mark.parametrize("name", ["shared_request", "has_log"])
def test_one_wait_that_trips_the_poll_ends_no_other_one(systems, name, mocker):
    broken, healthy = start_build(12), start_build(14)
    whole = getattr(Waits, name)

    def trip_for_one(self: Any, ref: dict[str, str]) -> Any:
        if ref["id"] == broken["id"]:
            raise KeyError("build_seq")
        return whole(self, ref)

    mocker.patch.object(Waits, name, trip_for_one)
    ended = outcomes(trigger(broken, deadline=time.time() + 30), trigger(healthy))
    assert [outcome.ending for outcome in ended] == [Ending.FINISHED] * 2


def test_an_outcome_that_cannot_be_delivered_ends_that_wait_only(systems, mocker):
    broken, healthy = start_build(12), start_build(14)
    whole = Execution.to_result

    def trip_for_one(self: Execution) -> dict[str, Any]:
        if self.id == broken["id"]:
            raise OverflowError("a duration that no number holds")
        return whole(self)

    mocker.patch.object(Execution, "to_result", trip_for_one)

    async def both() -> list[Any]:
        waits = (outcome_of(trigger(ref)) for ref in (broken, healthy))
        return await asyncio.gather(*waits, return_exceptions=True)

    ended = asyncio.run(both())
    assert isinstance(ended[0], UnexpectedResponseError)
    assert "a duration" not in str(ended[0])
    assert ended[1].execution["id"] == healthy["id"]


def test_a_task_goes_back_to_a_worker_only_after_airflow_has_noticed_that_it_left_one(systems):
    ref = start_build()
    waiting, begun = trigger(ref, hold_back=2.0), time.monotonic()

    async def first_event() -> Any:
        return await anext(waiting.run())

    asyncio.run(first_event())
    assert time.monotonic() >= begun + 2.0


def test_a_wait_that_comes_in_the_moment_in_which_the_poll_would_end_is_polled(systems, mocker):
    late: list[asyncio.Task[Any]] = []
    timeout = asyncio.timeout

    @asynccontextmanager
    async def over_too_early(seconds: float | None) -> AsyncIterator[None]:
        try:
            async with timeout(seconds):
                yield
        except TimeoutError:
            if seconds == poller.LINGER and not late:
                late.append(asyncio.create_task(anext(trigger(ref).run())))
                await asyncio.sleep(0.1)
            raise

    mocker.patch.object(asyncio, "timeout", over_too_early)
    ref = start_build()

    async def both() -> Any:
        await anext(trigger(ref).run())
        await until_in_loop(lambda: late)
        return await late[0]

    assert Outcome.from_event(asyncio.run(both()).payload).is_success


def test_a_log_that_trips_the_client_ends_no_wait(systems, mocker):
    def trip(*_: Any) -> Any:
        raise ValueError("unforeseen")

    mocker.patch.object(Waits, "read_log", trip)
    (outcome,) = outcomes(trigger(start_build()))
    assert outcome.is_success
