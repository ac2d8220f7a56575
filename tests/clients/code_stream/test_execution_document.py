"""What a document of an execution means, in all its forms."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider.clients.code_stream.execution_document import STATES, execution_of
from airflow_provider.clients.code_stream.fields import id_from_link, parse_time
from airflow_provider.execution import ExecutionState
from tests.support.code_stream_client import FAILED, S


@pytest.mark.parametrize(
    ("status", "state"),
    [
        *((status, state) for status, state in STATES.items()),
        ("completed", S.SUCCEEDED),
        ("REINDEXING", S.UNKNOWN),
        (None, S.UNKNOWN),
        ("", S.UNKNOWN),
    ],
)
def test_every_status_has_its_state_and_an_unknown_word_is_never_the_end(status: Any, state: ExecutionState) -> None:
    seen = execution_of({"id": "e1", "status": status}, None)
    assert seen.state is state
    assert (seen.state is S.SUCCEEDED) == (str(status).upper() == "COMPLETED")
    assert seen.status == (status or "")


def test_all_eighteen_words_of_the_vendor_are_known() -> None:
    assert len(STATES) == 18


def test_a_refused_approval_is_distinguished_from_other_failures_and_steps_keep_their_order() -> None:
    seen = execution_of(FAILED, "http://x")
    assert seen.rejected is True
    assert seen.message == "Prod.Approve: refused rejected by ann"
    assert [step.name for step in seen.steps] == ["Build.Unit", "Build.Lint", "Build.Pack, ship", "Prod.Approve"]
    assert seen.started_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert seen.to_result()["duration"] == 60.483


@pytest.mark.parametrize(
    "changes",
    [{"stages": None, "stageOrder": None}, {"stages": {"Prod": {"tasks": None}}, "stageOrder": ["Prod", "Gone"]}],
)
def test_a_document_without_stage_detail_is_read_too(changes: dict[str, Any]) -> None:
    seen = execution_of(FAILED | changes | {"output": None, "statusMessage": None, "id": None, "_link": "/x/e9"}, None)
    assert (seen.state, seen.message, seen.outputs, seen.rejected, seen.id) == (S.FAILED, None, {}, None, "e9")


@pytest.mark.parametrize(
    ("task", "rejected"),
    [
        ({"type": "CI", "status": "FAILED"}, False),
        ({"type": "USEROPERATION", "status": "FAILED"}, True),
        ({"status": "FAILED"}, None),
        ({"type": "UserOperation", "status": "COMPLETED"}, None),
    ],
)
def test_whether_an_approval_was_refused_is_said_only_where_the_task_that_broke_is_reported(
    task: dict[str, Any], rejected: bool | None
) -> None:
    stages = {"Prod": {"status": "FAILED" if task["status"] == "FAILED" else "COMPLETED", "tasks": {"Approve": task}}}
    document = {"id": "e1", "status": "FAILED", "stages": stages}
    assert execution_of(document, None).rejected is rejected
    assert execution_of({**document, "status": "COMPLETED"}, None).rejected is False


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1767323045000000, "2026-01-02T03:04:05+00:00"),
        ("1767323045000000", "2026-01-02T03:04:05+00:00"),
        (1767323045000, "2026-01-02T03:04:05+00:00"),
        (1767323045, "2026-01-02T03:04:05+00:00"),
        ("1767323045.5", "2026-01-02T03:04:05.500000+00:00"),
        ("2019-09-16 09:25:38.065065+00", "2019-09-16T09:25:38.065065+00:00"),
        ("2019-09-18T07:38:25.907+0200", "2019-09-18T05:38:25.907000+00:00"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"),
        ("2019-09-23 13:48:54.483", None),
        ("", None),
        ("yesterday", None),
        (None, None),
        (0, None),
        (True, None),
        (1e300, None),
        ({}, None),
    ],
)
def test_times_are_read_in_every_form_and_a_text_without_zone_is_not_guessed(value: Any, moment: str | None) -> None:
    read = parse_time(value)
    assert (read.isoformat() if read else None) == moment


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("/codestream/api/executions/e1", "e1"),
        ("codestream/api/execution/e1", "e1"),
        ("/pipeline/api/executions/e1/", "e1"),
        ("https://vra.example.com//codestream/api/executions/e1?x=1", "e1"),
        ("e1", "e1"),
        ("", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_the_id_is_the_last_part_of_a_link_of_any_form(link: Any, found: str) -> None:
    assert id_from_link(link) == found
