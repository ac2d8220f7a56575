"""What the Quay stand-in promises, over real HTTP; webhooks are compared with those recorded from a real server."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.support.quay_calls import SHOP, TOKEN, WEBHOOK, Api, tags
from tests.support.receiver import Receiver


def test_a_finished_cocktail_build_arrives_as_an_image(api: Api, receiver: Receiver) -> None:
    api.notify(receiver.url)
    headers = {"Authorization": "Bearer sandbox-cocktail-token"}
    runs = f"{api.url}/cocktail/v1/build/run"
    requests.post(f"{runs}/12", params={"tagName": "1.4.2"}, headers=headers, timeout=60)
    assert receiver.bodies(1)[0]["updated_tags"] == ["1.4.2"]
    run = requests.get(f"{runs}/1", headers=headers, timeout=60).json()
    assert tags(api, specificTag="1.4.2") == [("1.4.2", run["imageDigest"])]


def test_a_lost_answer_leaves_the_notification(api: Api) -> None:
    api.post("faults", system="quay", method="POST", path="/notification/", fault="reset_after")
    with pytest.raises(requests.ConnectionError):
        api.call("POST", f"{SHOP}/notification/", WEBHOOK)
    assert len(api.call("GET", f"{SHOP}/notification/").json()["notifications"]) == 1


def test_the_request_log_names_the_user_and_no_token(api: Api) -> None:
    api.call("GET", f"{SHOP}/tag/")
    api.call("GET", f"{SHOP}/tag/", token="garbage")
    log = requests.get(f"{api.url}/_sandbox/requests", params={"system": "quay"}, timeout=60)
    assert [entry["who"] for entry in log.json()] == ["admin", ""]
    assert TOKEN not in log.text


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("switches", {"nonsense": 1}),
        ("switches", {"codes": "mine"}),
        ("actions", {"action": "nonsense"}),
        ("actions", {"action": "push_image", "repository": "acme/shop"}),
        ("actions", {"action": "set_scan", "repository": "acme/shop", "digest": "x", "status": "scanned"}),
        ("actions", {"action": "raise_event", "repository": "acme/shop", "event": "nonsense"}),
    ],
)
def test_wrong_control_calls_are_refused(api: Api, what: str, body: dict[str, Any]) -> None:
    assert requests.post(f"{api.url}/_sandbox/{what}", json={"system": "quay"} | body, timeout=60).status_code == 400


@pytest.mark.parametrize("event", ["repo_mirror_sync_started", "repo_image_expiry", "quota_warning"])
def test_any_event_can_be_raised(api: Api, receiver: Receiver, event: str) -> None:
    api.notify(receiver.url, event)
    api.act("raise_event", repository="acme/shop", event=event, body={"message": "hello"})
    assert receiver.bodies(1)[0]["message"] == "hello"


def test_forced_phases_are_checked(api: Api) -> None:
    build_id = api.build()["id"]
    url = f"{api.url}/_sandbox/executions/quay"
    assert requests.post(f"{url}/{build_id}", json={"state": "DONE"}, timeout=60).status_code == 400
    assert requests.post(f"{url}/nope", json={"state": "complete"}, timeout=60).status_code == 404
