"""The stub answers like the vendors, ends executions at the planned moment, and counts what it was asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from bench.certificates import Certificates
from bench.contenders import BY_NAME, Endpoint, connection_json
from bench.stub.control import Stub
from bench.stub.systems import Cocktail, CodeStream, Quay, ServiceStage

SINGLE: dict[str, tuple[str, Callable[[Any], Any], Any, Any]] = {
    "dbt_cloud": ("/api/v2/accounts/1/runs/4/", lambda body: body["data"]["status"], 3, 10),
    "databricks": ("/api/2.1/jobs/runs/get?run_id=4", lambda body: body["state"].get("result_state"), None, "SUCCESS"),
    "http": ("/http/3", lambda body: body["done"], False, True),
    "service_stage": (
        f"/service_stage/0/v3/p/pipeline/pipelines/{ServiceStage.pipeline_id(3)}/records",
        lambda body: body["records"][0]["status"],
        4,
        2,
    ),
    "cocktail": (
        f"/cocktail/0/v1/build/run/{Cocktail.FIRST_RUN + 3}",
        lambda body: body["result"]["runState"],
        "RUNNING",
        "DONE",
    ),
    "code_stream": (
        f"/code_stream/0/codestream/api/executions/{CodeStream.execution_id(3)}",
        lambda body: body["status"],
        "RUNNING",
        "COMPLETED",
    ),
    "quay": (
        f"/quay/0/api/v1/repository/bench/1/build/{Quay.build_id(3)}",
        lambda body: body["phase"],
        "building",
        "complete",
    ),
}


@pytest.mark.parametrize("system", SINGLE)
def test_an_execution_ends_at_the_planned_moment(stub: Stub, certificates: Certificates, system: str) -> None:
    path, state, running, ended = SINGLE[system]
    stub.clear()
    stub.begin(system, "0", 10, 2)

    def poll() -> Any:
        return state(requests.get(stub.url + path, verify=certificates.bundle, timeout=60).json())

    assert poll() == running
    stub.plan(system, "0", {3: time.time() + 60})
    assert poll() == running
    stub.plan(system, "0", {3: time.time()})
    assert poll() == ended
    assert stub.counts().requests == {("0", "single"): 3}


def test_requests_over_one_connection_count_as_one_connection(stub: Stub, certificates: Certificates) -> None:
    stub.clear()
    stub.begin("http", "0", 10, 1)
    with requests.Session() as session:
        for _ in range(5):
            session.get(stub.url + "/http/1", verify=certificates.bundle, timeout=60)
        counts = stub.counts()
    assert (counts.total, counts.connections) == (5, 1)


def test_code_stream_lists_the_last_change_first(stub: Stub, certificates: Certificates) -> None:
    stub.clear()
    stub.begin("code_stream", "0", 10, 1)
    stub.plan("code_stream", "0", {4: time.time()})
    answer = requests.get(
        f"{stub.url}/code_stream/0/codestream/api/executions",
        {"$orderby": "_updateTimeInMicros desc", "$top": "3"},
        verify=certificates.bundle,
        timeout=60,
    ).json()
    assert [link.rpartition("/")[2] for link in answer["links"]] == [
        CodeStream.execution_id(index) for index in (4, 9, 8)
    ]
    assert (answer["count"], answer["totalCount"], len(answer["documents"])) == (3, 10, 3)


def test_a_quay_list_is_no_longer_than_the_real_one(stub: Stub, certificates: Certificates) -> None:
    stub.clear()
    stub.begin("quay", "0", 300, 1)
    path = f"{stub.url}/quay/0/api/v1/repository/bench/0/build/?limit=1000"
    assert len(requests.get(path, verify=certificates.bundle, timeout=60).json()["builds"]) == 100


def test_quays_tags_are_those_of_builds_that_have_ended(stub: Stub, certificates: Certificates) -> None:
    stub.clear()
    stub.begin("quay", "0", 300, 1)
    stub.plan("quay", "0", {index: time.time() - 300 + index for index in range(101)})
    path = f"{stub.url}/quay/0/api/v1/repository/bench/0/tag/"

    def listed(query: str) -> Any:
        answer = requests.get(path + query, verify=certificates.bundle, timeout=60).json()
        return [tag["name"] for tag in answer["tags"]], answer["has_additional"]

    assert listed("?specificTag=tag-7") == (["tag-7"], False)
    assert listed("?specificTag=tag-107") == ([], False)
    assert listed("") == ([f"tag-{index}" for index in range(100, 0, -1)], True)
    assert listed("?page=2") == (["tag-0"], False)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_contender_has_a_connection_and_a_trigger_for_each_wait(name: str) -> None:
    contender = BY_NAME[name]
    fields = connection_json(contender, Endpoint(1234, "bundle.pem"), 0)
    assert "1234" in str(fields)
    assert len({str(contender.trigger(index, 0, 5.0, 20)) for index in range(20)}) == 20
