"""The Cocktail sensor in real Airflow against the sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.exceptions import BadRequestError, ExecutionCanceled, ExecutionFailed, NotFoundError
from airflow_provider.hooks.cocktail import CocktailHook
from airflow_provider.sensors.cocktail import CocktailBuildSensor
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.cocktail_tasks import start

BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])


@pytest.fixture(autouse=True)
def fast(systems) -> None:
    systems.reset(speed=100)


def wait(run_seq: str | int, **arguments: Any) -> TaskRun:
    arguments = {"poke_interval": 0.1, "timeout": 10, **arguments}
    return run_task(lambda: CocktailBuildSensor(task_id="wait", build_run_seq=run_seq, **arguments))


@BOTH_MODES
@pytest.mark.parametrize("as_type", [str, int])
def test_the_outputs_of_a_build_are_its_image_pinned_by_digest(deferrable, as_type):
    outputs = wait(as_type(start()), deferrable=deferrable).result["outputs"]
    assert set(outputs) == {"image", "tag", "digest", "image_ref", "size", "build_no"}
    assert (outputs["image"], outputs["tag"]) == ("registry.example.com/acme/shop", "1.4.2")
    assert outputs["image_ref"] == f"registry.example.com/acme/shop@{outputs['digest']}"


@BOTH_MODES
def test_a_canceled_build_is_no_failed_one(systems, deferrable):
    systems.reset(speed=5)
    run_seq = start()
    with CocktailHook().get_conn() as client:
        client.runs.cancel(run_seq)
    ended = wait(run_seq, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionCanceled)


def test_a_failure_names_the_step_that_broke(systems):
    systems.switch("cocktail", failing_step="CODE_DOWN")
    ended = wait(start())
    assert isinstance(ended.error, ExecutionFailed)
    assert "CODE_DOWN" in str(ended.error)


@BOTH_MODES
def test_a_run_that_is_not_there_is_not_waited_for(deferrable):
    ended = wait(99, deferrable=deferrable, timeout=30)
    assert isinstance(ended.error, NotFoundError)
    assert "99" in str(ended.error)


def test_the_cancel_run_of_a_build_is_no_build(systems):
    systems.reset(speed=5)
    with CocktailHook().get_conn() as client:
        cancel_run = str(client.runs.cancel(start())["buildRunSeq"])
    ended = wait(cancel_run)
    assert isinstance(ended.error, BadRequestError)
    assert "CANCEL" in str(ended.error)
