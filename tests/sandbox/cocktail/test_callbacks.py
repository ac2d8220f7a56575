"""What the Cocktail stand-in promises, over real HTTP."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.support.cocktail_calls import SHOP, Api, states
from tests.support.receiver import Receiver
from tests.support.until import until


def test_the_first_callback_arrives_before_the_reply(api: Api, receiver: Receiver) -> None:
    run = api.start(callbackUrl=f"{receiver.url}/cb/secret")
    replied = time.monotonic()
    first = receiver.received[0]
    assert first["at"] < replied
    assert receiver.bodies()[0]["target"] == {
        "accountSeq": 1,
        "serviceSeqs": [2],
        "buildSeq": SHOP,
        "buildRunSeq": run["buildRunSeq"],
    }
    assert run["callbackUrl"] == f"{receiver.url}/cb/secret?user-id=3&user-role=DEVOPS&user-workspace=3"


def test_callbacks_report_every_step_and_the_end_in_order(api: Api, receiver: Receiver) -> None:
    api.start(callbackUrl=f"{receiver.url}/cb")
    until(lambda: states(receiver), lambda states: "DONE" in states)
    assert states(receiver) == ["RUNNING", "RUNNING", "RUNNING", "DONE"]
    last = receiver.bodies()[-1]
    assert last["event"] == "BUILD_RUN_STATE"
    assert None not in last["data"].values()
    headers = dict(receiver.received[-1]["headers"])
    assert {name: headers.get(name) for name in ("user-id", "user-role", "user-workspace")} == {
        "user-id": "3",
        "user-role": "DEVOPS",
        "user-workspace": "3",
    }


@pytest.mark.parametrize(
    ("template", "paths"),
    [
        ("{url}/a?lost=1", ["/a"]),
        ("{url}/a|{url}/b", ["/a", "/b"]),
        ("{encoded}%2Fa%2Fb", ["/a/b"]),
    ],
)
def test_callback_urls_are_mangled_as_the_server_does(
    api: Api, receiver: Receiver, template: str, paths: list[str]
) -> None:
    encoded = receiver.url.replace(":", "%3A").replace("/", "%2F")
    api.start(callbackUrl=template.format(url=receiver.url, encoded=encoded))
    assert [each["path"] for each in receiver.received[: len(paths)]] == paths
    assert "lost" not in dict(receiver.received[0]["headers"])


@pytest.mark.parametrize(
    "template", ["{url}/known-word", "{url}/?x=known-word", "{user}/known-word", "http://[known-word"]
)
def test_the_list_of_deliveries_shows_hosts_and_no_paths(api: Api, receiver: Receiver, template: str) -> None:
    user = receiver.url.replace("//", "//known-word:known-word@")
    api.ended(api.start(callbackUrl=template.format(url=receiver.url, user=user))["buildRunSeq"])
    until(api.deliveries, bool)
    assert {each["url"] for each in api.deliveries()} <= {f"{receiver.url}/***", "***"}
    assert "known-word" not in json.dumps(api.deliveries())


def test_a_cancel_calls_its_own_url_and_then_the_original(api: Api, receiver: Receiver) -> None:
    api.switch(step_seconds={"INIT": 1000, "CANCEL": 1})
    run_seq = api.start(callbackUrl=f"{receiver.url}/original")["buildRunSeq"]
    api.call("PUT", f"/build/run/cancel/{run_seq}", callbackUrl=f"{receiver.url}/cancel")
    until(lambda: len(receiver.received), lambda count: count == 4)
    reported = {(each["path"], state) for each, state in zip(receiver.received, states(receiver), strict=True)}
    assert reported == {("/original", "RUNNING"), ("/cancel", "RUNNING"), ("/cancel", "DONE"), ("/original", "ERROR")}


def test_a_build_without_callback_url_fails_only_its_delivery(api: Api) -> None:
    run = api.start()
    assert run["callbackUrl"].startswith("null?")
    assert {(each["url"], each["status"]) for each in api.deliveries()} == {("***", None)}


@pytest.mark.parametrize(
    ("switches", "reported"),
    [
        ({"callbacks_duplicated": True}, ["RUNNING"] * 6 + ["DONE"] * 2),
        ({"callbacks_reordered": True}, ["DONE"] + ["RUNNING"] * 3),
        ({"callback_delay": 0.1}, ["RUNNING"] * 3 + ["DONE"]),
    ],
)
def test_callbacks_can_misbehave(api: Api, receiver: Receiver, switches: dict[str, Any], reported: list[str]) -> None:
    api.switch(**switches)
    api.start(callbackUrl=receiver.url)
    assert until(lambda: states(receiver), lambda found: len(found) == len(reported)) == reported


def test_callbacks_can_be_lost(api: Api, receiver: Receiver) -> None:
    api.switch(callbacks_lost=True)
    api.ended(api.start(callbackUrl=receiver.url)["buildRunSeq"])
    assert receiver.received == []
