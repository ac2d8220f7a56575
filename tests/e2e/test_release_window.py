"""A release window that is closed, in a real Airflow: named people release now, or it opens as ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.e2e.asking import Asking, as_user, until
from tests.e2e.stage import Stage

RELEASE = "Release now"


def asking(stage: Stage, **params: Any) -> Asking:
    return Asking(stage, "release_window", stage.start("release_window", params), field="reason").until_it_asks()


def test_a_named_person_releases_with_a_reason_although_the_window_is_closed(stage: Stage) -> None:
    task = asking(stage)
    action = task.action()
    for text in ("production", "the fair", "Only ada, admin may answer", "must give a reason"):
        assert text in action["body"]
    with pytest.raises(requests.HTTPError, match="403"):
        task.answer(RELEASE, "an outage", by=as_user(stage, "bob"))
    ada = as_user(stage, "ada")
    task.answer(RELEASE, "  ", by=ada)
    task.until_it_asks_again()
    task.answer(RELEASE, "an outage", by=ada)
    override = task.result()["override"]
    assert (override["by"], override["reason"]) == ("ada", "an outage")
    assert override["at"]


def test_a_window_that_opens_closes_the_question_which_says_so(stage: Stage) -> None:
    opens = datetime.now(UTC) + timedelta(seconds=30)
    task = asking(stage, frozen_until=opens.isoformat(timespec="seconds"))
    result = task.result()
    assert (result["override"], bool(result["outputs"]["opens"])) == (None, True)
    action = task.action()
    assert (action["responded_by_user"], action["chosen_options"]) == (None, ["Waited"])
    assert "a release window has opened" in action["params_input"]["reason"]
    with pytest.raises(requests.HTTPError, match="409"):
        task.answer(RELEASE, "an outage")


def test_a_person_who_ends_the_sensor_closes_the_question(stage: Stage) -> None:
    from tests.chaos import people

    task = asking(stage)
    people.mark(stage.airflow.api, task.ti, "failed")
    action = until(lambda: (seen := task.action())["response_received"] and seen, "the required action closes")
    assert "the task is failed" in action["params_input"]["reason"]
