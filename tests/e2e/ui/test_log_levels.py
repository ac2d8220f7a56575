"""The level filter of a task's log in Airflow's UI: errors are what failed."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.stage import Stage
from tests.e2e.ui.browser import Browser

DAG_ID = "release_train"
BROKEN = 14
"""A build of the sandbox whose step CREATE_IMAGE fails."""
FIRED = "Trigger fired"
"""Information, and among the last lines: the page holds only the lines that are in sight."""


def test_the_filter_for_errors_leaves_what_failed_and_where_to_look(
    stage: Stage, browser: Browser, picture: Callable[[str], None]
) -> None:
    stage.reset()
    run_id = stage.start(DAG_ID, {"build": BROKEN, "tag": "broken"})
    stage.wait_for_task(DAG_ID, run_id, "build_image")
    log = f"{stage.airflow.url}/dags/{DAG_ID}/runs/{run_id}/tasks/build_image"
    browser.open(log)
    browser.find(f"//*[contains(text(), '{FIRED}')]")
    browser.open(f"{log}?log_level=error")
    browser.find("//*[contains(text(), 'CREATE_IMAGE: ')]")
    browser.find("//*[contains(text(), 'Failed after')]")
    text = browser.text()
    assert FIRED not in text
    assert f"Run build {BROKEN} in Cocktail" not in text
    picture("log-errors")
