"""How a run advances: its steps begin and end by the clock.

Builds, cancels and removals are all runs; running.py decides what an end means for other runs.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider.sandbox.cocktail.models import BuildRun

LOG_TEXTS = {
    "INIT": "prepare build environment\n",
    "CODE_DOWN": "clone source repository\nHEAD is now at 42d4a62\n",
    "CREATE_IMAGE": "STEP 1: FROM base\nSTEP 2: COPY . /app\nCOMMIT image\n",
}


def start(run: BuildRun, now: float, seconds: Callable[[str], float]) -> None:
    """The build server accepts the run, whose first step is then RUNNING."""
    run.enter("RUNNING", now)
    _begin(run, 0, now, seconds)


def advance(run: BuildRun, now: float, seconds: Callable[[str], float], fails: Callable[[BuildRun, str], bool]) -> int:
    """Advances ``run`` to ``now``; returns how many steps have begun, each of which sends a callback.

    Does not end the run: after its last step, ``due`` is None and the run is still RUNNING.
    """
    begun = 0
    while run.due is not None and run.due <= now:
        index = next(index for index, step in enumerate(run.steps) if step.state == "RUNNING")
        step, at = run.steps[index], run.due
        step.end = at
        step.log = LOG_TEXTS.get(step.step_type, "")
        if fails(run, step.step_type):
            step.state, step.log, run.due = "ERROR", step.log + f"ERROR: step {step.step_type} failed\n", None
            return begun
        step.state = "DONE"
        if index + 1 == len(run.steps):
            run.due = None
            return begun
        _begin(run, index + 1, at, seconds)
        begun += 1
    return begun


def end_time(run: BuildRun, now: float) -> float:
    return max((step.end for step in run.steps if step.end is not None), default=now)


def _begin(run: BuildRun, index: int, at: float, seconds: Callable[[str], float]) -> None:
    step = run.steps[index]
    step.state, step.begin = "RUNNING", at
    run.due = at + seconds(step.step_type)
