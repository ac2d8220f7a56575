"""What a trigger logs while it cancels is in the log of its task, where people look; Airflow routes it by trigger."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from tests.support.story import SLOW, STARTERS, Story

TRIGGER_ID = 7


def end_as_airflow_does(story: Story, trigger: Any) -> list[dict[str, Any]]:
    """Let a triggerer of Airflow run the wait and end it; returns the lines of the log."""
    from airflow.jobs import triggerer_job_runner as triggerer

    async def run() -> None:
        runner = triggerer.TriggerRunner()
        wait = asyncio.create_task(runner.run_trigger(TRIGGER_ID, trigger))
        runner.triggers[TRIGGER_ID] = {"task": wait, "is_watcher": False, "name": "wait", "events": 0}
        await asyncio.sleep(1.0)
        # About once a second, until its supervisor hears that the wait has ended.
        while not wait.done():
            runner.to_cancel.append(TRIGGER_ID)
            await runner.cancel_triggers()
            await asyncio.wait({wait}, timeout=1.0)

    with capture_logs(processors=[merge_contextvars]) as lines:
        story.task.in_triggerer(run)
    return lines


def said(lines: list[dict[str, Any]], text: str) -> list[int]:
    """The triggers that logged it."""
    return [line.get("trigger_id", 0) for line in lines if text in str(line["event"])]


@pytest.mark.parametrize("status", [502, 403])
def test_that_a_cancel_fails_is_in_the_tasks_log_from_the_first_try_on(systems, status):
    systems.reset(SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=True)
    trigger = story.task.trigger(story.attempt())
    story.task.mark("failed")
    systems.fault("code_stream", "status", method="POST", path="/executions/", status=status)
    lines = end_as_airflow_does(story, trigger)
    assert set(said(lines, "Could not cancel")) == {TRIGGER_ID}
