"""What the Cocktail stand-in promises, over real HTTP."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests

from tests.support.cocktail_calls import BROKEN, NO_DIGEST, SHOP, Api


def test_a_fresh_run_is_running_and_carries_no_result(api: Api) -> None:
    api.post("reset", speed=1)
    run = api.start(description="release 1 & + é\n#af")
    assert (run["runState"], run["runType"], run["buildNo"], run["imageDigest"], run["endTime"]) == (
        "RUNNING",
        "BUILD",
        1,
        None,
        None,
    )
    assert run["runDesc"] == "release 1 & + é\n#af"
    assert run["possibleActions"] == ["VIEW", "LOG"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", run["created"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", run["beginTime"])
    assert all(run[name] is None for name in ("buildServerCacrt", "buildServerClientCert", "buildServerClientKey"))


def test_a_description_may_be_cut_and_a_list_may_leave_fields_out(api: Api) -> None:
    api.post("reset", speed=1)
    api.switch(description_limit=9, list_omits=["runType"])
    started = api.start(description="release 1.4.2")
    (listed,) = api.call("GET", "/build/run", buildSeq=SHOP).json()
    assert started["runDesc"] == listed["runDesc"] == "release 1"
    assert "runType" not in listed
    assert api.call("GET", f"/build/run/{started['buildRunSeq']}").json()["runType"] == "BUILD"


def test_a_run_ends_with_digest_size_and_steps(api: Api) -> None:
    run = api.ended(api.start()["buildRunSeq"])
    assert run["runState"] == "DONE"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", run["imageDigest"])
    assert run["imageSize"] > 0
    assert run["imageUrl"] == "registry.example.com/acme/shop:1.0"
    assert [(s["stepType"], s["stepState"]) for s in run["buildStepRuns"]] == [
        ("INIT", "DONE"),
        ("CODE_DOWN", "DONE"),
        ("CREATE_IMAGE", "DONE"),
    ]
    assert run["possibleActions"] == ["VIEW", "BUILD", "LOG", "REMOVE"]


def test_the_states_of_an_execution_are_kept_with_its_marker(api: Api) -> None:
    run = api.start(description="marker-7")
    api.ended(run["buildRunSeq"])
    (execution,) = requests.get(f"{api.url}/_sandbox/executions", params={"system": "cocktail"}, timeout=60).json()
    assert execution["started_by"] == "marker-7"
    assert [each["state"] for each in execution["states"]] == ["CREATED", "RUNNING", "DONE"]
    assert execution["states"][2]["at"] - execution["states"][1]["at"] == pytest.approx(8 / 40, abs=0.01)


def test_run_and_build_numbers_are_distinguished_by_method(api: Api) -> None:
    run_seq = api.start()["buildRunSeq"]
    assert api.call("GET", f"/build/run/{SHOP}").json() == {"status": "ok", "result": None}
    assert api.call("GET", f"/build/run/{run_seq}").json()["buildSeq"] == SHOP
    assert api.call("POST", f"/build/run/{run_seq}", tagName="x").json()["code"] == "CCBDW006000"


def test_runs_are_listed_newest_first_with_the_runs_of_a_cancel(api: Api) -> None:
    first = api.start()["buildRunSeq"]
    api.call("PUT", f"/build/run/cancel/{first}", callbackUrl="http://127.0.0.1:9/x")
    api.ended(first)
    second = api.start(tag="2.0")["buildRunSeq"]
    listed = api.call("GET", "/build/run", buildSeq=SHOP).json()
    assert [(each["buildRunSeq"], each["runType"]) for each in listed] == [
        (second, "BUILD"),
        (2, "CANCEL"),
        (first, "BUILD"),
    ]


@pytest.mark.parametrize(
    ("build_seq", "switches", "state", "digest"),
    [
        (BROKEN, {}, "ERROR", False),
        (NO_DIGEST, {}, "DONE", False),
        (SHOP, {"no_digest": True}, "DONE", False),
        (SHOP, {"failing_step": "CODE_DOWN"}, "ERROR", False),
        (SHOP, {}, "DONE", True),
    ],
)
def test_runs_end_as_scripted(api: Api, build_seq: int, switches: dict[str, Any], state: str, digest: bool) -> None:
    api.switch(**switches)
    run = api.ended(api.start(build_seq)["buildRunSeq"])
    assert (run["runState"], run["imageDigest"] is not None) == (state, digest)


def test_a_refused_build_server_answers_200_with_an_error_run(api: Api) -> None:
    api.switch(refuse_build_server=True)
    reply = api.call("POST", f"/build/run/{SHOP}", tagName="1.0")
    assert (reply.status_code, reply.json()["runState"]) == (200, "ERROR")


def test_a_stuck_run_stays_created(api: Api) -> None:
    api.switch(stuck_created=True)
    run = api.start()
    api.post("clock", advance=3600)
    again = api.call("GET", f"/build/run/{run['buildRunSeq']}").json()
    assert (again["runState"], again["possibleActions"]) == ("CREATED", ["VIEW", "BUILD", "REMOVE"])
