"""What the Cocktail stand-in promises, over real HTTP."""

from __future__ import annotations

import pytest
import requests

from tests.support.cocktail_calls import SHOP, TOKEN, Api, states
from tests.support.receiver import Receiver
from tests.support.until import until


def test_a_forced_state_is_shown_and_reported(api: Api, receiver: Receiver) -> None:
    run_seq = api.start(callbackUrl=receiver.url)["buildRunSeq"]
    forced = api.post(f"executions/cocktail/{run_seq}", state="DONE")
    assert forced["state"] == "DONE"
    assert api.call("GET", f"/build/run/{run_seq}").json()["imageDigest"]
    until(lambda: states(receiver), lambda states: states[-1] == "DONE")


def test_a_lost_answer_leaves_the_run_in_the_list(api: Api) -> None:
    api.post("reset", speed=1)
    api.post("faults", system="cocktail", method="POST", path="/build/run", fault="reset_after")
    with pytest.raises(requests.ConnectionError):
        api.start(description="marker-1")
    (run,) = api.call("GET", "/build/run", buildSeq=SHOP).json()
    assert run["runDesc"] == "marker-1"


@pytest.mark.parametrize("image_url", ["registry.example.com/acme/shop", "registry.example.com/acme/shop:1.0"])
def test_runs_are_found_by_image(api: Api, image_url: str) -> None:
    run_seq = api.start()["buildRunSeq"]
    assert api.call("GET", "/build/run/search", imageUrl=image_url).json()["buildRunSeq"] == run_seq


def test_a_new_build_can_be_run(api: Api) -> None:
    added = requests.post(
        f"{api.url}/cocktail/v1/build",
        params={"callbackUrl": "http://127.0.0.1:9/x"},
        json={"buildName": "tool", "imageName": "tool"},
        headers=TOKEN,
        timeout=60,
    ).json()
    assert api.ended(api.start(added["buildSeq"])["buildRunSeq"])["imageUrl"] == "registry.example.com/ops/tool:1.0"


def test_an_unknown_switch_or_value_is_refused_by_name(api: Api) -> None:
    for switches in ({"nonsense": 1}, {"logs": "sometimes"}, {"routes": {"status": "500"}}, {"wrapped": "yes"}):
        reply = requests.post(f"{api.url}/_sandbox/switches", json={"system": "cocktail"} | switches, timeout=60)
        assert reply.status_code == 400
        assert next(iter(switches)) in reply.text
