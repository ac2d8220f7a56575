"""What the Code Stream stand-in promises, over real HTTP and against the contract, never through our client."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.code_stream_calls import CodeStream


def test_a_failed_task_fails_stage_and_execution(api: CodeStream) -> None:
    execution_id = api.start("Always fails")
    assert api.ended(execution_id)["statusMessage"] == "Prod.Deploy: Script execution failed."
    prod = api.execution(execution_id, expand="PIPELINE_STAGE_TASK")["stages"]["Prod"]
    assert (prod["status"], prod["tasks"]["Deploy"]["failureMessage"]) == ("FAILED", "Script execution failed.")


@pytest.mark.parametrize(
    ("task", "script", "status"),
    [
        ({"type": "CI", "ignoreFailure": True}, {"fails": "exit 1"}, "FAILED_CONTINUE"),
        ({"type": "CI", "preCondition": "${input.go} == 'yes'"}, {}, "SKIPPED"),
        ({"type": "CI", "preCondition": "${input.go} != 'yes'"}, {}, "COMPLETED"),
    ],
)
def test_an_ignored_failure_and_a_false_condition_do_not_fail_the_execution(
    api: CodeStream, task: dict[str, Any], script: dict[str, Any], status: str
) -> None:
    api.create_pipeline("Odd", {"Work": task})
    api.do("script", pipeline="Odd", task="One.Work", **script)
    execution_id = api.start("Odd", input={"go": "no"})
    assert api.ended(execution_id)["status"] == "COMPLETED"
    stage = api.execution(execution_id, expand="PIPELINE_STAGE_TASK")["stages"]["One"]
    assert stage["tasks"]["Work"]["status"] == status


@pytest.mark.parametrize("ends", ["completed", "failed"])
def test_a_failure_can_roll_back_in_an_execution_of_its_own(api: CodeStream, ends: str) -> None:
    api.switch(rollback=ends)
    execution_id = api.start("Always fails", comments="mine")
    assert api.reaches(execution_id, "ROLLBACK_COMPLETED", "ROLLBACK_FAILED")["status"] == f"ROLLBACK_{ends.upper()}"
    assert api.states(execution_id)[-3:] == ["FAILED", "ROLLING_BACK", f"ROLLBACK_{ends.upper()}"]
    rollbacks = api.rows("/executions", filter="_rollback eq 'true'")
    assert [row["name"] for row in rollbacks] == ["Always fails"]


def test_a_pipeline_task_starts_a_nested_execution(api: CodeStream) -> None:
    api.create_pipeline("Outer", {"Call": {"type": "Pipeline", "input": {"pipeline": "Smoke test"}}})
    assert api.ended(api.start("Outer"))["status"] == "COMPLETED"
    assert [row["name"] for row in api.rows("/executions", filter="_nested eq 'true'")] == ["Smoke test"]


def test_pause_resume_and_cancel_go_through_their_transient_states(api: CodeStream) -> None:
    api.control.post("reset", speed=10)
    api.headers = {"Authorization": f"Bearer {api.bearer('release-bot')}"}
    execution_id = api.start()
    api.reaches(execution_id, "RUNNING")
    assert api.act(execution_id, "pause").json()["status"] == "PAUSING"
    api.reaches(execution_id, "PAUSED")
    assert api.act(execution_id, "RESUME").json()["status"] == "RESUMING"
    api.reaches(execution_id, "RUNNING")
    assert api.act(execution_id, "cancel", {"reason": "changed my mind"}).json()["status"] == "CANCELING"
    ended = api.ended(execution_id)
    assert (ended["status"], ended["reason"]) == ("CANCELED", "changed my mind")
    assert ended["statusMessage"] == "Prod.Deploy: Execution canceled by release-bot."
    assert len(api.track(execution_id)["cancels"]) == 1


@pytest.mark.parametrize("status", [400, 409, 500, 200])
def test_an_action_in_a_wrong_state_is_refused_as_the_switch_says(api: CodeStream, status: int) -> None:
    api.switch(wrong_state_status=status)
    execution_id = api.start()
    api.ended(execution_id)
    for action in ("cancel", "pause", "resume"):
        assert api.act(execution_id, action).status_code == status
    assert api.execution(execution_id)["status"] == "COMPLETED"
    assert len(api.track(execution_id)["cancels"]) == 1


def test_a_cancel_can_lose_the_race(api: CodeStream) -> None:
    api.switch(cancel_loses_race=True)
    execution_id = api.start()
    assert api.act(execution_id, "cancel").json()["status"] == "CANCELING"
    assert api.ended(execution_id)["status"] == "COMPLETED"


def test_a_cancelled_rollback_and_its_parent_stay_cancelled(api: CodeStream) -> None:
    api.control.post("reset", speed=10)
    api.headers = {"Authorization": f"Bearer {api.bearer('release-bot')}"}
    api.switch(rollback="completed")
    execution_id = api.start("Always fails")
    api.reaches(execution_id, "ROLLING_BACK")
    api.act(execution_id, "cancel")
    api.reaches(execution_id, "CANCELED")
    api.control.post("clock", advance=60)
    assert api.execution(execution_id)["status"] == "CANCELED"


def test_an_unknown_action_is_refused(api: CodeStream) -> None:
    assert api.act(api.start(), "dance").status_code == 400


def test_tags_can_be_set(api: CodeStream) -> None:
    execution_id = api.start()
    assert api.act(execution_id, "tag", {"tags": ["x"]}).json()["tags"] == ["x"]
    api.switch(tags_form="objects")
    assert api.execution(execution_id)["tags"] == [{"key": "x", "value": ""}]


def test_a_deleted_execution_is_not_found(api: CodeStream) -> None:
    execution_id = api.start()
    assert api.call("DELETE", f"/executions/{execution_id}").status_code == 200
    assert api.call("GET", f"/executions/{execution_id}").status_code == 404


def test_a_forced_state_stays_until_it_is_forced_again(api: CodeStream) -> None:
    execution_id = api.start()
    api.force(execution_id, "WAITING")
    time.sleep(0.3)
    assert api.execution(execution_id)["status"] == "WAITING"
    api.force(execution_id, "RUNNING")
    assert api.ended(execution_id)["status"] == "COMPLETED"


def test_a_status_can_be_shown_as_an_unknown_word(api: CodeStream) -> None:
    api.switch(shown_status={"COMPLETED": "HIBERNATING"})
    execution_id = api.start()
    api.reaches(execution_id, "HIBERNATING")
    api.switch(shown_status={})
    assert api.execution(execution_id)["status"] == "COMPLETED"
