"""Waiting in a worker: poll until the wait is over."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider.core.canceling import Timed
from airflow_provider.core.commands import Log, Observe, Pause, Program, ReadLog
from airflow_provider.core.waiting import Outcome, Pace, Wait
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef


def watch(
    timed: Timed,
    wait: Wait,
    seen: Execution,
    *,
    has_log: Callable[[ExecutionRef], bool],
    after_poll: Callable[[Wait], Program[None]],
) -> Program[Outcome]:
    """:param seen: the observation before the first pause.
    :param after_poll: runs after each poll that does not end the wait.
    """
    pace = Pace()
    observation: Execution | ReleasePipelineError = seen
    while True:
        outcome = wait.update(observation, timed.now)
        if new := wait.new_lines():
            yield Log(new)
            if has_log(wait.ref):
                yield ReadLog(wait, is_last=outcome is not None)
        if outcome:
            return outcome
        yield from after_poll(wait)
        yield Pause(pace.pause(wait.interval, wait.until_deadline(timed.now)))
        try:
            observation = yield Observe(wait.ref)
            pace.note(None)
        except ReleasePipelineError as error:
            observation = error
            pace.note(error)
