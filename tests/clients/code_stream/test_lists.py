"""Lists that shift while they are read are complete and without doubles."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.exceptions import UnexpectedResponseError
from tests.support.code_stream_api import Api, listing
from tests.support.control import Control
from tests.support.scripted import Received


def test_a_list_of_251_rows_that_shift_while_it_is_read_is_complete_and_without_doubles(
    client: CodeStreamClient, control: Control
) -> None:
    control.post("actions", system="code_stream", action="insert_executions", pipeline="Smoke test", count=249)
    before = {each["id"] for each in control.get("executions", system="code_stream")}
    assert len(before) == 251
    control.post("switches", system="code_stream", insert_per_page=3)
    rows = client.executions.list()
    ids = [each["id"] for each in rows]
    assert before <= set(ids)
    assert len(ids) == len(set(ids))
    times = [each["_requestTimeInMicros"] for each in rows]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("maximum", [7, 25])
def test_a_server_that_gives_fewer_rows_than_asked_for_is_read_on(
    client: CodeStreamClient, control: Control, maximum: int
) -> None:
    control.post("actions", system="code_stream", action="insert_executions", pipeline="Smoke test", count=50)
    control.post("switches", system="code_stream", top_maximum=maximum)
    assert len(client.executions.list()) == 52
    assert len(client.executions.list(limit=10)) == 10
    assert len(client.executions.list("status eq 'FAILED' and _nested eq 'false'")) == 1


@pytest.mark.parametrize("total", [None, 150, "150", 150.0, "some"])
def test_links_give_the_order_and_a_document_that_a_list_leaves_out_is_fetched(api: Api, total: Any) -> None:
    def page(request: Received) -> Any:
        skip = int(request.query["$skip"])
        rows = [{"id": f"p{n:03}"} for n in range(max(0, skip - 1), min(150, skip + 100))][: 100 + (skip > 0)]
        reply = listing(rows) | {"totalCount": total}
        for gone in ("p004", "p005"):
            reply["documents"].pop(f"/codestream/api/x/{gone}", None)
        return reply

    api.routes["GET", "/variables"] = page
    api.routes["GET", "/variables/p004"] = {"id": "p004"}
    assert [each["id"] for each in api.client.variables.list()] == [f"p{n:03}" for n in range(150) if n != 5]
    assert len(api.called("GET", "/variables")) == 2


@pytest.mark.parametrize("reply", [{"documents": []}, {"links": {}}, [], "x", {"documents": {"a": 1}}, None])
def test_a_list_of_another_form_is_an_error_and_no_empty_list(api: Api, reply: Any) -> None:
    api.routes["GET", "/executions"] = (200, {}, json.dumps(reply) if reply is not None else None)
    with pytest.raises(UnexpectedResponseError):
        api.client.executions.list()
