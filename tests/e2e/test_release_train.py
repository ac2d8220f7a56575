"""The release train in a real Airflow: the results of its tasks, and exactly which requests each system received."""

from __future__ import annotations

import re

import pytest

from airflow_provider.sandbox import seed
from tests.e2e.conftest import TAG, BadDay, FailedBuild, Released

BUILD, SCAN, PROMOTE, DEPLOY, RELEASE = "build_image", "scan_image", "promote_tag", "deploy", "release"
IN_A_SYSTEM = (BUILD, "wait_for_tag", SCAN, PROMOTE, "find_push_event", DEPLOY, RELEASE)


def test_the_release_train_runs_to_its_end(released: Released) -> None:
    rollback = {"needs_rollback": "skipped", "roll_back": "skipped"}
    assert released.run.states == {**dict.fromkeys(released.run.states, "success"), **rollback}, released.run.errors
    assert released.run.state == "success"


def test_each_system_sees_exactly_one_start(released: Released) -> None:
    results = released.run.results
    seen = [re.sub(r"airflow-\w+", "MARKER", change) for change in released.changes]
    pipeline, project = results[RELEASE]["ref"]["pipeline_id"], next(iter(seed.SERVICE_STAGE_PROJECTS.values()))
    event_id = results["find_push_event"]["id"]
    assert seen == [
        f"cocktail POST /cocktail/v1/build/run/12?tagName={TAG}&description=MARKER&callbackUrl=",
        "quay PUT /quay/api/v1/repository/acme/shop/tag/release",
        f"code_stream POST /code_stream/codestream/api/registry-events/{event_id}?action=Rerun&apiVersion=2019-10-17",
        f"service_stage POST /service_stage/v3/{project}/pipeline/pipelines/{pipeline}/action?action_id=start",
    ]


@pytest.mark.parametrize("task_id", [BUILD, DEPLOY, RELEASE])
def test_what_a_task_returns_is_the_only_execution_that_began(released: Released, task_id: str) -> None:
    result = released.run.results[task_id]
    began = [
        each["id"]
        for each in released.executions
        if each["system"] == result["system"] and each["started_by"] != "seed"
    ]
    assert began == [result["id"]]
    assert result["state"] == "succeeded"


@pytest.mark.parametrize("task_id", [BUILD, DEPLOY, RELEASE])
def test_a_task_names_its_execution_and_leads_to_it_while_it_waits(released: Released, task_id: str) -> None:
    result = released.run.results[task_id]
    assert released.run.early_ids.get(task_id) == result["id"]
    assert released.run.early_links.get(task_id) == result["url"]


@pytest.mark.parametrize("task_id", IN_A_SYSTEM)
def test_the_button_of_a_task_leads_to_what_it_returned(released: Released, task_id: str) -> None:
    assert released.run.links[task_id] == released.run.results[task_id]["url"]


def test_the_button_of_the_deployment_leads_to_its_execution(released: Released) -> None:
    assert (released.run.links[DEPLOY] or "").endswith(released.run.results[DEPLOY]["id"])


def test_what_is_scanned_promoted_and_deployed_is_what_was_built(released: Released) -> None:
    results = released.run.results
    built = results[BUILD]["outputs"]
    assert built["tag"] == TAG
    assert {results[task_id]["outputs"]["digest"] for task_id in ("wait_for_tag", SCAN, PROMOTE)} == {built["digest"]}
    assert results[DEPLOY]["outputs"] == {"deployed": TAG}
    assert results["release_notes"]["image"] == built["image_ref"]


def test_a_release_that_fails_is_rolled_back_and_the_run_is_failed(bad_day: BadDay) -> None:
    states = bad_day.release.states
    assert {task_id: states[task_id] for task_id in (DEPLOY, RELEASE, "roll_back", "release_notes")} == {
        DEPLOY: "success",
        RELEASE: "failed",
        "roll_back": "success",
        "release_notes": "upstream_failed",
    }, bad_day.release.errors
    assert bad_day.release.state == "failed"


def test_a_failed_release_is_started_once_and_rolled_back_once(bad_day: BadDay) -> None:
    actions = [change.rpartition("action_id=")[2] for change in bad_day.changes if change.startswith("service_stage")]
    assert actions == ["start", "rollback"]


def test_a_train_stops_where_it_failed_and_rolls_nothing_back(failed_build: FailedBuild) -> None:
    states = failed_build.run.states
    assert {task_id: states[task_id] for task_id in (BUILD, PROMOTE, RELEASE, "roll_back")} == {
        BUILD: "failed",
        PROMOTE: "upstream_failed",
        RELEASE: "upstream_failed",
        "roll_back": "skipped",
    }
    assert failed_build.run.state == "failed"
    assert [change.split("?")[0] for change in failed_build.changes] == ["cocktail POST /cocktail/v1/build/run/14"]
