"""The sensor of builds."""

from __future__ import annotations

from airflow_provider.exceptions import ExecutionCanceled, ExecutionFailed
from airflow_provider.sensors.quay import QuayBuildSensor
from tests.support.quay_sensors import BOTH_MODES, wait
from tests.support.quay_tasks import tags
from tests.support.watched import start_image_build

SLOW = 0.05


@BOTH_MODES
def test_the_outputs_of_a_build_are_its_tags_and_its_image(deferrable):
    ended = wait(QuayBuildSensor, build_id=start_image_build(), deferrable=deferrable)
    outputs = ended.result["outputs"]
    assert (outputs["tags"], outputs["digest"]) == (["1.4.2"], tags()["1.4.2"])
    assert outputs["image_ref"].endswith(f"/acme/shop@{outputs['digest']}")


@BOTH_MODES
def test_the_error_of_a_failed_build_says_why(systems, deferrable):
    # At full speed its log is archived, and with it the reason, before a busy machine has started the task.
    systems.reset(speed=SLOW)
    build_id = start_image_build()
    systems.force("quay", build_id, "error")
    ended = wait(QuayBuildSensor, build_id=build_id, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionFailed)
    assert "in phase error: The Dockerfile could not be built" in str(ended.error)


@BOTH_MODES
def test_a_canceled_build_is_no_failed_one(systems, deferrable):
    systems.reset(speed=SLOW)
    build_id = start_image_build()
    systems.force("quay", build_id, "cancelled")
    ended = wait(QuayBuildSensor, build_id=build_id, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionCanceled)
