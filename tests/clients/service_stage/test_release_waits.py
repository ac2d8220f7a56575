"""Many waits cost one list."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.exceptions import (
    BadRequestError,
    NotFoundError,
    ServerUnavailableError,
)
from airflow_provider.execution import Execution
from tests.support.service_stage_gateway import JUST_NOW, Gateway, release_ref


@pytest.mark.parametrize("ref", [{"kind": "build"}, {"pipeline_id": ""}])
def test_a_reference_of_something_else_is_refused(client: ServiceStageClient, ref: dict[str, str]) -> None:
    with pytest.raises(BadRequestError):
        client.observe({**release_ref(), **ref})


# Many at once


def test_many_waits_cost_one_list_while_they_run(client: ServiceStageClient, gateway: Gateway) -> None:
    now = int(time.time() * 1000)
    gateway.items = [Gateway.item(4, last_trigger_at=now), {**Gateway.item(10, last_trigger_at=now), "id": "b"}]
    seen = client.waits.fetch(
        [release_ref(), release_ref("7", "rollback", pipeline_id="b"), release_ref("", pipeline_id="b")]
    )
    assert [each.state for each in seen if isinstance(each, Execution)] == ["running", "running", "running"]
    assert gateway.sent == ["list"]


def test_what_is_remembered_of_releases_is_small_whatever_the_list_says(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    now = int(time.time() * 1000)
    gateway.items = [
        {**Gateway.item(4, last_trigger_at=now), "id": name, "triggerAt": "x" * 2_000_000} for name in "ab"
    ]
    refs = [release_ref(pipeline_id="a"), release_ref("7", pipeline_id="b")]
    tracemalloc.start()
    try:
        first = client.waits.fetch(refs)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    assert [each.state for each in first if isinstance(each, Execution)] == ["running", "running"]
    again = client.waits.fetch([each for each in first if isinstance(each, Execution)])
    assert again[0] is first[0]
    assert again[1] is first[1]


def test_records_are_asked_where_the_list_says_it_ended_or_somebody_triggered_it_later(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    later = int((JUST_NOW + 300) * 1000)
    gateway.items = [Gateway.item(4, last_trigger_at=later)]
    gateway.recorded({"id": 286541, "status": 3}, {"id": 286542, "status": 4})
    seen = client.waits.fetch([release_ref(), release_ref("286542")])
    assert [each.state for each in seen if isinstance(each, Execution)] == ["failed", "running"]
    assert gateway.sent == ["list", "records", "records"]


def test_each_wait_gets_its_own_error_but_a_broken_connection_concerns_all(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.items = [Gateway.item(2)]
    gateway.recorded({"id": 286541, "status": 2})
    refs = [release_ref(), release_ref("", pipeline_id="gone"), release_ref()]
    seen = client.waits.fetch(refs)
    assert isinstance(seen[1], NotFoundError)
    assert [each.state for each in (seen[0], seen[2]) if isinstance(each, Execution)] == ["succeeded"] * 2
    gateway.refusals = [(503, {}, None)]
    with pytest.raises(ServerUnavailableError):
        client.waits.fetch(refs)
    assert client.waits.fetch([]) == []
