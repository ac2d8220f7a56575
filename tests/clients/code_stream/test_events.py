"""Trigger events: matched, found late, triggered by hand."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.code_stream.event_changes import EventChanges
from airflow_provider.clients.code_stream.fields import id_from_link
from airflow_provider.core.changes import NEW
from airflow_provider.exceptions import NotFoundError
from airflow_provider.execution import ExecutionState
from tests.support.code_stream_api import Api, listing
from tests.support.code_stream_client import S
from tests.support.control import Control
from tests.support.scripted import Received


@pytest.mark.parametrize(("seconds", "state"), [(0, S.SUCCEEDED), (-0.9, S.SUCCEEDED), (-2, S.RUNNING)])
def test_an_event_counts_although_its_time_lost_the_fraction_of_the_second(
    api: Api, seconds: float, state: ExecutionState
) -> None:
    since = datetime(2026, 1, 2, 3, 4, 5, 900_000, tzinfo=UTC)
    stamp = int((since + timedelta(seconds=seconds)).timestamp() * 1e6)
    api.routes["GET", "/git-events"] = listing([{"id": "ev", "_createTimeInMicros": stamp}])
    ref = {"system": "code_stream", "kind": "event", "id": "", "event_type": "git", "since": since.isoformat()}
    assert api.client.observe(ref).state is state


def test_an_event_that_arrives_later_is_found_and_an_older_one_is_not(
    client: CodeStreamClient, control: Control
) -> None:
    since = datetime.now(UTC).isoformat()
    ref = {"system": "code_stream", "kind": "event", "id": "", "event_type": "docker", "since": since}
    ref["filters"] = json.dumps({"repo": "shop", "tag": "1.4.3"})
    assert client.observe(ref).state is S.RUNNING
    assert client.observe(ref | {"since": ""}).state is S.SUCCEEDED, "without a since the one of the seed counts"
    sent = control.post("actions", system="code_stream", action="deliver", kind="docker", fields={"tag": "1.4.3"})
    found = client.observe(ref)
    assert (found.state, found.id) == (S.SUCCEEDED, sent["id"])
    assert found.ref == ref | {"id": sent["id"], "place": client.place}
    assert found.outputs["tag"] == "1.4.3"
    assert found.url is not None
    assert found.url.endswith(id_from_link(sent["executionLink"]))


@pytest.mark.parametrize("event_time", ["text", "int"])
@pytest.mark.parametrize(
    ("event_type", "filters", "found"),
    [
        ("gerrit", {"changeNumber": "18824"}, True),
        ("gerrit", {"changeNumber": 18824}, True),
        ("gerrit", {"changeNumber": "18825"}, False),
        ("git", {"commitId": "4be2f10", "repo": "shop"}, True),
        ("git", {"commitId": "4be2f10", "repo": "SHOP"}, False),
        ("git", {"noSuchField": ""}, False),
        ("git", {"executionLink": ""}, True),
        ("docker", {}, True),
        ("git", {"_flag": "True"}, False),
    ],
)
def test_events_match_when_all_fields_are_the_same_as_text(
    client: CodeStreamClient, control: Control, event_time: str, event_type: str, filters: dict[str, Any], found: bool
) -> None:
    control.post("switches", system="code_stream", event_time=event_time, unzoned_updated_at=True, server_url="object")
    day = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    ref = {"system": "code_stream", "kind": "event", "id": "", "event_type": event_type, "since": day}
    seen = client.observe(ref | {"filters": json.dumps(filters)})
    assert seen.state is (S.SUCCEEDED if found else S.RUNNING)


@pytest.mark.parametrize("wanted", [True, "True", "true"])
def test_a_flag_of_an_event_matches_however_it_is_written(api: Api, wanted: Any) -> None:
    api.routes["GET", "/git-events"] = listing([{"id": "e1", "flag": False}, {"id": "e2", "flag": True}])
    ref = {"system": "code_stream", "kind": "event", "id": "", "event_type": "git", "since": ""}
    assert api.client.observe(ref | {"filters": json.dumps({"flag": wanted})}).id == "e2"


def test_events_older_than_wanted_are_not_all_read(api: Api) -> None:
    def page(request: Received) -> Any:
        skip = int(request.query["$skip"])
        rows = [{"id": f"e{n}", "timeStampInMicros": int((time.time() - n) * 1e6)} for n in range(skip, skip + 100)]
        return listing(rows, total=100_000)

    api.routes["GET", "/git-events"] = page
    events = api.client.events.list("git", since=datetime.now(UTC) - timedelta(seconds=150))
    assert 150 <= len(events) <= 152
    assert len(api.called("GET")) <= 3
    assert api.called("GET")[0].query["$orderby"] == "_createTimeInMicros desc"


def test_a_gerrit_change_is_triggered_by_hand(client: CodeStreamClient) -> None:
    reply = client.events.trigger_gerrit("I1234", "retail", "shop-changes")
    assert reply["pipelinesTriggered"] == ["Deploy shop"]
    event = client.events.list("gerrit", limit=1)[0]
    assert event["properties"]["GERRIT_CHANGE_ID"] == "I1234"
    assert client.events.delete("gerrit", event["id"])["id"] == event["id"]
    with pytest.raises(NotFoundError):
        client.events.get("gerrit", event["id"])


@pytest.mark.parametrize(
    ("change_id", "fields", "counts"),
    [
        ("I1234", {}, True),
        ("shop~master~I1234", {}, True),
        ("18823", {}, True),
        ("I12", {}, False),
        ("I1234", {"triggerType": "AUTOMATIC"}, False),
        ("I1234", {"trigger": "other"}, False),
        ("I1234", {"project": "wholesale"}, False),
        ("I1234", {"properties": None}, False),
    ],
)
def test_what_counts_as_an_event_of_a_manual_trigger(
    api: Api, change_id: str, fields: dict[str, Any], counts: bool
) -> None:
    event = {
        "id": "g1",
        "project": "retail",
        "trigger": "shop-changes",
        "triggerType": "MANUAL",
        "changeNumber": 18823,
        "properties": {"GERRIT_CHANGE_ID": "I1234"},
        **fields,
    }
    api.routes["GET", "/gerrit-events"] = listing([event])
    found = api.client.events.list_triggered_by_hand(change_id, "retail", "shop-changes")
    assert found == ([event] if counts else [])


def test_the_message_of_an_asset_event_is_short_and_shows_no_secret(api: Api) -> None:
    said = "Invalid Oauth Refresh token. refreshToken=known-word-of-a-token " + "x" * 100_000
    stamp = int(time.time() * 1e6)
    api.routes["GET", "/git-events"] = listing([{"id": "ev", "_createTimeInMicros": stamp, "message": said}])
    (change,) = EventChanges("git").read(api.client, None, whole=True)[NEW].changes
    assert change.payload["message"].startswith("Invalid Oauth Refresh token. refreshToken=***")
    assert len(change.payload["message"]) <= 2_000
    assert "known-word" not in str(change.payload)
    ref = {"system": "code_stream", "kind": "event", "id": "", "event_type": "git", "since": ""}
    assert "known-word" not in str(api.client.observe(ref))
    api.routes["GET", "/git-events"] = listing([{"id": "ev", "_createTimeInMicros": stamp, "message": ["no"]}])
    (change,) = EventChanges("git").read(api.client, None, whole=True)[NEW].changes
    assert change.payload["message"] == "['no']"
