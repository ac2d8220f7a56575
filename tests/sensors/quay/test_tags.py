"""The sensor of tags."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider.sensors.quay import QuayTagSensor
from tests.support.meanwhile import meanwhile
from tests.support.quay_sensors import BOTH_MODES, polls, push, wait
from tests.support.quay_tasks import SHOP, promote, tags


@BOTH_MODES
@pytest.mark.parametrize("names_digest", [False, True])
def test_a_tag_that_is_there_is_found_with_its_digest(systems, deferrable, names_digest):
    digest = tags()["stable"]
    ended = wait(QuayTagSensor, tag="stable", digest=digest if names_digest else None, deferrable=deferrable)
    assert ended.error is None
    outputs = ended.result["outputs"]
    assert (outputs["repository"], outputs["tag"], outputs["digest"]) == (SHOP, "stable", digest)
    assert outputs["image_ref"].endswith(f"/acme/shop@{digest}")
    assert ended.result["id"] == ended.xcoms["id"] == "stable"
    assert ended.result["url"] == ended.xcoms["url"] == f"{systems.url}/quay/repository/acme/shop?tab=tags"


@BOTH_MODES
def test_a_tag_that_comes_meanwhile_is_found(systems, deferrable):
    with meanwhile(lambda: polls(systems) > 0 and push(systems)):
        ended = wait(QuayTagSensor, tag="1.4.2", deferrable=deferrable)
    assert ended.result["outputs"]["digest"] == tags()["1.4.2"]


@BOTH_MODES
def test_a_tag_that_points_elsewhere_is_waited_for_until_it_moves(systems, deferrable):
    digest = tags()["vulnerable"]
    elsewhere = wait(QuayTagSensor, tag="stable", digest=digest, timeout=0.2)
    assert isinstance(elsewhere.error, AirflowSensorTimeout)
    assert (
        f"last observed: tag stable is running (other_digest): tag 'stable' still points to {tags()['stable']}"
        in str(elsewhere.error)
    )
    before = polls(systems)
    with meanwhile(lambda: polls(systems) > before and push(systems, "stable", digest=digest)):
        ended = wait(QuayTagSensor, tag="stable", digest=digest, deferrable=deferrable)
    assert ended.result["outputs"]["digest"] == digest


def test_a_promoted_tag_is_found_where_it_was_moved_to():
    digest = promote(source_tag="stable").result["outputs"]["digest"]
    assert wait(QuayTagSensor, tag="production", digest=digest).state == "success"
