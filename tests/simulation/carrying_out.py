"""Carries out the commands of the core in virtual time, step for step as operators/starting.py does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider.core import canceling
from airflow_provider.core.canceling import CANCEL_REASON, OVER, RESUMED, Verdict
from airflow_provider.core.commands import (
    Cancel,
    Command,
    Defer,
    Find,
    Forget,
    Log,
    Observe,
    Pause,
    Prepare,
    Program,
    Publish,
    ReadLog,
    Save,
    Send,
)
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.generation import Attempt, Relation
from airflow_provider.core.lines import Level
from airflow_provider.core.policy import Policy
from airflow_provider.core.record import Phase, StartRecord
from airflow_provider.core.starting import Start
from airflow_provider.core.states import State
from airflow_provider.core.waiting import GUESS
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef
from tests.simulation.airflow import NOTICED, AirflowError, StaleError
from tests.simulation.world import Process, Steps

if TYPE_CHECKING:
    from tests.simulation.workers import Worker

KEY = "release_start"
MARKER_XCOM = "release_start"
ANSWER_LIMIT = 3.0
"""Seconds within which Airflow must say what the task is, while its process is told to end."""


class AttemptOver(Exception):  # noqa: N818 - as in operators/attempt.py
    """Airflow has given this attempt up: it sends nothing more."""


class Deferred(Exception):  # noqa: N818 - as Airflow's TaskDeferred
    """The attempt goes on in the triggerer."""


class CommonCarrier(ABC):
    """Carries out what the programs of one attempt ask for.

    ``start`` is the attempt as the core knows it.
    """

    key = KEY
    """Of what the task remembers in Airflow's state store."""
    start: Any
    policy: Any
    is_final = False
    """Whether its error is one that no retry mends."""
    may_finish = False
    """Whether the triggerer may end the task."""
    marker = ""
    """Of the start that a trigger may cancel."""
    until: frozenset[str] = frozenset()
    """States that end the wait although the execution goes on."""

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
        if self.world.is_telling:
            self.world.tell(str(self.worker), f"writes down: {self.in_words(record)}")
        self.world.judge.saved(self.worker, record)

    @abstractmethod
    def in_words(self, record: Any) -> str:
        """What it writes down, for the story of a life."""

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
        self.worker.is_deferring = True
        self.world.point("defer", self.worker)
        if self.marker:
            yield from self.airflow.push(self.worker, MARKER_XCOM, self.marker)
        trigger = Trigger(self.worker, self, command.ref, command.deadline, judged_at)
        try:
            yield from self.airflow.defer(self.worker, trigger)
        except AirflowError as error:
            # The task's code is left already when Airflow is told of the deferral: it cannot do anything about that.
            self.world.tell(str(self.worker), f"cannot defer: {error}")
            self.worker.will_be_missed()
        raise Deferred

    def _log(self, command: Log) -> Steps[None]:
        for line in command.lines:
            if line.level is not Level.INFO:
                self.worker.task.warn(line.text)
            else:
                self.world.tell(str(self.worker), f"log: {line.text}")
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

    def _write_guard(self) -> Steps[None]:
        yield from self.airflow.write(self.worker, "release_attempt", 1)

    def on_kill(self, *, timed_out: bool) -> Steps[None]:
        """The process is told to end, or finds out by itself that it is over; its main program stands still."""
        return
        yield


class Carrier(CommonCarrier):
    """Carries out what one attempt of a start decides."""

    def __init__(self, worker: Worker, record: StartRecord | None) -> None:
        super().__init__(worker)
        # Whoever deploys other retries changes an argument as well.
        self.policy = policy_of(self.airflow.policy, self.client, asked=f"{worker.task.retries} retries")
        self.start = CountedStart(self.policy, record, self.attempt, worker.machine.now, self._count_move)
        self.start.related_to = self._count_relation
        self.net = DURATIONS.pushed_interval if self.airflow.policy.get("callback") else None
        self.has_noted_end = False
        self.has_adopted = False
        """Whether it continues with what it has found of an earlier attempt."""
        self._perform |= {
            Forget: self._forget,
            Prepare: self._prepare,
            Send: self._send,
            Find: lambda command: self.client.find(worker, command.intent),
            Cancel: self._cancel,
        }

    @property
    def is_final(self) -> bool:  # type: ignore[override]
        return self.start.is_final

    @property
    def may_finish(self) -> bool:  # type: ignore[override]
        record = self.start.record
        # A worker must look for what came late of a start that got no answer.
        is_open = bool(record and (record.is_late or record.unanswered))
        return bool(self.airflow.policy["finish_in_triggerer"]) and not is_open

    @property
    def marker(self) -> str:  # type: ignore[override]
        """Empty of what is only guessed to be its own, which is never canceled."""
        record = self.start.record
        return record.marker if record and GUESS not in (record.ref or {}) else ""

    def in_words(self, record: StartRecord) -> str:
        return f"{record.phase}, {record.ref['id'] if record.ref else 'no id'}"

    def perform(self, command: Command) -> Steps[Any]:
        if self.is_canceling:
            raise AttemptOver("the task was ended, and its execution is being canceled: nothing else is done")
        if self.has_adopted and isinstance(command, (Defer, Pause)):
            self.world.judge.follows(self.worker)
        return (yield from super().perform(command))

    def answer_for_it(self, record: StartRecord) -> Steps[None]:
        """From now on this process answers for the execution, whatever a triggerer believes that comes back late."""
        self.world.point("resume", self.worker)
        yield from self.airflow.push(self.worker, MARKER_XCOM, RESUMED + record.marker)

    # The commands

    def _forget(self, command: Forget) -> Steps[None]:
        yield from self.airflow.write(self.worker, KEY, None)

    def _prepare(self, command: Prepare) -> Steps[dict[str, Any]]:
        record = self.start.record
        failed = record.ref if command.after_failure and record else None
        return (yield from self.client.prepare(self.worker, failed))

    def _send(self, command: Send) -> Steps[Execution]:
        self.world.point("send before", self.worker)
        yield 0.0
        yield from self.require_standing()
        self.world.judge.sends(self.worker, command.intent)
        try:
            execution: Execution = yield from self.client.send(self.worker, command.intent)
        except ReleasePipelineError as error:
            if not error.effect.is_open:
                self.world.judge.refuses(command.intent)
            raise
        if not execution.state.is_terminal:
            self.client.note_unfinished(self.worker, execution.ref)
        if self.is_canceling:
            # A person ended the task while its start was on the way.
            yield from self._cancel_at_end(execution.ref, "the task was ended while it started the execution")
            raise AttemptOver("the task was ended while it started the execution")
        return execution

    def _cancel(self, command: Cancel) -> Steps[None]:
        self.world.point("cancel before", self.worker)
        yield 0.0
        yield from self.require_standing()
        self.world.judge.cancels(self.worker, command.ref, is_attempt=True)
        yield from self.client.cancel(self.worker, command.ref, command.reason)

    def _defer(self, command: Defer) -> Steps[None]:
        yield from self.require_standing()
        # The guards compile this by itself, where super() would find no class.
        yield from CommonCarrier._defer(self, command)  # noqa: SLF001

    # The end

    def require_standing(self) -> Steps[None]:
        """:raises AttemptOver: Airflow has given this attempt up, or has told it to end."""
        yield from CommonCarrier.require_standing(self)
        if self.worker.is_told_to_end:
            raise AttemptOver("the task was told to end: nothing is sent any more")

    def on_kill(self, *, timed_out: bool) -> Steps[None]:
        """The process is told to end, or finds out by itself that it is over; its main program stands still."""
        world, task, worker = self.world, self.worker.task, self.worker
        world.point("on_kill", worker)
        if not self.policy.cancel_on_kill:
            return
        state, is_stale = None, False
        if self.airflow.is_away:
            yield ANSWER_LIMIT
        elif not timed_out:
            state, is_stale = yield from self._told()
        verdict, reason = canceling.judge_worker_kill(
            state, timed_out=timed_out, frozen_for=worker.frozen_for(), is_stale=is_stale
        )
        self.has_judged = True
        world.counted[f"worker kill: {verdict}"] += 1
        record = self.start.record
        name = record.name if record else "nothing yet"
        if verdict is not Verdict.CANCEL:
            task.warn(f"Not canceling {name}: {reason}")
            return
        self.is_canceling = True
        if record and record.is_over:
            return
        if record and record.ref:
            if timed_out and GUESS not in record.ref:
                yield from self._note_ending(record.ref)
            cancellation = Process(worker.machine, self._cancel_at_end(record.ref, reason))
            end = world.now + DURATIONS.worker_kill_limit
            while not cancellation.is_over and world.now < end:
                yield 0.25
        else:
            task.warn(f"The task is ended while {name} may be on its way: {reason}")

    def _told(self) -> Steps[tuple[str | None, bool]]:
        """The task's state, and whether Airflow refuses this attempt."""
        state = None
        try:
            state = yield from self.airflow.state_of(self.worker.task)
            yield from self._write_guard()
        except StaleError:
            return state, True
        except AirflowError:
            pass
        return state, False

    def _cancel_at_end(self, ref: ExecutionRef, reason: str) -> Steps[None]:
        if GUESS not in ref:
            self.worker.task.warn(f"Canceling {ref['kind']} {ref['id']}: {reason}")
        timed = Timed(self.worker.machine.now)
        program = canceling.cancel(timed, ref, CANCEL_REASON, DURATIONS.worker_kill_limit)
        yield from carry_out(program, timed, self._perform_at_end, self.worker.machine)
        if GUESS not in ref:
            yield from self._note_ending(ref)

    def _perform_at_end(self, command: Command) -> Steps[Any]:
        """Without the guard: it is a person's act that is carried out."""
        if isinstance(command, Cancel):
            self.world.point("cancel before", self.worker)
            yield 0.0
            self.world.judge.cancels(self.worker, command.ref)
            return (yield from self.client.cancel(self.worker, command.ref, command.reason))
        return (yield from self._perform[type(command)](command))

    def _note_ending(self, ref: ExecutionRef) -> Steps[None]:
        if record := self.start.record:
            record.phase, record.ref = Phase.ENDING, ref
            yield from self._try_to_save(record)
        self.has_noted_end = True

    def _try_to_save(self, record: StartRecord) -> Steps[None]:
        with suppress(AirflowError):
            yield from self._save(Save(record))

    def _count_relation(self, related: Relation) -> None:
        self.world.relations[related] += 1
        self.world.tell(str(self.worker), f"is {related} to the attempt that wrote last")

    def _count_move(self, before: Any, after: Any) -> None:
        self.has_adopted |= (before, after) == (State.OBSERVING, State.WAITING)
        self.world.moves[before, after] += 1
        if self.world.is_telling:
            self.world.tell(str(self.worker), f"{before} -> {after}")


class CountedStart(Start):
    """Tells what its attempt was taken for."""

    related_to: Callable[[Relation], None]

    def _relation(self, record: StartRecord) -> Relation:
        related = super()._relation(record)
        self.related_to(related)
        return related


class Timed:
    """Who runs a program of its own."""

    def __init__(self, now: float) -> None:
        self.now = now


def carry_out(program: Program[Any], timed: Any, perform: Callable[[Command], Steps[Any]], machine: Any) -> Steps[Any]:
    """Run a program of the core to its end, with the time it is told before each answer."""
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


def policy_of(settings: dict[str, Any], client: Any, asked: str) -> Policy:
    return Policy(
        system=settings["system"],
        place=client.place,
        asked=asked,
        poll_interval=settings["poll_interval"],
        timeout=settings["timeout"],
        wait_for_completion=settings["wait_for_completion"],
        deferrable=settings["deferrable"],
        cancel_on_kill=settings["cancel_on_kill"],
        fail_on_waiting=settings["fail_on_waiting"],
        on_canceled=settings["on_canceled"],
        approve=bool(settings.get("approve")),
        request_timeout=settings["request_timeout"],
        is_marked=client.is_marked_start,
        needs_cancel=client.needs_cancel,
        settling_of=client.settling_of,
        is_busy=client.is_busy,
        is_known=client.is_known,
    )
