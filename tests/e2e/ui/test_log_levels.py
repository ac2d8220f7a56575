"""The level filter of a task's log in Airflow's UI: errors are what failed, warnings what a person should know."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.stage import Stage
from tests.e2e.ui.browser import Browser

DAG_ID = "release_train"
BROKEN = 14
"""A build of the sandbox whose step CREATE_IMAGE fails."""
BEGINS = f"Run build {BROKEN} in Cocktail"


def test_the_filter_for_errors_leaves_what_failed_and_where_to_look(
    stage: Stage, browser: Browser, picture: Callable[[str], None]
) -> None:
    stage.reset()
    run_id = stage.start(DAG_ID, {"build": BROKEN, "tag": "broken"})
    stage.wait_for_task(DAG_ID, run_id, "build_image")
    log = f"{stage.airflow.url}/dags/{DAG_ID}/runs/{run_id}/tasks/build_image"
    browser.open(log)
    browser.find(f"//*[contains(text(), '{BEGINS}')]")
    browser.open(f"{log}?log_level=error")
    browser.find("//*[contains(text(), 'CREATE_IMAGE: ')]")
    last = browser.find("//*[contains(text(), 'Failed after')]").text()
    assert f"{stage.sandbox.url}/" in last
    assert BEGINS not in browser.text()
    picture("log-errors")
