"""The button "Open in Cocktail" is there while a task still waits, and leads to its execution."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.stage import Stage
from tests.e2e.ui.browser import Browser

DAG_ID = "release_train"
HARDLY = 0.01
"""Speed of a sandbox in which nothing ends during a test."""


@pytest.fixture
def waiting_run(stage: Stage) -> Iterator[str]:
    """A run whose first task waits in the triggerer; over when the test is."""
    api = stage.airflow.api
    usual = next(each for each in stage.sandbox.connections() if each["conn_type"] == "cocktail")
    stage.sandbox.control.reset(HARDLY)
    api.save_connection({**usual, "extra": json.dumps({"ui_url": "{base}/builds/{build_seq}/runs/{id}"})})
    run_id = stage.start(DAG_ID, {"tag": "waiting"})
    try:
        yield run_id
    finally:
        api.call("PATCH", f"dags/{DAG_ID}/dagRuns/{run_id}", json={"state": "failed"})
        api.save_connection({**usual, "extra": None})
        stage.reset()


def test_the_link_and_the_story_show_while_the_task_is_deferred(
    stage: Stage, browser: Browser, waiting_run: str, picture: Callable[[str], None]
) -> None:
    def is_deferred() -> bool:
        return stage.states(DAG_ID, waiting_run).get("build_image") == "deferred"

    browser.until(is_deferred, "a task that waits in the triggerer", patience=60)
    browser.open(f"{stage.airflow.url}/dags/{DAG_ID}/runs/{waiting_run}/tasks/build_image")
    # The last line that a worker and the triggerer have to tell for now.
    browser.find("//*[contains(text(), 'Started build run')]")
    browser.find("//*[contains(text(), 'Run build 12 in Cocktail')]")
    picture("log")
    browser.find("//a[normalize-space()='Details']").click()
    button = browser.find("//a[normalize-space()='Open in Cocktail']")
    execution_id = stage.airflow.api.xcom(DAG_ID, waiting_run, "build_image", "id")
    assert button.attribute("href") == f"{stage.sandbox.url}/cocktail/builds/12/runs/{execution_id}"
    assert button.attribute("target") == "_blank"
    picture("link")
    assert is_deferred()
