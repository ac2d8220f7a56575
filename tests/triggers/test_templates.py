"""A sensor that starts in the triggerer refuses what is missing in its templates, with the words of a worker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider.exceptions import BadRequestError
from airflow_provider.missing_parts import MISSING, MISSING_PART, UNDEFINED_PART
from airflow_provider.sensors.quay import QuayTagSensor
from airflow_provider.triggers.execution import ExecutionTrigger


def rendered(tag: str, xcom: Any = None) -> dict[str, str]:
    """What the triggerer makes of a sensor's tag.

    :param xcom: what the tasks before it have pushed.
    """
    sensor = QuayTagSensor(task_id="wait", repository="acme/shop", tag=tag, start_from_trigger=True)
    started = sensor.how_to_start()
    assert started
    trigger = ExecutionTrigger(**started.trigger_kwargs)
    # As Airflow does when it hands the trigger its task.
    trigger.template_fields = tuple(name for name in sensor.template_fields if name in started.trigger_kwargs)
    ti = SimpleNamespace(xcom_pull=lambda *_, **__: xcom)
    trigger.render_template_fields({"ti": ti, "run_id": "manual"})  # type: ignore[typeddict-item]
    return trigger.ref


@pytest.mark.parametrize(
    ("tag", "problem"),
    [
        ("{{ ti.xcom_pull('build') }}", MISSING),
        ("v{{ ti.xcom_pull('build') }}", MISSING_PART),
        ("{{ run_id }}-{{ ti.xcom_pull('build') }}", MISSING_PART),
        ("v{{ nobody_defined_this }}", UNDEFINED_PART),
        ("{{ nobody_defined_this }}", UNDEFINED_PART),
    ],
)
def test_what_is_missing_in_a_template_is_refused_in_the_triggerer_too(tag: str, problem: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        rendered(tag)
    # The worker that the task then goes to calls it by the name of its argument.
    assert caught.value.summary == f"id {problem}"


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("v{{ ti.xcom_pull('build') or '' }}", "v"),
        ("None", "None"),
        ("{{ 'vNone' }}", "vNone"),
        ("{{ run_id }}-{{ 7 }}", "manual-7"),
    ],
)
def test_what_is_meant_to_be_empty_or_none_stays(tag: str, value: str) -> None:
    ref = rendered(tag)
    assert (ref["tag"], ref["repository"]) == (value, "acme/shop")


def test_what_is_there_is_rendered() -> None:
    assert rendered("v{{ ti.xcom_pull('build') }}", xcom="1.10")["tag"] == "v1.10"
