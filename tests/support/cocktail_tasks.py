"""Tasks on Cocktail, and what the sandbox's Cocktail saw of them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.hooks.cocktail import CocktailHook
from airflow_provider.operators.cocktail import CocktailCancelBuildOperator
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.systems import Systems

SHOP, AUTOTAG, BROKEN, NO_DIGEST = 12, 13, 14, 15
SLOW = 0.05
BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])


def start() -> str:
    """A run that no task has started."""
    with CocktailHook().get_conn() as client:
        return client.builds.run(SHOP, tag_name="1.4.2").id


def start_endless(systems: Systems) -> str:
    """A run that goes on until somebody cancels it, which is quick."""
    systems.switch("cocktail", step_seconds={"CREATE_IMAGE": 1e6})
    return start()


def run_seen(systems: Systems, run_seq: str) -> dict[str, Any]:
    return next(each for each in systems.executions("cocktail") if each["id"] == run_seq)


def cancel(run_seq: str, **arguments: Any) -> TaskRun:
    arguments = {"build_run_seq": run_seq, **arguments}
    return run_task(lambda: CocktailCancelBuildOperator(task_id="cancel", poll_interval=0.1, **arguments))
