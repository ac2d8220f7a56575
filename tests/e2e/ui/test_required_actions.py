"""People answer what tasks ask on the pages of a real Airflow, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.asking import Asking, answers, execution, start, state_of, until
from tests.e2e.stage import Stage
from tests.e2e.ui.browser import Browser
from tests.e2e.ui.questions import can_be_pressed, press

Picture = Callable[[str], None]


@pytest.fixture(autouse=True)
def _fresh(stage: Stage) -> None:
    stage.reset()


def open_question(browser: Browser, asking: Asking) -> None:
    url, run_id = asking.stage.airflow.url, asking.run_id
    browser.open(f"{url}/dags/{asking.dag_id}/runs/{run_id}/tasks/ask/required_actions")


def test_a_reviewer_reads_what_is_asked_and_approves_with_a_comment(
    stage: Stage, browser: Browser, picture: Picture
) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approvals", execution_id).until_it_asks()
    open_question(browser, asking)
    browser.find("//*[contains(., 'Approve or reject')]")
    browser.until(lambda: execution_id in browser.text(), "which execution waits")
    browser.find("//*[@name='element_comment']").type("fine")
    picture("approval")
    press(browser, "Approve")
    result = asking.result()
    (given,) = result["approvals"]
    assert (given["decision"], given["by"], given["comment"]) == ("approve", "admin", "fine")
    until(lambda: state_of(stage, "code_stream", execution_id) == "COMPLETED", "the execution goes on")
    assert len(answers(stage)) == 1


def test_a_reviewer_rejects_without_a_comment(stage: Stage, browser: Browser) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approvals", execution_id).until_it_asks()
    open_question(browser, asking)
    press(browser, "Reject")
    (given,) = asking.result()["approvals"]
    assert (given["decision"], given["by"], given["comment"]) == ("reject", "admin", "")
    until(lambda: state_of(stage, "code_stream", execution_id) == "FAILED", "the execution fails")


def test_a_named_person_releases_outside_of_the_window_once_they_give_a_reason(
    stage: Stage, browser: Browser, picture: Picture
) -> None:
    asking = Asking(stage, "release_window", stage.start("release_window"), field="reason").until_it_asks()
    open_question(browser, asking)
    browser.find("//*[contains(., 'Release now, outside of the release window')]")
    browser.until(lambda: not can_be_pressed(browser, "Release now"), "that a reason is missing")
    browser.find("//*[@name='element_reason']").type("an outage")
    picture("release-now")
    press(browser, "Release now")
    override = asking.result()["override"]
    assert (override["by"], override["reason"]) == ("admin", "an outage")
