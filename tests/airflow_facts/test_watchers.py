"""What Airflow 3.3.2 does with the triggers of watched assets: who shares one, what they learn, when they end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.jobs import triggerer_job_runner as airflow_triggerer
from airflow.models.trigger import Trigger
from airflow.sdk.definitions.asset import Asset
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.context import AssetStateStoreAccessors
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.utils.session import create_session
from pytest_mock import MockerFixture

from tests.support.until import until
from tests.triggers.watching import Triggerer, Watched, forget_watchers, parse

KEY = "cursor"
reported: list[str] = []
"""What happens in triggers here."""


@pytest.fixture(autouse=True)
def _no_watchers_stay() -> Iterator[None]:
    reported.clear()
    yield
    forget_watchers()


class Scripted(BaseEventTrigger):
    """Does what its ``script`` names."""

    def __init__(self, script: str = "wait", number: int = 0) -> None:
        super().__init__()
        if script == "refuses by a TypeError":
            raise TypeError("an argument is wrong")
        if script == "refuses by a ValueError":
            raise ValueError("an argument is wrong")
        self.script, self.number = script, number

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.Scripted", {"script": self.script, "number": self.number}

    async def run(self) -> Any:
        reported.append(self.script)
        if self.script == "report":
            yield TriggerEvent({"id": "1"})
        if self.script == "fail":
            raise RuntimeError("it failed")
        if self.script == "keep":
            assert self.asset_state_store is not None
            await self.asset_state_store.aset(KEY, {"floor": 1})
        await asyncio.Event().wait()


def workloads(*watched: Watched) -> list[Any]:
    ids = {trigger_id for each in watched for trigger_id in each.trigger_ids()}
    supervisor = Triggerer().supervisor
    return supervisor.build_trigger_workloads(ids)


def submit(watched: Watched, event_id: str) -> None:
    (trigger_id,) = watched.trigger_ids()
    Trigger.submit_event(trigger_id, TriggerEvent({"id": event_id}))


# Who shares a trigger


def test_equal_watchers_in_one_file_are_one_trigger_that_knows_all_its_assets() -> None:
    one, other = Watched(Scripted), Watched(Scripted)
    parse(one, other)
    assert one.trigger_ids() == other.trigger_ids()
    (workload,) = workloads(one)
    assert set(workload.watched_assets) == {one.name, other.name}
    submit(one, "1")
    assert (one.ids(), other.ids()) == (["1"], ["1"])


def test_equal_watchers_in_two_files_are_two_triggers() -> None:
    one, other = Watched(Scripted), Watched(Scripted)
    parse(one)
    parse(other)
    assert one.trigger_ids().isdisjoint(other.trigger_ids())


def test_a_file_that_is_parsed_again_keeps_its_trigger() -> None:
    watched = Watched(Scripted)
    parse(watched)
    before = watched.trigger_ids()
    parse(watched)
    assert watched.trigger_ids() == before


def test_other_arguments_are_another_trigger_which_comes_with_the_next_parse_but_one() -> None:
    """With the next one the old trigger goes, and the new one with it."""
    watched = Watched(Scripted)
    parse(watched)
    before = watched.trigger_ids()
    watched.triggers = (lambda: Scripted(number=1),)
    parse(watched)
    assert watched.trigger_ids() == set()
    parse(watched)
    assert len(watched.trigger_ids()) == 1
    assert watched.trigger_ids().isdisjoint(before)


def test_a_trigger_gets_the_names_of_its_assets_only_inside_airflows_own_mapping() -> None:
    stores = AssetStateStoreAccessors(inlets=[Asset("one"), Asset("other")])
    assert set(stores._by_name) == {"one", "other"}
    assert stores._by_uri == {}


# A paused DAG


def test_a_paused_dag_has_no_watcher_from_the_next_parse_on_and_then_gets_a_new_one() -> None:
    watched = Watched(Scripted)
    parse(watched)
    before = watched.trigger_ids()
    watched.pause()
    assert watched.trigger_ids() == before
    parse(watched)
    assert watched.trigger_ids() == set()
    watched.pause(False)
    parse(watched)
    assert len(watched.trigger_ids()) == 1


def test_an_event_for_a_paused_dag_before_the_next_parse_is_stored_and_starts_no_run() -> None:
    watched = Watched(Scripted)
    parse(watched)
    watched.pause()
    submit(watched, "1")
    assert (watched.ids(), watched.is_queued()) == (["1"], False)
    watched.pause(False)
    parse(watched)
    assert not watched.is_queued()


def test_a_trigger_that_continues_does_not_learn_that_one_of_its_assets_has_left() -> None:
    """So it keeps the cursor of that one too, and what comes until it is back is lost to it."""
    one, other = Watched(Scripted), Watched(Scripted)
    parse(one, other)
    with Triggerer() as triggerer:
        (trigger_id,) = one.trigger_ids()
        until(lambda: trigger_id in triggerer.runner.triggers if triggerer.runner else False)
        task = triggerer.runner.triggers[trigger_id]["task"]
        other.pause()
        parse(one, other)
        until(lambda: not other.trigger_ids())
        submit(one, "1")
        assert (one.ids(), other.ids()) == (["1"], [])
        assert triggerer.runner.triggers[trigger_id]["task"] is task
        assert not task.done()


# The state store of an asset


def test_what_a_trigger_keeps_with_an_asset_outlives_the_trigger_and_does_not_expire() -> None:
    watched = Watched(lambda: Scripted("keep"))
    parse(watched)
    with Triggerer():
        until(watched.cursors)
    watched.pause()
    parse(watched)
    Trigger.clean_unused()
    assert watched.cursors() == {KEY: '{"floor": 1}'}


def test_of_an_asset_that_is_not_active_nothing_is_found_and_nothing_is_kept() -> None:
    """So that nothing was found does not mean that nothing was kept."""
    stores = AssetStateStoreAccessors(inlets=[Asset("an asset that nobody knows")])
    found: list[Any] = []

    class Asking(Triggerer):
        async def _main(self) -> None:
            async def ask() -> None:
                found.append(await stores.aget(KEY))
                try:
                    await stores.aset(KEY, 1)
                except AirflowRuntimeError as error:
                    found.append((error.error.detail or {}).get("status_code"))
                self._ended = True

            asking = asyncio.create_task(ask())
            await super()._main()
            await asking

    with Asking():
        until(lambda: len(found) == 2)
    assert found == [None, 404]


# When a trigger ends


def test_a_watcher_that_fails_is_started_again_and_again() -> None:
    watched = Watched(lambda: Scripted("fail"))
    parse(watched)
    with Triggerer():
        until(lambda: reported.count("fail") >= 3)


def broken(script: str) -> Watched:
    """A watcher whose stored arguments its class does not take, as after an upgrade."""
    watched = Watched(Scripted)
    parse(watched)
    (trigger_id,) = watched.trigger_ids()
    with create_session() as session:
        session.get(Trigger, trigger_id).kwargs = {"script": script, "number": 0}
    return watched


def test_a_constructor_that_raises_a_type_error_fails_its_watcher_alone(mocker: MockerFixture) -> None:
    broken("refuses by a TypeError")
    failures: list[int] = []
    mocker.patch.object(Trigger, "submit_failure", lambda trigger_id, exc=None: failures.append(trigger_id))
    with Triggerer() as triggerer:
        until(lambda: failures)
        assert triggerer.error is None


def test_a_constructor_that_raises_anything_else_ends_the_whole_triggerer() -> None:
    broken("refuses by a ValueError")
    triggerer = Triggerer()
    with pytest.raises(ValueError, match="an argument is wrong"), triggerer:
        until(lambda: triggerer.error)


# When what was reported is stored


def test_a_trigger_learns_that_its_event_is_stored_only_when_its_runner_asks_again() -> None:
    """So a triggerer that stops in between, however orderly, leaves a cursor behind that does not cover the event."""
    watched = Watched(lambda: Scripted("report"))
    parse(watched)
    supervisor = Triggerer().supervisor
    (trigger_id,) = watched.trigger_ids()
    entry = airflow_triggerer.TriggerEventEntry(trigger_id, TriggerEvent({"id": "1"}), persist_seq=7)
    changes = airflow_triggerer.messages.TriggerStateChanges
    assert supervisor.is_asked(changes(events=[entry])).body["events_persisted"] is None
    assert watched.ids() == []
    supervisor.handle_events()
    assert watched.ids() == ["1"]
    assert supervisor.is_asked(changes(events=None)).body["events_persisted"] == [7]


def test_an_event_that_is_sent_twice_is_stored_twice() -> None:
    """Only who reports it can ensure that it is reported once."""
    watched = Watched(Scripted)
    parse(watched)
    submit(watched, "1")
    submit(watched, "1")
    assert watched.ids() == ["1", "1"]


# What starts a run


def begun(*ids: str) -> Watched:
    """An asset on which a DAG is scheduled, and which gets these events before the scheduler checks."""
    watched = Watched(Scripted)
    parse(watched)
    for each in ids:
        submit(watched, each)
    return watched


def runs(watched: Watched) -> list[list[str]]:
    """The scheduler checks; returns the ids of the events that each run so far was made for."""
    return [sorted(each["id"] for each in reported) for reported in watched.runs()]


def test_an_event_that_comes_before_the_run_of_the_one_before_it_is_made_starts_none_but_goes_with_the_next() -> None:
    """The entry in the scheduler's queue keeps the time of the first event, up to which the run gets events."""
    watched = begun("1", "2")
    assert runs(watched) == [["1"]]
    assert watched.ids() == ["1", "2"]
    assert not watched.is_queued()
    assert runs(watched) == [["1"]]
    submit(watched, "3")
    assert runs(watched) == [["1"], ["2", "3"]]


def test_an_event_that_comes_after_the_run_of_the_one_before_it_is_made_starts_one() -> None:
    watched = begun("1")
    assert runs(watched) == [["1"]]
    submit(watched, "2")
    assert runs(watched) == [["1"], ["2"]]
