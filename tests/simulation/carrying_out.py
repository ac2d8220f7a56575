"""Carries out the commands of the core in virtual time, step for step as operators/carrying_out.py does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider.core.commands import (
    Command,
    Defer,
    Log,
    Observe,
    Pause,
    Program,
    Publish,
    ReadLog,
    Save,
)
from airflow_provider.core.generation import Attempt
from airflow_provider.core.lines import Level
from airflow_provider.core.task_states import OVER
from airflow_provider.exceptions import ReleasePipelineError
from tests.simulation.airflow import NOTICED, AirflowError
from tests.simulation.world import Steps

if TYPE_CHECKING:
    from tests.simulation.triggerers import Trigger
    from tests.simulation.workers import Worker

KEY = "release_start"
MARKER_XCOM = "release_start"

ONE_CALL = 0.02
"""Seconds that an answer of Airflow takes."""


class AttemptOver(Exception):  # noqa: N818 - as in operators/attempt.py
    """Airflow has given this attempt up: it sends nothing more."""


class Deferred(Exception):  # noqa: N818 - as Airflow's TaskDeferred
    """The attempt continues in the triggerer."""


class CommonCarrier(ABC):
    """Carries out what the programs of one attempt ask for.

    ``start`` is the attempt as the core knows it.
    """

    key = KEY
    """Key of the record in Airflow's state store."""
    start: Any
    policy: Any
    is_final = False
    """Whether no retry follows its error."""
    may_finish = False
    """Whether the triggerer may end the task."""
    marker = ""
    """The marker of the start that a trigger may cancel."""
    until: frozenset[str] = frozenset()
    """States that end the wait although the execution continues."""

    net: float | None = None
    """Seconds between a trigger's polls if the vendor reports the end by itself."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.world = worker.world
        self.airflow = worker.airflow
        self.client = worker.client
        task = worker.task
        self.attempt = Attempt(task.try_number, task.max_tries, task.run.clear_number, task.retries)
        self.is_canceling = self.has_judged = False
        self._perform: dict[type, Callable[[Any], Steps[Any]]] = {
            Save: self._save,
            Observe: lambda command: self.client.observe(worker, command.ref),
            Publish: self._publish,
            Pause: self._pause,
            Defer: self._defer,
            Log: self._log,
            ReadLog: self._read_log,
        }

    def is_final_after(self, error: ReleasePipelineError) -> bool:
        """Whether no retry follows this error."""
        return bool(self.is_final)

    def run(self, program: Any) -> Steps[Any]:
        return (yield from carry_out(program, self.start, self.perform, self.worker.machine))

    def perform(self, command: Command) -> Steps[Any]:
        return (yield from self._perform[type(command)](command))

    def _save(self, command: Save) -> Steps[None]:
        yield from self._write(command.record)

    def _write(self, record: Any) -> Steps[None]:
        body = record.to_json()
        self.world.point("save", self.worker)
        yield 0.0
        yield from self.airflow.write(self.worker, self.key, body)
        if self.world.keeps_story:
            self.world.note(str(self.worker), f"saves: {self.in_words(record)}")
        self.world.judge.saved(self.worker, record)

    @abstractmethod
    def in_words(self, record: Any) -> str:
        """The record in a few words, for the story of a life."""

    def _publish(self, command: Publish) -> Steps[None]:
        self.world.point("publish", self.worker)
        self.world.judge.publishes(self.worker, command.execution.ref)
        yield from self.airflow.push(self.worker, "release_id", command.execution.id)

    def _pause(self, command: Pause) -> Steps[None]:
        self.world.point("pause", self.worker)
        self.world.judge.pauses(self.worker, command.seconds)
        yield command.seconds

    def _defer(self, command: Defer) -> Steps[None]:
        from tests.simulation.triggerers import Trigger

        judged_at = self.worker.machine.now
        if command.deadline is not None and judged_at + NOTICED >= command.deadline:
            return
        yield from self.hand_over(lambda: Trigger(self.worker, self, command.ref, command.deadline, judged_at))

    def hand_over(self, trigger: Callable[[], Trigger]) -> Steps[None]:
        """Defer.

        :param trigger: makes the trigger that takes over.
        :raises Deferred: always.
        """
        self.worker.is_deferring = True
        self.world.point("defer", self.worker)
        if self.marker:
            yield from self.push_if_standing(MARKER_XCOM, self.marker)
        try:
            yield from self.airflow.defer(self.worker, trigger())
        except AirflowError as error:
            # The task's code has ended before its deferral is reported to Airflow: it cannot react.
            self.world.note(str(self.worker), f"cannot defer: {error}")
            self.worker.will_be_missed()
        raise Deferred

    def _log(self, command: Log) -> Steps[None]:
        for line in command.lines:
            if line.level is not Level.INFO:
                self.worker.task.warn(line.text)
            else:
                self.world.note(str(self.worker), f"log: {line.text}")
        return
        yield

    def _read_log(self, command: ReadLog) -> Steps[None]:
        return
        yield

    def require_standing(self) -> Steps[None]:
        """:raises AttemptOver: Airflow has given this attempt up."""
        try:
            yield from self._write_guard()
            state = yield from self.airflow.state_of(self.worker.task)
        except AirflowError as error:
            raise AttemptOver(f"this attempt may not be Airflow's any more: {error}") from None
        if state in OVER:
            raise AttemptOver(f"the task is {state}: this attempt is over and sends nothing more")

    def push_if_standing(self, key: str, value: str) -> Steps[None]:
        """As ``push_if_standing`` of ``operators/attempt.py``; if Airflow is away, the push finds that out."""
        yield ONE_CALL
        if self.worker.task.id == self.worker.id:
            yield from self.airflow.push(self.worker, key, value)

    def _write_guard(self) -> Steps[None]:
        yield from self.airflow.write(self.worker, "release_attempt", 1)

    def on_kill(self, *, timed_out: bool) -> Steps[None]:
        """The process got SIGTERM, or found out by itself that it is over; its main program is interrupted."""
        return
        yield


class Timed:
    """The time of a program that has no other owner."""

    def __init__(self, now: float) -> None:
        self.now = now


def carry_out(program: Program[Any], timed: Any, perform: Callable[[Command], Steps[Any]], machine: Any) -> Steps[Any]:
    """Run a program of the core to its end, setting its time before each answer."""
    answer: Any = None
    error: ReleasePipelineError | None = None
    try:
        while True:
            command = program.send(answer) if error is None else program.throw(error)
            try:
                answer, error = (yield from perform(command)), None
            except ReleasePipelineError as problem:
                answer, error = None, problem
            timed.now = machine.now
    except StopIteration as stop:
        return stop.value
