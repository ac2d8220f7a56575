"""What the Code Stream stand-in promises, over real HTTP and against the contract, never through our client."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.code_stream_calls import CodeStream


def test_an_execution_runs_to_its_end_and_gives_its_output(api: CodeStream) -> None:
    execution_id = api.start(input={"tag": "1.4.2"}, comments="dag=release", tags=["a"])
    ended = api.ended(execution_id)
    assert (ended["status"], ended["statusMessage"]) == ("COMPLETED", "Execution Completed.")
    assert (ended["output"], ended["comments"], ended["tags"]) == ({"deployed": "1.4.2"}, "dag=release", ["a"])
    assert api.states(execution_id) == ["NOT_STARTED", "STARTED", "RUNNING", "COMPLETED"]
    assert api.track(execution_id)["started_by"] == "dag=release"


def test_tasks_are_shown_only_when_expanded(api: CodeStream) -> None:
    execution_id = api.start()
    api.ended(execution_id)
    assert "tasks" not in api.execution(execution_id)["stages"]["Build"]
    build = api.execution(execution_id, expand="PIPELINE_STAGE_TASK")["stages"]["Build"]
    assert build["taskOrder"] == ["Unit,Lint"]
    assert build["tasks"]["Lint"]["id"] == f"{execution_id}~0.1"


def test_two_starts_are_two_executions_with_growing_index(api: CodeStream) -> None:
    replies = [
        api.call("POST", "/pipelines/wholesale/Smoke test/executions", {"comments": "same"}).json() for _ in "ab"
    ]
    assert [reply["executionIndex"] for reply in replies] == [1, 2]
    assert replies[0]["executionId"] != replies[1]["executionId"]
    by_index = api.get("/pipelines/wholesale/Smoke test/executions/2")
    assert by_index["id"] == replies[1]["executionId"]


def test_the_start_answer_can_be_the_old_one(api: CodeStream) -> None:
    api.switch(start_status=200, legacy_start_reply=True, execution_links="singular")
    reply = api.call("POST", "/pipelines/retail/Deploy shop/executions", {"comments": "x"})
    assert reply.status_code == 200
    assert "executionId" not in reply.json()
    assert reply.json()["executionLink"].startswith("codestream/api/execution/")


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("Disabled pipeline", {}, 400),
        ("Deploy shop", {"input": {"tag": ""}}, 400),
        ("Deploy shop", {"input": "text"}, 400),
        ("Deploy shop", {"comments": 1}, 400),
        ("Deploy shop", None, 400),
        ("No such pipeline", {}, 404),
    ],
)
def test_a_start_that_cannot_be_is_refused_and_starts_nothing(
    api: CodeStream, name: str, body: Any, status: int
) -> None:
    before = api.control.get("executions", system="code_stream")
    reply = api.call("POST", f"/pipelines/retail/{name}/executions", body)
    assert (reply.status_code, reply.json()["status"]) == (status, status)
    assert api.control.get("executions", system="code_stream") == before


def test_a_user_who_may_only_read_is_refused_without_a_body(api: CodeStream, viewer: CodeStream) -> None:
    assert viewer.rows("/pipelines")
    reply = viewer.call("POST", "/pipelines/retail/Deploy shop/executions", {})
    assert (reply.status_code, reply.content) == (403, b"")
    assert viewer.start("Smoke test", "wholesale")


def test_an_execution_above_the_concurrency_waits_in_a_queue(api: CodeStream) -> None:
    api.create_pipeline("Narrow", {"Work": {"type": "CI"}}, concurrency=1)
    first, second = api.start("Narrow"), api.start("Narrow")
    api.reaches(second, "QUEUED")
    assert api.execution(first)["status"] != "COMPLETED"
    assert api.ended(second)["status"] == "COMPLETED"
    assert api.track(second)["states"][-1]["at"] > api.track(first)["states"][-1]["at"]


def test_names_with_blanks_slashes_and_quotes_can_be_addressed(api: CodeStream) -> None:
    api.create_pipeline("it's a/b ü", {"Work": {"type": "CI"}})
    reply = api.call("GET", "/pipelines/retail/it%27s%20a%2Fb%20%C3%BC")
    assert reply.json()["name"] == "it's a/b ü"
    assert len(api.rows("/pipelines", filter="name eq 'it''s a/b ü' and project eq 'retail'")) == 1
