"""What the Cocktail stand-in promises, over real HTTP."""

from __future__ import annotations

import requests

from tests.support.cocktail_calls import SHOP, Api
from tests.support.until import until


def test_a_cancel_is_a_run_of_its_own_after_which_the_original_is_error(api: Api) -> None:
    api.switch(step_seconds={"INIT": 100, "CANCEL": 1})
    run_seq = api.start()["buildRunSeq"]
    cancel = api.call("PUT", f"/build/run/cancel/{run_seq}", callbackUrl="http://127.0.0.1:9/x").json()
    assert (cancel["runType"], cancel["runState"], cancel["buildRunSeq"]) == ("CANCEL", "RUNNING", run_seq + 1)
    assert api.ended(run_seq)["runState"] == "ERROR"
    step = api.call("GET", f"/build/run/{cancel['buildRunSeq']}").json()["buildStepRuns"][0]
    assert (step["stepState"], step["stepConfig"]["refBuildRunSeq"]) == ("DONE", run_seq)
    (execution,) = requests.get(f"{api.url}/_sandbox/executions", params={"system": "cocktail"}, timeout=60).json()
    assert len(execution["cancels"]) == 1


def test_a_finished_run_cannot_be_cancelled(api: Api) -> None:
    run_seq = api.start()["buildRunSeq"]
    api.ended(run_seq)
    reply = api.call("PUT", f"/build/run/cancel/{run_seq}", callbackUrl="http://127.0.0.1:9/x").json()
    assert reply["message"].startswith("Build is not running!")


def test_done_can_win_the_race_against_a_cancel(api: Api) -> None:
    api.switch(cancel_loses_race=True, step_seconds={"INIT": 100, "CANCEL": 1})
    run_seq = api.start()["buildRunSeq"]
    api.call("PUT", f"/build/run/cancel/{run_seq}", callbackUrl="http://127.0.0.1:9/x")
    assert api.ended(run_seq)["runState"] == "DONE"
    assert api.ended(run_seq + 1)["runState"] == "ERROR"


def test_removing_a_run_takes_along_the_runs_of_the_same_digest(api: Api) -> None:
    api.switch(reproducible_builds=True)
    numbers = []
    for tag in ("1.0", "2.0"):
        numbers.append(api.start(tag=tag)["buildRunSeq"])
        api.ended(numbers[-1])
    others = api.call("GET", f"/build/run/{numbers[0]}/otherremoveruns").json()
    assert [each["buildRunSeq"] for each in others] == [numbers[1]]
    api.call("DELETE", f"/build/run/{numbers[0]}")
    assert api.call("GET", f"/build/run/{numbers[1]}").json()["result"] is None


def test_a_running_run_cannot_be_removed(api: Api) -> None:
    api.post("reset", speed=1)
    run_seq = api.start()["buildRunSeq"]
    assert api.call("DELETE", f"/build/run/{run_seq}").json()["code"] == "CCBDW014000"


def test_deleting_a_build_makes_a_removal_run(api: Api) -> None:
    removal = api.call("DELETE", f"/build/{SHOP}", callbackUrl="http://127.0.0.1:9/x").json()
    assert (removal["runType"], removal["runState"]) == ("REMOVE", "RUNNING")
    until(lambda: api.call("GET", f"/build/{SHOP}").json(), lambda body: body == {"status": "ok", "result": None})
