"""The wording of lines that several kinds of tasks log."""

from __future__ import annotations

from itertools import pairwise

import pytest

from airflow_provider.core import lines
from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import Call, ServerUnavailableError
from airflow_provider.execution import Execution, ExecutionState


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (57.4, "57 s"),
        (119, "119 s"),
        (120, "2 min"),
        (32 * 60 + 59, "32 min"),
        (119 * 60, "119 min"),
        (2 * 3600 + 300, "2 h 5 min"),
        (71 * 3600, "71 h 0 min"),
        (80 * 3600, "3 days"),
    ],
)
def test_a_time_is_written_as_people_say_it(seconds, text):
    assert lines.span(seconds) == text


def test_reminders_come_at_intervals_that_double_up_to_an_hour():
    moments = [0.0]
    for _ in range(8):
        moments.append(lines.next_reminder(moments[-1]))
    gaps = [after - before for before, after in pairwise(moments)]
    assert gaps == [300, 300, 600, 1200, 2400, 3600, 3600, 3600]
    assert DURATIONS.longest_reminder == 3600


def test_of_a_mapping_the_first_line_has_the_names_only_and_no_argument_is_long():
    line = lines.begins("run it", "quay", {"inputs": {"tag": "hunter2"}, "tags": ["x" * 500]}, "as x", "quay", "")
    assert line.text.startswith("Run it in Quay (inputs tag, tags ['xxx")
    assert line.text.endswith("...), as x over connection quay")
    assert len(line.text) < 200


def test_the_last_line_of_a_failure_names_the_request_only_where_one_failed():
    call = Call(system="quay", method="GET", path="/build", status=503)
    assert lines.failed(ServerUnavailableError("down", call=call), 61.0).text == (
        "Failed after 61 s: quay: down [GET /build; HTTP 503]"
    )
    assert lines.failed(ServerUnavailableError("down", call=Call(system="quay")), None, "https://q").text == (
        "Failed: down: https://q"
    )


def test_a_rollback_is_called_one_in_every_line():
    release = Execution(
        ref={"system": "service_stage", "kind": "release", "id": "13", "action": "rollback"},
        state=ExecutionState.SUCCEEDED,
        status="2",
    )
    assert lines.started(release, "https://s").text == "Started rollback 13 at https://s"
    assert lines.changed(release).text == "Rollback 13 succeeded (status 2)"
    assert lines.ended(release.to_result(), 61.0).text == "Succeeded after 61 s: rollback 13"


def test_a_scan_that_finds_too_much_failed_and_nothing_else():
    scan = Execution(
        ref={"system": "quay", "kind": "scan", "id": "acme/shop:1.4.2"},
        state=ExecutionState.FAILED,
        status="scanned",
        message="2 High",
    )
    assert lines.changed(scan).text == "Scan of acme/shop:1.4.2 failed: 2 High"


def test_a_line_about_an_answer_is_short_whoever_gave_it():
    for by in ("x" * 1_000_000, ["y"] * 1_000_000, {"name": "z" * 1_000_000}):
        assert len(lines.answered({"kind": "approval", "id": "45b4d8"}, "APPROVED", by, None).text) < 200


def test_a_line_about_triggered_pipelines_is_short_however_many_there_are():
    assert len(lines.triggered(["x" * 200] * 1_000).text) < 2_100
    assert lines.triggered([]).text == "Triggered no pipeline"
