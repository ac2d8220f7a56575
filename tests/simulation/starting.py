"""What one attempt of a start does, step for step as operators/starting.py and operators/start_attempt.py do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider.core import canceling
from airflow_provider.core.canceling import CANCEL_REASON, RESUMED, Verdict
from airflow_provider.core.commands import (
    Cancel,
    Command,
    Defer,
    Find,
    Forget,
    Pause,
    Prepare,
    Save,
    Send,
)
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.generation import Relation
from airflow_provider.core.policy import Policy
from airflow_provider.core.record import Phase, StartRecord
from airflow_provider.core.starting import Start
from airflow_provider.core.states import State
from airflow_provider.core.waiting import GUESS
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef
from tests.simulation.airflow import AirflowError, StaleError
from tests.simulation.carrying_out import KEY, MARKER_XCOM, AttemptOver, CommonCarrier, Timed, carry_out
from tests.simulation.world import Process, Steps

if TYPE_CHECKING:
    from tests.simulation.workers import Worker

ANSWER_LIMIT = 3.0
"""Seconds within which Airflow must report the task's state after its process got SIGTERM."""


class StartCarrier(CommonCarrier):
    """Carries out what one attempt of a start decides."""

    def __init__(self, worker: Worker, record: StartRecord | None) -> None:
        super().__init__(worker)
        # Whoever deploys other retries changes an argument as well.
        self.policy = policy_of(self.airflow.policy, self.client, asked=f"{worker.task.retries} retries")
        self.start = CountedStart(self.policy, record, self.attempt, worker.machine.now, self._count_move)
        self.start.related_to = self._count_relation
        self.net = DURATIONS.pushed_interval if self.airflow.policy.get("callback") else None
        self.related: Relation | None = None
        """How it relates to the attempt that saved the record, if there is one."""
        self.has_noted_end = False
        self.has_adopted = False
        """Whether it continues what an earlier attempt started."""
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
        # Only a worker searches for what an unanswered start may have started.
        is_open = bool(record and (record.is_late or record.unanswered))
        return bool(self.airflow.policy["finish_in_triggerer"]) and not is_open

    @property
    def marker(self) -> str:  # type: ignore[override]
        """Empty for what is only guessed to be its own, which is never canceled."""
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

    def take_responsibility(self, record: StartRecord) -> Steps[None]:
        """From now on this process is responsible for the execution, not a triggerer that returns late."""
        self.world.point("resume", self.worker)
        yield from self.push_if_standing(MARKER_XCOM, RESUMED + record.marker)

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
        """:raises AttemptOver: Airflow has given this attempt up, or has sent it SIGTERM."""
        yield from CommonCarrier.require_standing(self)
        if self.worker.is_terminating:
            raise AttemptOver("the task got SIGTERM: nothing more is sent")

    def on_kill(self, *, timed_out: bool) -> Steps[None]:
        """The process got SIGTERM, or found out by itself that it is over; its main program is interrupted."""
        world, task, worker = self.world, self.worker.task, self.worker
        world.point("on_kill", worker)
        if not self.policy.cancel_on_kill:
            return
        state, is_stale = None, False
        if self.airflow.is_away:
            yield ANSWER_LIMIT
        elif not timed_out:
            state, is_stale = yield from self._ask_airflow()
        verdict, reason = canceling.judge_worker_kill(
            state, timed_out=timed_out, frozen_for=worker.frozen_for(), is_stale=is_stale
        )
        self.has_judged = True
        world.counted[f"worker kill: {verdict}"] += 1
        record = self.start.record
        name = record.name if record else "nothing yet"
        if verdict is not Verdict.CANCEL:
            task.warn(canceling.not_canceled(verdict, name, reason).text)
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

    def _ask_airflow(self) -> Steps[tuple[str | None, bool]]:
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
        """Without the guard: this carries out a person's act."""
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
        self.related = related
        self.world.relations[related] += 1
        self.world.note(str(self.worker), f"is {related} as the attempt that saved last")

    def _count_move(self, before: Any, after: Any) -> None:
        self.has_adopted |= (before, after) == (State.OBSERVING, State.WAITING)
        self.world.moves[before, after] += 1
        if self.world.keeps_story:
            self.world.note(str(self.worker), f"{before} -> {after}")


class CountedStart(Start):
    """Reports how its attempt relates to the one that saved the record."""

    related_to: Callable[[Relation], None]

    def _relation(self, record: StartRecord) -> Relation:
        related = super()._relation(record)
        self.related_to(related)
        return related


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
