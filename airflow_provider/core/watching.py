"""Waiting in a worker: look again and again until the wait is over."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider.core.canceling import Timed
from airflow_provider.core.commands import Observe, Pause, Program, ReadLog, Tell
from airflow_provider.core.waiting import Outcome, Pace, Wait
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef


def watch(
    timed: Timed,
    wait: Wait,
    seen: Execution,
    *,
    has_log: Callable[[ExecutionRef], bool],
    meanwhile: Callable[[Wait], Program[None]],
) -> Program[Outcome]:
    """:param seen: what was seen before the first pause.
    :param meanwhile: run after each look that does not end the wait.
    """
    pace = Pace()
    observation: Execution | ReleasePipelineError = seen
    while True:
        outcome = wait.saw(observation, timed.now)
        if news := wait.news():
            yield Tell(news)
            if has_log(wait.ref):
                yield ReadLog(wait)
        if outcome:
            return outcome
        yield from meanwhile(wait)
        yield Pause(pace.pause(wait.interval, wait.until_deadline(timed.now)))
        try:
            observation = yield Observe(wait.ref)
            pace.note(None)
        except ReleasePipelineError as error:
            observation = error
            pace.note(error)
