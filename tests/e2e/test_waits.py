"""Waits that begin or end in a real triggerer: the same results, XComs and failures as through a worker."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.stage import SeenRun, Stage

DAG_ID = "waits"


@pytest.fixture(scope="module")
def waited(stage: Stage) -> SeenRun:
    stage.reset()
    return stage.watch(DAG_ID, stage.start(DAG_ID))


def ran_in_a_worker(stage: Stage, task_id: str) -> bool:
    (run_id,) = stage.airflow.api.run_ids(DAG_ID)
    lines = stage.airflow.api.log_lines(DAG_ID, run_id, task_id, 1)
    return any("Pre Execute" in str(line.get("event")) for line in lines)


@pytest.mark.parametrize(("task_id", "system"), [("build", "cocktail"), ("good_execution", "code_stream")])
def test_a_wait_that_ends_in_the_triggerer_leaves_result_xcoms_and_link(
    stage: Stage, waited: SeenRun, task_id: str, system: str
) -> None:
    assert waited.states[task_id] == "success", waited.errors
    result: dict[str, Any] = waited.results[task_id]
    (run_id,) = stage.airflow.api.run_ids(DAG_ID)
    assert (result["system"], result["state"]) == (system, "succeeded")
    assert stage.airflow.api.xcom(DAG_ID, run_id, task_id, "id") == result["id"]
    assert waited.links[task_id] == result["url"]


def test_a_result_that_the_triggerer_left_is_used_by_the_next_task(waited: SeenRun) -> None:
    assert waited.results["tagged"]["outputs"]["tag"] == "waits"


def test_a_sensor_on_a_known_id_needs_no_worker(stage: Stage, waited: SeenRun) -> None:
    assert waited.results["good_execution"]["id"] == waited.results["start_good"]["id"]
    assert not ran_in_a_worker(stage, "good_execution")
    assert ran_in_a_worker(stage, "start_good")


def test_a_failure_comes_back_to_a_worker_and_names_its_cause(waited: SeenRun) -> None:
    assert waited.states["bad_execution"] == "failed"
    assert "ExecutionFailed" in str(waited.errors["bad_execution"])
    assert waited.results["start_bad"]["id"] in str(waited.errors["bad_execution"])


def test_a_timeout_fails_or_skips(waited: SeenRun) -> None:
    assert waited.states["no_tag"] == "failed"
    assert "timed out after 3 s" in str(waited.errors["no_tag"])
    assert waited.states["no_tag_but_no_matter"] == "skipped"
