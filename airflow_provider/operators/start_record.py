"""What a task remembers of its start, in Airflow's task state store: it survives retries, clears and killed workers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.execution import ExecutionRef

KEY = "release_start"


def generation_of(context: Context) -> int:
    """The same over automatic retries, another one after a person cleared the task."""
    return int(context["ti"].max_tries)


class StartRecord:
    """One start.

    :param generation: see :func:`generation_of`.
    :param intent: what recognises the execution of this start; written before the start.
    :param started: epoch seconds; deadlines count from here, over retries and deferrals.
    :param ref: the execution, once it is known.
    :param crashes: how many deferrals ended without an event.
    :param left: the task succeeded without waiting for it: it goes on by itself, whatever becomes of the task.
    :param canceled: it was canceled at its deadline: the next attempt starts another one.
    """

    def __init__(
        self,
        generation: int,
        intent: Mapping[str, Any],
        started: float,
        ref: ExecutionRef | None = None,
        crashes: int = 0,
        left: bool = False,
        canceled: bool = False,
    ) -> None:
        self.generation = generation
        self.intent = intent
        self.started = started
        self.ref = ref
        self.crashes = crashes
        self.left = left
        self.canceled = canceled

    @classmethod
    def load(cls, context: Context) -> Self | None:
        """The record of this generation, if there is one."""
        last = cls._last(context)
        return last if last and last.generation == generation_of(context) else None

    @classmethod
    def before_clear(cls, context: Context) -> Self | None:
        """The record of the generation before, if a clear has begun a new one that has not started anything yet."""
        last = cls._last(context)
        return last if last and last.generation != generation_of(context) else None

    @classmethod
    def _last(cls, context: Context) -> Self | None:
        stored = context["task_state_store"].get(KEY)
        return cls(**stored) if isinstance(stored, dict) else None

    @classmethod
    def begin(cls, context: Context, intent: Mapping[str, Any]) -> Self:
        """Write down what is about to be started."""
        record = cls(generation=generation_of(context), intent=intent, started=time.time())
        record.save(context)
        return record

    @property
    def marker(self) -> str:
        return str(self.intent["marker"])

    def save(self, context: Context) -> None:
        context["task_state_store"].set(KEY, dict(vars(self)))

    @staticmethod
    def forget(context: Context) -> None:
        """For a start that certainly did not take place."""
        context["task_state_store"].delete(KEY)
