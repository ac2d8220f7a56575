"""Cocktail operators in real Airflow against the sandbox."""

from __future__ import annotations

import pytest

from airflow_provider.exceptions import BadRequestError, ExecutionFailed
from airflow_provider.operators.cocktail import CocktailCancelBuildOperator, CocktailRunBuildOperator
from tests.airflow_runs import run_task

MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])


@MODES
def test_a_build_is_started_once_and_its_image_is_the_result(systems, deferrable):
    run = run_task(
        lambda: CocktailRunBuildOperator(
            task_id="build", build_seq=12, tag_name="1.4.2", poll_interval=0.2, deferrable=deferrable
        )
    )
    assert run.state == "success"
    assert run.result["state"] == "succeeded"
    assert run.result["outputs"]["tag"] == "1.4.2"
    assert run.result["outputs"]["image_ref"].endswith("@" + run.result["outputs"]["digest"])
    assert run.xcoms["id"] == run.result["id"]
    assert len(systems.requests("cocktail", method="POST")) == 1
