"""Arguments that are refused by name, links and paths."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.exceptions import BadRequestError
from tests.support.code_stream_api import LOGIN, Api, listing
from tests.support.scripted import Scripted


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda client: client.pipelines.run(""), "pipeline_id"),
        (lambda client: client.pipelines.run("p", inputs=["a"]), "inputs"),
        (lambda client: client.pipelines.run("p", tags="blue"), "tags"),
        (lambda client: client.executions.get(".."), "execution_id"),
        (lambda client: client.executions.act("e", "restart"), "action"),
        (lambda client: client.events.list("svn"), "event_type"),
        (lambda client: client.events.rerun("git", "e", "retry"), "action"),
        (lambda client: client.events.rerun("git", " "), "event_id"),
        (lambda client: client.reruns.intent("git", "e", "retry"), "action"),
        (lambda client: client.events.trigger_gerrit("c", "", "t"), "project"),
        (lambda client: client.approvals.answer("", True), "user_operation_id"),
        (lambda client: client.approvals.answer_many([], True), "user_operation_ids"),
        (lambda client: client.approvals.answer_many("u1", True), "user_operation_ids"),
        (lambda client: client.observe({"system": "code_stream", "kind": "build", "id": "1"}), "kind"),
        (
            lambda client: client.observe(
                {
                    "system": "code_stream",
                    "kind": "event",
                    "id": "",
                    "event_type": "git",
                    "since": "2026-01-02T03:04:05",
                }
            ),
            "since",
        ),
        (
            lambda client: client.waits.find_started(
                {"kind": "execution", "marker": "", "since": 0.0, "pipeline_id": "p"}
            ),
            "marker",
        ),
    ],
)
def test_bad_arguments_are_named_before_anything_is_sent(api: Api, call: Any, named: str) -> None:
    with pytest.raises(BadRequestError, match=named):
        call(api.client)
    assert api.scripted.requests == []


@pytest.mark.parametrize("filters", ["[1]", "{", '"a"'])
def test_filters_that_are_no_object_are_refused(client: CodeStreamClient, filters: str) -> None:
    with pytest.raises(BadRequestError, match="filters"):
        client.observe(
            {"system": "code_stream", "kind": "event", "id": "", "event_type": "git", "since": "", "filters": filters}
        )


def test_the_link_of_an_execution_follows_the_template_of_the_connection() -> None:
    client = CodeStreamClient("https://vra.example.com/", refresh_token="r", ui_url="{base}/ui?run={id}&x={y}")
    assert client.executions.url("e1") == "https://vra.example.com/ui?run=e1&x={y}"


@pytest.mark.parametrize("prefix", ["/", "", "pipeline/api", "/pipeline/api/"])
def test_a_path_has_one_slash_after_any_prefix(scripted: Scripted, prefix: str) -> None:
    scripted.always = lambda request: LOGIN if request.path.endswith("/login") else (200, {}, listing([]))
    with CodeStreamClient(scripted.url, refresh_token="r", api_prefix=prefix) as client:
        assert client.pipelines.list() == []
    below = prefix.strip("/")
    assert scripted.requests[-1].path == (f"/{below}/pipelines" if below else "/pipelines")
