"""Reruns and resumes of trigger events over HTTP: what each of them leads to, and what it is never taken to lead to."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.code_stream.fields import id_from_link
from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ServerUnavailableError,
)
from airflow_provider.execution import Execution, ExecutionRef
from tests.support.canceling import cancel_surely
from tests.support.code_stream_api import Api, listing, of, run, until_it_is
from tests.support.code_stream_client import S
from tests.support.control import Control
from tests.support.scripted import Received, Reply

EVENT_TYPES = pytest.mark.parametrize("event_type", ["docker", "git", "gerrit"])
MODES = ("link_in_reply", "link_later", "new_event", "new_event_in_reply")
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
BY_BOTH_CLOCKS = pytest.mark.parametrize("clock", ["vendor", "worker"])
AHEAD = pytest.mark.parametrize("ahead", [-200, -3, 0, 3, 200])
"""Seconds by which the clock of the vendor is ahead of that of the worker."""


def intent_of(
    client: CodeStreamClient, event: dict[str, Any], event_type: str = "docker", action: str = "rerun", **more: Any
) -> dict[str, Any]:
    """What is written down before a rerun, as the core does it."""
    before = client.reruns.intent(event_type, event["id"], action, force=more.pop("force", False))
    clock = more.get("clock", "vendor")
    since = client.transport.server_time() if clock == "vendor" else time.time()
    return {**before, "marker": "airflow-1", "since": since, "clock": clock, "place": client.place, **more}


def send(client: CodeStreamClient, intent: dict[str, Any]) -> Execution:
    """The rerun of an intent, whatever others did meanwhile."""
    return client.reruns.follow(intent, client.events.rerun(intent["event_type"], intent["event_id"], intent["action"]))


def rerun_ref(event: dict[str, Any], action: str = "rerun", **more: str) -> ExecutionRef:
    """A reference to a rerun of a Git event that was sent long ago."""
    index = event["executionIndex"]
    return {
        "system": "code_stream",
        "kind": "rerun",
        "id": event["id"],
        "event_type": "git",
        "action": action,
        "link_before": event["executionLink"] or "",
        "index_before": "" if index is None else str(index),
        **more,
    }


def broken_event(client: CodeStreamClient, event_type: str = "docker") -> dict[str, Any]:
    """The newest event that led to nothing."""
    return next(each for each in client.events.list(event_type) if not each["executionLink"])


def switch(control: Control, **switches: Any) -> None:
    control.post("switches", system="code_stream", **switches)


def started(control: Control) -> list[str]:
    """The ids of what reruns have started, the oldest first."""
    found = control.get("executions", system="code_stream")
    return [each["id"] for each in found if "Triggered by" in each["started_by"]]


def reruns_received(control: Control) -> int:
    found = control.get("requests", system="code_stream")
    return len([each for each in found if each["method"] == "POST" and "-events/" in each["path"]])


# --- one rerun ---


@EVENT_TYPES
@EVERY_MODE
def test_a_rerun_leads_to_its_execution_however_the_server_links_it(
    client: CodeStreamClient, control: Control, event_type: str, mode: str
) -> None:
    switch(control, rerun=mode, rerun_delay=0.2)
    event = broken_event(client, event_type)
    intent = intent_of(client, event, event_type)
    ref = client.reruns.reference(intent)
    assert client.waits.find_started(intent) == []
    before = client.observe(ref)
    assert (before.state, before.ref) == (S.QUEUED, ref | {"place": client.place})
    assert before.message == (None if event_type == "gerrit" else event["message"])
    answered = client.reruns.start(intent)
    assert answered.ref["kind"] == ("execution" if mode.endswith("in_reply") else "rerun")
    found = until_it_is(lambda: client.observe(answered.ref), S.RUNNING, S.SUCCEEDED)
    (execution_id,) = started(control)
    assert found.ref == of(execution_id) | {"place": client.place}
    assert client.observe(ref).ref == found.ref, "also for who has not seen the answer"
    assert [each.ref for each in client.waits.find_started(intent)] == [found.ref]
    assert (
        until_it_is(lambda: client.observe(found.ref), S.SUCCEEDED).outputs == {"deployed": "1.4.3"}
        or event_type != "docker"
    )


@EVERY_MODE
@BY_BOTH_CLOCKS
@AHEAD
def test_a_rerun_is_followed_although_two_clocks_are_apart(
    client: CodeStreamClient, control: Control, mode: str, clock: str, ahead: float
) -> None:
    control.post("clock", advance=ahead)
    switch(control, rerun=mode, rerun_delay=0.1)
    intent = intent_of(client, broken_event(client), clock=clock, start_timeout=60.0)
    assert client.waits.find_started(intent) == []
    answered = client.reruns.start(intent)
    found = until_it_is(lambda: client.observe(answered.ref), S.RUNNING, S.SUCCEEDED)
    assert started(control) == [found.id]
    assert [each.id for each in client.waits.find_started(intent)] == [found.id]
    unseen = client.reruns.reference(intent)
    (seen,) = client.waits.fetch([unseen])
    assert isinstance(seen, Execution)
    assert seen.id == found.id


@AHEAD
@BY_BOTH_CLOCKS
def test_what_was_there_before_a_rerun_is_never_taken_for_what_it_led_to(
    client: CodeStreamClient, control: Control, clock: str, ahead: float
) -> None:
    """An event of the same push that came a moment ago, with an execution or without."""
    control.post("clock", advance=ahead)
    event = broken_event(client)
    same = {"fields": {"tag": event["tag"]}, "inputs": {"tag": event["tag"]}}
    for refused in (None, "refused"):
        control.post("actions", system="code_stream", action="deliver", kind="docker", **same, refused=refused)
    switch(control, rerun="message_only")
    intent = intent_of(client, event, clock=clock)
    assert len(intent["known_events"]) == 2
    answered = client.reruns.start(intent)
    assert client.observe(answered.ref).state is S.QUEUED
    assert client.waits.find_started(intent) == []


@EVERY_MODE
@BY_BOTH_CLOCKS
def test_reruns_of_one_event_after_each_other_lead_to_an_execution_each(
    client: CodeStreamClient, control: Control, mode: str, clock: str
) -> None:
    """As quick retries do it: what an earlier attempt has led to is never taken for that of the next one."""
    switch(control, rerun=mode, rerun_delay=0.1)
    event, found = broken_event(client), []
    for _ in range(3):
        intent = intent_of(client, event, clock=clock)
        answered = client.reruns.start(intent)
        execution = until_it_is(lambda ref=answered.ref: client.observe(ref), S.RUNNING, S.SUCCEEDED)  # type: ignore[misc]
        assert [each.id for each in client.waits.find_started(intent)] == [execution.id]
        until_it_is(lambda ref=execution.ref: client.observe(ref), S.SUCCEEDED)  # type: ignore[misc]
        found.append(execution.id)
    assert started(control) == found


def test_only_so_many_events_and_executions_are_noted_before_a_rerun(api: Api) -> None:
    now = int(time.time() * 1e6)
    same = {"pipeline": "Deploy", "project": "retail", "repo": "shop", "commitId": "c1"}
    event = {"id": "ev", **same, "executionLink": None, "executionIndex": None}

    def page(request: Received, **fields: str) -> Any:
        skip = int(request.query["$skip"])
        rows = [
            {"id": f"x{n}", **fields, "_createTimeInMicros": now - n, "_requestTimeInMicros": now - n}
            for n in range(skip, skip + 100)
        ]
        return listing(rows, total=100_000)

    api.routes["GET", "/git-events/ev"] = event
    api.routes["GET", "/git-events"] = lambda request: page(request, **same)
    api.routes["GET", "/executions"] = lambda request: page(request, name="Deploy", project="retail")
    intent = api.client.reruns.intent("git", "ev")
    assert intent["known_events"] == intent["known_executions"] == [f"x{n}" for n in range(100)]
    assert len(api.called("GET")) == 3


@pytest.mark.parametrize("refusal", [(400, {}, None), (403, {}, None), (404, {}, None)], ids=["400", "403", "404"])
def test_a_list_of_executions_that_is_refused_does_not_keep_a_rerun_from_being_followed(
    api: Api, refusal: Reply
) -> None:
    event = {"id": "ev", "pipeline": "Deploy", "project": "retail", "executionLink": None, "executionIndex": None}
    api.routes["GET", "/git-events"] = listing([event])
    api.routes["GET", "/git-events/ev"] = event
    api.routes["GET", "/executions"] = refusal
    intent = intent_of(api.client, event, "git")
    assert intent["known_executions"] == []
    api.routes["POST", "/git-events/ev"] = event
    answered = api.client.reruns.start(intent)
    api.routes["GET", "/git-events/ev"] = event | {"executionLink": "/codestream/api/executions/new"}
    api.routes["GET", "/executions/new"] = {"id": "new", "status": "RUNNING"}
    assert api.client.observe(answered.ref).id == "new"


def test_a_new_event_that_has_no_execution_yet_shows_that_the_rerun_was_taken(api: Api) -> None:
    now = int(time.time() * 1e6)
    old = {"id": "ev", "pipeline": "Deploy", "project": "retail", "executionLink": None, "message": "old trouble"}
    again = old | {"id": "ev2", "_createTimeInMicros": now, "message": "new trouble"}
    api.routes["GET", "/git-events/ev"] = api.routes["POST", "/git-events/ev"] = old
    api.routes["GET", "/git-events"] = listing([old])
    intent = intent_of(api.client, old, "git", start_timeout=600.0)
    ref = api.client.reruns.start(intent).ref
    api.routes["GET", "/git-events"] = listing([again, old])
    queued = api.client.observe(ref)
    assert (queued.state, queued.message, queued.ref["kind"]) == (S.QUEUED, "new trouble", "rerun")
    assert [(each.state, each.ref["kind"], each.id) for each in api.client.waits.find_started(intent)] == [
        (S.QUEUED, "rerun", "ev")
    ]
    api.routes["GET", "/git-events"] = listing([again | {"executionLink": "/codestream/api/executions/new"}, old])
    api.routes["GET", "/executions/new"] = {"id": "new", "status": "RUNNING"}
    assert api.client.observe(ref).id == "new"


def test_an_answer_that_is_a_new_event_without_its_execution_is_followed_by_that_event(api: Api) -> None:
    now = int(time.time() * 1e6)
    old = {"id": "ev", "pipeline": "Deploy", "project": "retail", "executionLink": None}
    others = [old | {"id": f"ev{n}", "_createTimeInMicros": now + n} for n in (2, 3)]
    api.routes["GET", "/git-events/ev"] = old
    api.routes["GET", "/git-events"] = listing([old])
    api.routes["POST", "/git-events/ev"] = others[0]
    ref = api.client.reruns.start(intent_of(api.client, old, "git")).ref
    api.routes["GET", "/git-events"] = listing([*others, old])
    api.routes["GET", "/git-events/ev2"] = others[0]
    assert api.client.observe(ref).state is S.QUEUED
    api.routes["GET", "/git-events/ev2"] = others[0] | {"executionLink": "/codestream/api/executions/new"}
    api.routes["GET", "/executions/new"] = {"id": "new", "status": "RUNNING"}
    assert api.client.observe(ref).id == "new"


LED_TO_NEW = {"executionLink": "/codestream/api/executions/new"}


def rerun_without_execution(api: Api) -> ExecutionRef:
    """Rerun an event that has led to no execution yet."""
    event = {"id": "ev", "pipeline": "Deploy", "project": "retail", "executionLink": None}
    api.routes["GET", "/git-events/ev"] = api.routes["POST", "/git-events/ev"] = event
    api.routes["GET", "/git-events"] = api.routes["GET", "/executions"] = listing([])
    return api.client.reruns.start(intent_of(api.client, event, "git")).ref


def test_a_rerun_whose_execution_was_seen_running_has_not_failed_for_good_at_once(
    api: Api, mocker: MockerFixture
) -> None:
    """It may be rolled back."""
    mocker.patch.object(DURATIONS, "failed_settling", 60.0)
    ref = rerun_without_execution(api)
    api.routes["GET", "/git-events/ev"] |= LED_TO_NEW
    api.routes["GET", "/executions/new"] = {"id": "new", "status": "RUNNING"}
    running = api.client.observe(ref)
    api.routes["GET", "/executions/new"] = {"id": "new", "status": "FAILED"}
    failed = api.client.observe(running.ref)
    assert (running.state, failed.state, failed.status) == (S.RUNNING, S.RUNNING, "FAILED")


@pytest.mark.parametrize("is_this_process", [True, False])
def test_a_rerun_whose_execution_failed_between_two_polls_has_not_failed_for_good_at_once(
    api: Api, mocker: MockerFixture, *, is_this_process: bool
) -> None:
    """It may be rolled back; a process that has not seen the rerun before cannot know that it failed just now."""
    mocker.patch.object(DURATIONS, "failed_settling", 60.0)
    ref = rerun_without_execution(api)
    if is_this_process:
        api.client.waits.note_unfinished(ref)
    api.routes["GET", "/git-events/ev"] |= LED_TO_NEW
    api.routes["GET", "/executions/new"] = {"id": "new", "status": "FAILED"}
    for observed in (ref, api.client.observe(ref).ref):
        assert api.client.observe(observed).state is (S.RUNNING if is_this_process else S.FAILED)
    mocker.patch.object(DURATIONS, "failed_settling", 0.0)
    assert api.client.observe(ref).state is S.FAILED


@pytest.mark.parametrize("links", ["normal", "singular", "pipeline", "host"])
def test_an_old_link_in_another_form_is_still_the_old_link(
    client: CodeStreamClient, control: Control, links: str
) -> None:
    control.post("reset", speed=1)
    event = next(each for each in client.events.list("git") if each["executionLink"])
    ref = rerun_ref(event)
    switch(control, execution_links=links)
    assert client.observe(ref).state is S.QUEUED
    client.events.rerun("git", event["id"])
    found = client.observe(ref)
    assert found.ref["kind"] == "execution"
    assert found.id not in event["executionLink"]
    client.cancel(ref, "cleared")
    canceled = client.observe(ref)
    assert (canceled.id, canceled.status in ("CANCELING", "CANCELED")) == (found.id, True)


OLD_LINK = "/codestream/api/executions/old"


@pytest.mark.parametrize(
    ("action", "index_before", "event", "old", "found"),
    [
        ("rerun", "3", {"executionLink": OLD_LINK, "executionIndex": 4}, {"status": "RUNNING"}, "old"),
        ("rerun", "", {"executionLink": OLD_LINK, "executionIndex": 4}, {"status": "RUNNING"}, None),
        ("rerun", "3", {"executionLink": OLD_LINK, "executionIndex": None}, {"status": "RUNNING"}, None),
        ("rerun", "0", {"executionLink": "codestream/api/execution/new", "executionIndex": 0}, {}, "new"),
        ("rerun", "3", {"executionLink": "", "executionIndex": None}, {}, None),
        ("resume", "3", {"executionLink": OLD_LINK, "executionIndex": 3}, {"status": "COMPLETED"}, "old"),
        ("resume", "3", {"executionLink": OLD_LINK, "executionIndex": 3}, {"status": "RESUMING"}, "old"),
        ("resume", "3", {"executionLink": OLD_LINK, "executionIndex": 3}, {"status": "FAILED"}, None),
    ],
)
def test_what_counts_as_the_execution_of_a_rerun(
    api: Api, action: str, index_before: str, event: dict[str, Any], old: dict[str, Any], found: str | None
) -> None:
    api.routes["GET", "/git-events/ev"] = {"id": "ev", "message": "m"} | event
    api.routes["GET", "/executions/old"] = {"id": "old"} | old
    api.routes["GET", "/executions/new"] = {"id": "new", "status": "RUNNING"}
    ref = rerun_ref({"id": "ev", "executionLink": OLD_LINK, "executionIndex": index_before}, action)
    assert api.client.observe(ref).ref == (of(found) if found else ref) | {"place": api.client.place}


def test_a_rerun_is_sent_as_the_vendor_declares_it(api: Api) -> None:
    api.routes["POST", "/registry-events/ev"] = {"id": "ev"}
    assert api.client.events.rerun("docker", "ev") == {"id": "ev"}
    sent = api.called("POST", "/ev")[0]
    assert (sent.query["action"], sent.headers["Content-Type"], sent.body) == ("Rerun", "application/json", b"")


def test_a_rerun_that_is_refused_says_why(client: CodeStreamClient, viewer: CodeStreamClient, control: Control) -> None:
    event = broken_event(client)
    with pytest.raises(PermissionDeniedError):
        viewer.events.rerun("docker", event["id"])
    with pytest.raises(BadRequestError, match="no execution to resume"):
        client.events.rerun("docker", event["id"], "resume")
    with pytest.raises(NotFoundError):
        client.events.rerun("git", event["id"])
    assert started(control) == []


def test_a_rerun_is_canceled_once_its_execution_shows(client: CodeStreamClient, control: Control) -> None:
    control.post("reset", speed=1)
    switch(control, rerun="link_later", rerun_delay=0.6)
    ref = client.reruns.start(intent_of(client, broken_event(client))).ref
    with pytest.raises(ConflictError, match="has not led to an execution yet") as caught:
        client.cancel(ref, "too early")
    assert caught.value.effect is Effect.NONE
    cancel_surely(client, ref, "task was cleared", 10)
    assert client.observe(ref).status in ("CANCELING", "CANCELED")


# --- its execution of before ---


@pytest.mark.parametrize(
    ("state", "action", "allowed"),
    [
        ("RUNNING", "rerun", False),
        ("WAITING", "resume", False),
        ("PAUSED", "rerun", False),
        ("PAUSED", "resume", True),
        ("FAILED", "rerun", True),
        ("COMPLETED", "resume", True),
    ],
)
def test_an_event_whose_execution_still_runs_is_not_rerun(
    client: CodeStreamClient, control: Control, state: str, action: str, allowed: bool
) -> None:
    event = control.post("actions", system="code_stream", action="deliver", kind="git")
    linked = id_from_link(event["executionLink"])
    control.post(f"executions/code_stream/{linked}", state=state)
    if not allowed:
        with pytest.raises(ConflictError, match=f"{linked}, which is still {state}"):
            client.reruns.intent("git", event["id"], action)
        return
    intent = client.reruns.intent("git", event["id"], action)
    assert (intent["link_before"], intent["index_before"]) == (event["executionLink"], str(event["executionIndex"]))
    client.executions.delete(linked)
    assert client.reruns.intent("git", event["id"], "rerun")["link_before"] == event["executionLink"], "it is over"


@EVERY_MODE
def test_an_event_whose_execution_still_runs_is_rerun_by_force(
    client: CodeStreamClient, control: Control, mode: str
) -> None:
    control.post("reset", speed=0.1)
    switch(control, rerun=mode, rerun_delay=0.1)
    event = control.post("actions", system="code_stream", action="deliver", kind="docker", inputs={"tag": "7"})
    first = id_from_link(event["executionLink"])
    intent = intent_of(client, event, force=True)
    ref = client.reruns.start(intent).ref
    found = until_it_is(lambda: client.observe(ref), S.RUNNING)
    assert started(control) == [first, found.id]
    assert [each.id for each in client.waits.find_started(intent)] == [found.id]
    assert not client.observe(of(first)).state.is_terminal


@BY_BOTH_CLOCKS
@AHEAD
def test_a_resume_is_followed_once_the_old_execution_continues(
    client: CodeStreamClient, control: Control, clock: str, ahead: float
) -> None:
    control.post("clock", advance=ahead)
    event = next(each for each in client.events.list("docker") if each["executionStatus"] == "FAILED")
    before = client.executions.list()
    for _ in range(2):
        intent = intent_of(client, event, "docker", "resume", clock=clock)
        assert client.waits.find_started(intent) == []
        ref = client.reruns.reference(intent)
        assert client.observe(ref).ref["kind"] == "rerun", "the old execution is still over"
        client.reruns.start(intent)
        found = client.observe(ref)
        assert found.id == id_from_link(event["executionLink"])
        until_it_is(lambda ref=found.ref: client.observe(ref), S.FAILED)  # type: ignore[misc]
        assert client.observe(ref).ref == found.ref, "also when it failed again between two polls"
        assert [each.id for each in client.waits.find_started(intent)] == [found.id]
    assert len(client.executions.list()) == len(before)


def test_a_paused_execution_is_resumed_only_once_it_continues(client: CodeStreamClient, control: Control) -> None:
    control.post("reset", speed=1)
    event = control.post("actions", system="code_stream", action="deliver", kind="docker")
    linked = id_from_link(event["executionLink"])
    until_it_is(lambda: client.observe(of(linked)), S.RUNNING)
    client.executions.act(linked, "pause")
    until_it_is(lambda: client.observe(of(linked)), S.PAUSED)
    intent = intent_of(client, event, "docker", "resume")
    assert client.waits.find_started(intent) == [], "a worker that died before it sent the resume has resumed nothing"
    client.reruns.start(intent)
    assert [each.id for each in client.waits.find_started(intent)] == [linked]


# --- several reruns ---


@EVERY_MODE
@BY_BOTH_CLOCKS
def test_of_two_reruns_at_once_each_follows_its_own_or_none(
    client: CodeStreamClient, control: Control, mode: str, clock: str
) -> None:
    switch(control, rerun=mode, rerun_delay=0.3)
    event = broken_event(client)
    intents = [intent_of(client, event, clock=clock) for _ in range(2)]
    answers = [send(client, intent) for intent in intents]
    both = started(control)
    assert len(both) == 2
    if mode == "link_later":
        control.post("clock", advance=1)
    if mode.endswith("in_reply"):
        assert [each.id for each in answers] == both
    else:
        for each in answers:
            with pytest.raises(ConflictError, match=r"ambiguous.*resolve it manually") as caught:
                client.observe(each.ref)
            assert all(execution_id in str(caught.value) for execution_id in both)
    # Who has not seen the answer cannot tell which is its own.
    for intent in intents:
        assert [each.id for each in client.waits.find_started(intent)] == both
        unseen = client.reruns.reference(intent)
        with pytest.raises(ConflictError, match="ambiguous"):
            client.cancel(unseen, "cleared")
        waiting = run(client).ref
        lost, other = client.waits.fetch([unseen, waiting])
        assert isinstance(lost, ConflictError)
        assert isinstance(other, Execution), "another wait is not held up"
    executions = control.get("executions", system="code_stream")
    assert [each["cancels"] for each in executions if each["id"] in both] == [[], []]


@EVERY_MODE
def test_a_rerun_is_not_sent_after_somebody_elses_if_they_could_not_be_distinguished(
    client: CodeStreamClient, control: Control, mode: str
) -> None:
    switch(control, rerun=mode, rerun_delay=0.1)
    event = broken_event(client)
    mine, theirs = intent_of(client, event), intent_of(client, event)
    client.reruns.start(theirs)
    if mode == "link_later":
        control.post("clock", advance=1)
    (first,) = started(control)
    with pytest.raises(ConflictError, match=f"{first}.*somebody else has rerun it") as caught:
        client.reruns.start(mine)
    assert caught.value.effect is Effect.REFUSED
    assert reruns_received(control) == 1
    ref = client.reruns.start(intent_of(client, event, force=True)).ref
    if mode == "link_later":
        control.post("clock", advance=1)
    assert [first, client.observe(ref).id] == started(control), "prepared anew, it may be sent"


def test_a_rerun_whose_checks_fail_has_done_nothing(api: Api) -> None:
    event = {"id": "ev", "pipeline": "Deploy", "project": "retail", "executionLink": None, "executionIndex": None}
    api.routes["GET", "/git-events"] = listing([event])
    api.routes["GET", "/git-events/ev"] = event
    intent = intent_of(api.client, event, "git")
    for broken in ((504, {}, None), (500, {}, None)):
        api.routes["GET", "/git-events"] = broken
        with pytest.raises(ServerUnavailableError) as caught:
            api.client.reruns.start(intent)
        assert caught.value.effect is Effect.NONE
    assert api.called("POST", "/ev") == []


@EVERY_MODE
def test_other_executions_of_the_pipeline_do_not_make_a_rerun_ambiguous(
    client: CodeStreamClient, control: Control, mode: str
) -> None:
    switch(control, rerun=mode, rerun_delay=0.3)
    event = broken_event(client)
    intent = intent_of(client, event)
    answered = client.reruns.start(intent)
    ours = started(control)
    # A push of something else, a run by hand with the same input, one by another of our tasks.
    control.post("actions", system="code_stream", action="deliver", kind="docker", inputs={"tag": "2"})
    run(client, inputs={"tag": event["tag"]})
    run(client, inputs={"tag": event["tag"]}, comments="airflow-2")
    if mode == "link_later":
        control.post("clock", advance=1)
    assert [client.observe(answered.ref).id] == ours
    assert [each.id for each in client.waits.find_started(intent)] == ours


@EVERY_MODE
@BY_BOTH_CLOCKS
def test_a_rerun_long_after_the_intent_is_somebody_elses(
    client: CodeStreamClient, control: Control, mode: str, clock: str
) -> None:
    """A worker died between its intent and its request; an hour later a colleague reruns the event."""
    switch(control, rerun=mode, rerun_delay=0.1)
    event = broken_event(client)
    intent = intent_of(client, event, clock=clock)
    control.post("clock", advance=3600)
    client.events.rerun("docker", event["id"])
    control.post("clock", advance=1)
    assert len(started(control)) == 1
    assert client.waits.find_started(intent) == []


@EVERY_MODE
@BY_BOTH_CLOCKS
def test_of_two_reruns_long_after_each_other_the_one_is_found_that_can_be_ours(
    client: CodeStreamClient, control: Control, mode: str, clock: str
) -> None:
    switch(control, rerun=mode, rerun_delay=0.1)
    event = broken_event(client)
    intent = intent_of(client, event, clock=clock)
    for _ in range(2):
        client.events.rerun("docker", event["id"])
        control.post("clock", advance=1800)
    ours, _theirs = started(control)
    assert [each.id for each in client.waits.find_started(intent)] == [ours]


# --- one that leads nowhere ---


def test_a_rerun_that_only_repeats_its_complaint_stays_queued_and_says_it(
    client: CodeStreamClient, control: Control
) -> None:
    switch(control, rerun="message_only")
    intent = intent_of(client, broken_event(client, "git"), "git", start_timeout=600.0)
    ref = client.reruns.start(intent).ref
    seen = client.observe(ref)
    assert seen.state is S.QUEUED
    assert "Invalid Oauth Refresh token" in (seen.message or "")
    with pytest.raises(ConflictError, match="not led to an execution") as caught:
        client.cancel(ref, "no")
    assert caught.value.effect is Effect.NONE
    assert client.waits.find_started(intent) == []


def let_pass_for_the_worker(seconds: float, control: Control, mocker: MockerFixture) -> None:
    """The clock of the sandbox, which runs in this process, stays where it is."""
    now = time.time
    # First, because it would carry on in between with what is due by then.
    control.post("clock", advance=-seconds)
    mocker.patch.object(time, "time", lambda: now() + seconds)


@pytest.mark.parametrize("mode", ["message_only", "link_later"])
def test_a_rerun_that_has_led_to_nothing_in_time_has_failed(
    client: CodeStreamClient, control: Control, mode: str, mocker: MockerFixture
) -> None:
    switch(control, rerun=mode, rerun_delay=60.0)
    event = broken_event(client, "git")
    intent = intent_of(client, event, "git", start_timeout=600.0)
    ref = client.reruns.start(intent).ref
    assert client.observe(ref).state is S.QUEUED
    (seen,) = client.waits.fetch([ref])
    assert isinstance(seen, Execution)
    assert client.waits.fetch([seen])[0] is seen
    let_pass_for_the_worker(601.0, control, mocker)
    failed = client.observe(ref)
    assert (failed.state, failed.ref) == (S.FAILED, ref | {"place": client.place})
    assert str(failed.message) == f"event {event['id']} did not start an execution within 600 s: {event['message']}"
    assert not client.waits.needs_cancel(failed)
    assert client.waits.fetch([seen]) == [failed]
    with pytest.raises(ConflictError, match="not led to an execution") as caught:
        client.cancel(ref, "no")
    assert caught.value.effect is Effect.NONE
    assert client.waits.find_started(intent) == []
    if mode == "link_later":
        control.post("clock", advance=61)
        assert client.observe(ref).ref["kind"] == "execution", "late is better than never"


def test_a_resume_that_has_led_to_nothing_in_time_has_failed(api: Api, mocker: MockerFixture) -> None:
    event = {"id": "ev", "executionLink": OLD_LINK, "executionIndex": 3, "message": None}
    api.routes["GET", "/git-events/ev"] = api.routes["POST", "/git-events/ev"] = event
    api.routes["GET", "/executions/old"] = {"id": "old", "status": "FAILED"}
    ref = api.client.reruns.start(intent_of(api.client, event, "git", "resume", start_timeout=600.0)).ref
    now = time.time
    mocker.patch.object(time, "time", lambda: now() + 601.0)
    failed = api.client.observe(ref)
    assert (failed.state, failed.message) == (S.FAILED, "the execution of event ev was not resumed within 600 s")


@BY_BOTH_CLOCKS
@pytest.mark.parametrize("ahead", [-3600, 0, 3600])
def test_the_limit_of_a_rerun_is_measured_by_the_clock_of_the_worker(
    client: CodeStreamClient, control: Control, clock: str, ahead: float
) -> None:
    control.post("clock", advance=ahead)
    switch(control, rerun="message_only")
    intent = intent_of(client, broken_event(client), clock=clock, start_timeout=600.0)
    # The fraction of a second is cut off from some of the times, and a request may take seconds.
    before = time.time() - 60
    unseen = client.reruns.reference(intent)
    assert before < float(unseen["start_by"]) - 600 < time.time() + 60
    # Pauses between the intent and the request do not count.
    intent["since"] -= 300
    before = time.time() - 60
    sent = send(client, intent).ref
    assert before < float(sent["start_by"]) - 600 < time.time() + 60
    assert client.observe(sent).state is S.QUEUED
    assert all(isinstance(value, str) for value in sent.values())


def test_a_rerun_without_a_limit_waits(client: CodeStreamClient, control: Control) -> None:
    switch(control, rerun="message_only")
    ref = client.reruns.start(intent_of(client, broken_event(client))).ref
    assert "start_by" not in ref
    assert client.observe(ref).state is S.QUEUED


# --- events that servers date and list in their own ways ---


def test_the_fraction_of_a_second_that_a_time_has_lost_hides_no_execution(api: Api) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 900_000, tzinfo=UTC)
    event = {"id": "ev", "pipeline": "Deploy", "project": "retail", "executionLink": "/codestream/api/executions/new"}
    micros = int(moment.timestamp()) * 1_000_000
    api.routes["GET", "/git-events/ev"] = event
    api.routes["GET", "/executions/new"] = {"id": "new", "status": "RUNNING", "_createTimeInMicros": micros}
    intent = {"kind": "rerun", "event_type": "git", "event_id": "ev", "action": "rerun", "link_before": ""}
    intent |= {"since": str(moment.timestamp() + 300), "clock": "vendor"}
    assert [each.id for each in api.client.waits.find_started(intent)] == ["new"]


def test_an_error_of_one_rerun_concerns_it_alone(client: CodeStreamClient, control: Control) -> None:
    switch(control, rerun="new_event")
    event = broken_event(client)
    intents = [intent_of(client, event) for _ in range(2)]
    for intent in intents:
        send(client, intent)
    git = intent_of(client, broken_event(client, "git"), "git")
    gone = client.reruns.reference(git) | {"id": "gone"}
    seen = client.waits.fetch([client.reruns.reference(intents[0]), client.reruns.reference(git), gone])
    assert [type(each) for each in seen] == [ConflictError, Execution, NotFoundError]
