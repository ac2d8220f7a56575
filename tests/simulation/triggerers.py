"""Triggerers: the waits of deferred tasks, moved, doubled, stalled and killed as Airflow does it.

A wait itself is as in the poller: the real ``Wait`` and ``Pace``, one poll after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from airflow_provider.core import canceling
from airflow_provider.core.canceling import CANCEL_REASON, TaskSeen, Verdict
from airflow_provider.core.commands import Cancel, Command, Log, Pause
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.waiting import Pace, Wait, named_exactly
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef
from tests.simulation.airflow import NOTICED, Airflow, AirflowError, Task
from tests.simulation.carrying_out import MARKER_XCOM, CommonCarrier, Timed, carry_out
from tests.simulation.world import Machine, Process, Steps, World

if TYPE_CHECKING:
    from tests.simulation.workers import Worker

HEALTH_THRESHOLD = 30.0
"""Seconds after which a triggerer without a heartbeat loses its triggers."""
ON_KILL_LIMIT = 20.0


class Trigger:
    """A row of Airflow's table of triggers.

    :param carrier: of the attempt that defers.
    :param judged_at: when the attempt found that there is time enough for a deferral, by its own clock.
    """

    def __init__(
        self, worker: Worker, carrier: CommonCarrier, ref: ExecutionRef, deadline: float | None, judged_at: float
    ) -> None:
        self.airflow = worker.airflow
        self.world = worker.world
        self.task = worker.task
        self.generation = worker.generation
        self.policy = carrier.policy
        self.ref = dict(ref)
        self.deadline = deadline
        self.judged_at = judged_at
        self.marker = carrier.marker
        """Empty for what is never canceled."""
        self.first_try = self.task.try_number
        self.may_finish = carrier.may_finish
        self.until = carrier.until
        self.net = carrier.net
        """Seconds between polls if the vendor reports the end by itself."""
        self.number = 0
        """By which Airflow knows it once its task is deferred."""
        self.runs: list[TriggerRun] = []
        self.triggerer: Machine | None = None
        self.is_removed = False

    def assign(self, triggerer: Machine) -> None:
        """A triggerer takes it within a second or so; whoever ran it before learns of that at its next check."""
        if self.is_removed or self.triggerer is triggerer:
            return
        for run in self.runs:
            run.end_soon()
        self.triggerer = triggerer
        self.world.after(self.world.between(0.2, 2.0), self._run)

    def _run(self) -> None:
        if not self.is_removed and self.triggerer and not self.triggerer.is_dead:
            self.runs.append(self.begin(self.triggerer))

    def begin(self, triggerer: Machine) -> TriggerRun:
        return TriggerRun(self, triggerer)

    def remove(self) -> None:
        """No task instance waits for it any longer."""
        if self.is_removed:
            return
        self.is_removed = True
        self.airflow.triggers_of(self.task).remove(self)
        for run in self.runs:
            run.end_soon()

    @property
    def is_run(self) -> bool:
        """Whether a triggerer runs it, which would learn of a person's act."""
        return any(not run.main.is_over and not run.machine.is_frozen for run in self.runs)


class TriggerRun:
    """One run of a trigger in one triggerer's process; there may be two for some seconds."""

    is_trigger = True

    def __init__(self, trigger: Trigger, machine: Machine) -> None:
        self.trigger = trigger
        self.task = trigger.task
        self.generation = trigger.generation
        self.policy = trigger.policy
        self.world = trigger.world
        self.airflow = trigger.airflow
        self.machine = machine
        self.client = self.airflow.connection
        self.client.note_unfinished(self, trigger.ref)
        self._is_ending = False
        self.was_frozen = False
        """Whether it was frozen just before it was asked who ended its task."""
        self._begun = machine.now
        self._wait = Wait(
            dict(trigger.ref),
            trigger.policy.poll_interval,
            trigger.deadline,
            trigger.policy.fail_on_waiting,
            until=trigger.until,
            net=trigger.net,
            net_from=machine.now + NOTICED,
        )
        self.main = Process(machine, self._run())

    def __str__(self) -> str:
        return f"{self.task.name} trigger on {self.machine.name}"

    def _run(self) -> Steps[None]:
        wait, pace, machine = self._wait, Pace(), self.machine
        while True:
            try:
                seen: Execution | ReleasePipelineError = yield from self.client.observe(self, wait.ref)
                pace.note(None)
            except ReleasePipelineError as error:
                seen = error
                pace.note(error)
            outcome = wait.update(seen, machine.now)
            for line in wait.new_lines():
                if self.world.keeps_story:
                    self.world.note(str(self), f"log: {line.text}")
            if outcome:
                break
            self.world.judge.waits(self, wait)
            yield max(1.0, pace.pause(wait.interval_now, wait.until_deadline(machine.now)))
        outcome = outcome._replace(waited_for=named_exactly(self.trigger.ref))
        self.world.judge.holds_back(self, outcome)
        yield from self._fire(outcome, "finish")

    def _fire(self, event: Any, method: str) -> Steps[None]:
        """Pass the event on, once Airflow has noticed the end of the process that deferred.

        :param method: with which the task resumes.
        """
        yield max(0.0, self._begun + NOTICED - self.machine.now)
        self.world.point("fire", self)
        yield self.world.between(0.05, 1.0)
        while self.airflow.is_away:
            yield 5.0
        if self.trigger.is_removed:
            self.world.judge.fires_unheard(self.task)
        self.airflow.fire(self.trigger, event, method)

    def end_soon(self) -> None:
        """Its triggerer learns within a second or so that it should not run it."""
        if not self._is_ending and not self.machine.is_dead:
            self._is_ending = True
            Process(self.machine, self._end(), self._ended)

    def _ended(self) -> None:
        self.task.settled_at = self.world.now

    def _end(self) -> Steps[None]:
        yield self.world.between(0.2, 1.5)
        if not self.main.is_over:
            self.main.kill()
            yield from self._on_kill()

    def _on_kill(self) -> Steps[None]:
        trigger, world = self.trigger, self.world
        world.point("on_kill", self)
        if not trigger.marker or not trigger.policy.cancel_on_kill:
            return
        begun, was_retrying = self.machine.now, False
        while True:
            seen = replace((yield from self._seen()), was_retrying=was_retrying)
            was_retrying = was_retrying or seen.state == "up_for_retry"
            waited = self.machine.now - begun
            frozen_for = self.machine.frozen_for(60.0)
            self.was_frozen = frozen_for >= DURATIONS.stalled
            verdict, reason = yield from self._judge_seen(seen, waited, frozen_for)
            if verdict is not Verdict.ASK_AGAIN or waited > ON_KILL_LIMIT:
                break
            yield DURATIONS.undecided_pause
        world.counted[f"trigger kill: {verdict}"] += 1
        ref = self._wait.ref
        if verdict is not Verdict.CANCEL:
            if seen.state is not None and not self.was_frozen:
                world.judge.leaves(self, seen)
            self.task.warn(canceling.not_canceled(verdict, ref["id"], reason).text)
            return
        self.task.warn(f"Canceling {ref['id']}: {reason}")
        timed = Timed(self.machine.now)
        program = canceling.cancel(timed, ref, CANCEL_REASON, DURATIONS.trigger_kill_limit)
        yield from carry_out(program, timed, self._perform, self.machine)

    def _judge_seen(self, seen: TaskSeen, waited: float, frozen_for: float) -> Steps[tuple[Verdict, str]]:
        return canceling.judge_trigger_kill(seen, self.trigger.marker, waited, frozen_for)
        yield

    def _seen(self) -> Steps[TaskSeen]:
        """Airflow's answers to two questions: the task may change between them."""
        try:
            state = yield from self.airflow.state_of(self.task)
            yield from self.airflow.call()
            return TaskSeen(state, self.task.xcoms.get(MARKER_XCOM))
        except AirflowError:
            return TaskSeen(None)

    def _perform(self, command: Command) -> Steps[Any]:
        match command:
            case Cancel(ref, reason):
                self.world.point("cancel before", self)
                yield 0.0
                self.world.judge.cancels(self, ref)
                yield from self.client.cancel(self, ref, reason)
            case Pause(seconds):
                yield seconds
            case Log(news):
                for line in news:
                    self.task.warn(line.text)


class Triggerers:
    """The machines that run triggers, and which of them runs which."""

    def __init__(self, world: World, airflow: Airflow) -> None:
        self.world = world
        self.airflow = airflow
        skew = world.plan.condition("triggerer clock")
        self.machines = [Machine(world, "triggerer 1", skew), Machine(world, "triggerer 2", 0.0)]

    def start(self, task: Task, trigger: Trigger) -> None:
        self.world.after(self.world.between(0.2, 2.0), self._assign, trigger)

    def _assign(self, trigger: Trigger) -> None:
        able = [each for each in self.machines if not each.is_frozen]
        if able:
            trigger.assign(able[0])
        elif not trigger.is_removed:
            self.world.after(5.0, self._assign, trigger)

    def move(self, trigger: Trigger) -> None:
        others = [each for each in self.machines if each is not trigger.triggerer and not each.is_frozen]
        if others:
            self.world.note(others[0].name, f"takes over the wait of {trigger.task}")
            trigger.assign(others[0])

    def restart(self, triggerer: Machine) -> None:
        """It dies; another one, or itself after a restart, takes its triggers later."""
        place = self.machines.index(triggerer)
        self.world.note(triggerer.name, "dies")
        triggerer.die()
        self.machines[place] = Machine(self.world, triggerer.name, triggerer.skew)
        for task in self.airflow.tasks:
            for trigger in self.airflow.triggers_of(task):
                if trigger.triggerer is triggerer:
                    self.world.after(self.world.between(1.0, HEALTH_THRESHOLD), self._assign, trigger)

    def stall(self, triggerer: Machine, seconds: float) -> None:
        self.world.note(triggerer.name, f"freezes for {seconds:.0f} s")
        triggerer.freeze(seconds)
        if seconds > HEALTH_THRESHOLD:
            self.world.after(HEALTH_THRESHOLD + self.world.between(0.0, 5.0), self._take_over, triggerer)

    def _take_over(self, stalled: Machine) -> None:
        if not stalled.is_frozen:
            return
        for task in self.airflow.tasks:
            for trigger in list(self.airflow.triggers_of(task)):
                if trigger.triggerer is stalled:
                    self.move(trigger)
