"""What must hold in every life, judged by who knows the truth: whose each execution is, and of which generation."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from airflow_provider.core.canceling import TaskSeen
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.generation import Attempt, Relation
from airflow_provider.core.record import Phase, StartRecord
from airflow_provider.core.states import State
from airflow_provider.core.waiting import GUESS, Ending, Outcome, Wait
from airflow_provider.exceptions import ConflictError, ReleasePipelineError
from airflow_provider.execution import ExecutionRef, ExecutionState
from tests.simulation.airflow import NOTICED, Airflow, Task
from tests.simulation.jobs import Job
from tests.simulation.said import (
    is_left_knowingly,
    is_named,
    is_said,
    is_said_of_any,
    last_said,
    was_canceled_in_vain,
)
from tests.simulation.server import Server
from tests.simulation.windows import WINDOWS, window_of
from tests.simulation.world import World

LONGEST_RETRY_AFTER = 400.0
"""Seconds; a vendor that asks for it is given that time even past a deadline."""

RACE = 0.3
"""Seconds between Airflow's answer that an attempt is current and the request that follows it."""
UNSEEN = 60.0
"""Seconds after which an attempt has certainly read what a list shows."""

SEARCHED_BEFORE = 30.0
"""Most seconds between a search and the start that is sent because of its result."""

LATEST_OF_OURS = 480.0
"""Seconds after its start was saved within which an execution without a marker may be taken for its own."""

CLOCKS_APART = 240.0
"""Most seconds by which two machines' clocks differ in this world."""


class Judge:
    """Watches one life."""

    def __init__(self, world: World, airflow: Airflow, servers: list[Server]) -> None:
        self.world = world
        self.airflow = airflow
        self.servers = servers
        self._may_end: dict[Task, set[int]] = defaultdict(set)
        """Generations whose executions may be canceled: a person acted, or their time is up."""
        self._left: dict[Task, set[int]] = defaultdict(set)
        self._hidden_clears: dict[Task, dict[int, int | None]] = defaultdict(dict)
        """By the generation that ended then; with the retries of that moment, if the task had succeeded."""
        self._unwritten: set[Task] = set()
        """Whose process died between its cancel and the record of it."""
        self._escalated_in: dict[Task, tuple[Attempt, int]] = {}
        """The attempt and generation in which a person was last asked to resolve something and clear the task."""
        self._asked: dict[Task, tuple[Any, float, int]] = {}
        self._waited_for: set[Job] = set()
        """Those that a task has adopted."""
        self._given_up: set[Job] = set()
        """Those that were to be canceled: what becomes of them does not count any more."""
        self._windows: dict[tuple[Task, int], str] = {}
        """Of a task and a generation: why nobody was there to cancel."""
        self._prepared: dict[str, float] = {}
        """By the marker of a start: when what is there before it was listed."""
        self._sent: dict[str, float] = {}
        """By the marker of a start: when it was sent last."""
        self._unrefused: Counter[str] = Counter()
        """By the marker of a start: requests that may have taken effect, as far as their senders know."""
        self._held: set[str] = set()
        """Markers of starts of which certainly none has taken effect, and whose sender waits to send another one."""
        self._intended: dict[str, tuple[Task, float]] = {}
        """By the marker of a start after a clear: whose it is, and since when."""
        self._heard_at_end: dict[Job, Any] = {}
        """Those whose start was answered while the process that sent it was ending, and which process."""

    @property
    def _all_jobs(self) -> list[Job]:
        return [job for server in self.servers for job in server.jobs]

    def _ours(self, task: Task) -> list[Job]:
        return [job for job in self._all_jobs if job.owner is task]

    # What happens

    def person_acts(self, task: Task, what: str) -> None:
        self.world.note("a person", f"{what} {task}")
        self.world.counted["acts of people"] += 1
        self._may_end[task].update(range(task.generation + 1))
        if what != "clears" and (window := window_of(task)):
            self._open(task, window)

    def clears(self, task: Task, before: tuple[int, int], *, was_success: bool) -> None:
        """A person has cleared it; ``before`` are the numbers that Airflow counts, as they were.

        No number of Airflow shows a clear that leaves the run alone, if ``retries`` were changed to just the right
        number or the worker had died: an attempt cannot distinguish it from a retry. After a success that must not
        matter, unless ``retries`` have been changed once more since.
        """
        if before == (task.max_tries, task.run.clear_number):
            self._hidden_clears[task][task.generation - 1] = task.retries if was_success else None

    def _is_hidden(self, worker: Any, generation: int) -> bool:
        hidden, attempt = self._hidden_clears[worker.task], worker.carrier.attempt
        is_hidden = all(
            each in hidden and (hidden[each] is None or hidden[each] != attempt.retries)
            for each in range(generation, worker.generation)
        )
        is_hidden = is_hidden and attempt.try_number <= attempt.max_tries + 1
        self.world.counted["window: a clear that no number shows"] += is_hidden
        return is_hidden

    def _hides_success(self, task: Task, worker: Any, generation: int) -> bool:
        """Whether no record and no number shows the clears since that generation."""
        if worker or task.was_ended_in_triggerer:
            return task.was_ended_in_triggerer
        return all(each in self._hidden_clears[task] for each in range(generation, task.generation))

    def dies(self, worker: Any) -> None:
        """A worker's process is killed; what it should have canceled, nobody cancels."""
        if not worker.stands and not (worker.carrier and worker.carrier.has_judged):
            self._open(worker.task, "its process died before SIGTERM")
        elif worker.carrier and worker.carrier.is_canceling and not worker.carrier.has_noted_end:
            self._unwritten.add(worker.task)
        self._heard_at_end = {job: who for job, who in self._heard_at_end.items() if who is not worker}

    def fails(self, worker: Any, error: ReleasePipelineError) -> None:
        """An attempt ends with an error. One that asks for a clear must not ask again after it."""
        if error.code == "busy" and self._has_time(worker):
            self.world.violate(f"{worker} gives up on a system that is only busy")
        if not isinstance(error, ConflictError) or "anew" not in str(error):
            return
        task, record, attempt = worker.task, worker.carrier.start.record, worker.carrier.attempt
        before, begun, generation = self._asked.get(task, (attempt, 0.0, worker.generation))
        shows = before.max_tries != attempt.max_tries or self._seems_cleared(before, attempt)
        if record and begun == record.started and generation < worker.generation and shows:
            self.world.violate(f"{worker} asks for a clear, although {task} was cleared for that")
        self._asked[task] = (attempt, record.started if record else 0.0, worker.generation)

    def _has_time(self, worker: Any) -> bool:
        """Whether its start could be sent once more before its time is up."""
        record, timeout = worker.carrier.start.record, self.airflow.policy["timeout"]
        limit = DURATIONS.busy_limit if timeout is None else timeout
        return bool(record) and worker.machine.now + DURATIONS.longest_busy_pause < record.started + limit

    def leaves(self, run: Any, seen: TaskSeen) -> None:
        """A trigger that is ended cancels nothing, although Airflow has answered."""
        trigger, task = run.trigger, run.task
        is_cleared = trigger.generation < task.generation
        has_begun = (
            task.try_number > trigger.first_try and seen.waits_as is None and seen.state in ("running", "queued")
        )
        # A retry after a clear ends what was started before that.
        if is_cleared and GUESS not in trigger.ref and has_begun and not seen.was_retrying:
            self.world.violate(f"{run} cancels nothing, although a person has cleared its task")

    def holds_back(self, run: Any, outcome: Outcome) -> None:
        """A wait is over; its task resumes once Airflow has noticed the end of the process that deferred."""
        trigger = run.trigger
        if outcome.ending is Ending.DEADLINE and trigger.judged_at + NOTICED > trigger.deadline:
            self.world.violate(f"{run} is held back past its deadline")

    def wakes(self, task: Task, *, is_finished: bool) -> None:
        """A push is about to end a wait, and the task resumes in a worker unless it is finished."""
        if not is_finished and self.world.now - task.changed_at < NOTICED:
            self.world.violate(f"a push ends the wait of {task} before Airflow has noticed the end of its process")

    def fires_unheard(self, task: Task) -> None:
        """A trigger has ended by itself, and its event is dropped because a person was faster."""
        self._open(task, "its trigger was just firing")

    def _open(self, task: Task, window: str) -> None:
        for generation in range(task.generation + 1):
            self._windows.setdefault((task, generation), window)

    def times_out(self, task: Task, generation: int) -> None:
        self._may_end[task].add(generation)

    def publishes(self, worker: Any, ref: ExecutionRef) -> None:
        """An attempt shows people what it is about."""

    def sends(self, worker: Any, intent: dict[str, Any]) -> None:
        self._sent[intent["marker"]] = self.world.now
        self._unrefused[intent["marker"]] += 1
        self._held.discard(intent["marker"])
        if worker.is_terminating:
            self.world.violate(f"{worker} sends a start, although it got SIGTERM")
        self._requires_standing(worker, "a start")

    def refuses(self, intent: dict[str, Any]) -> None:
        """A start has certainly had no effect, and its sender knows."""
        self._unrefused[intent["marker"]] -= 1

    def _requires_standing(self, worker: Any, what: str) -> None:
        task = worker.task
        is_over = task.id != worker.id or task.state != "running"
        if is_over and self.world.now > task.changed_at + RACE:
            if worker.machine.frozen_for(RACE):
                self.world.counted["window: frozen between Airflow's answer that it stands and its request"] += 1
                return
            self.world.violate(f"{worker} sends {what}, although its task is {task.state}")

    def hears(self, sender: Any, job: Job) -> None:
        """The answer to a start has reached its sender."""
        if sender.carrier.is_canceling:
            self._heard_at_end[job] = sender

    def started(self, sender: Any, job: Job) -> None:
        """An execution has begun."""
        task = sender.task
        job.system = sender.carrier.policy.system
        for other in self._ours(task):
            if other is job or other.system != job.system or self._is_late_double(job, other):
                continue
            if other.generation == job.generation:
                if self._was_shown(job, other, sender) and not self._is_answered(sender):
                    self.world.violate(f"{job} is started, although {other} of the same start could be seen")
                self._judge_second(job, other)
            elif (
                (other.is_active or other.end_will_be_revoked)
                and other.generation < job.generation
                and not self._may_run_beside(other, sender)
            ):
                self.world.violate(f"{job} is started beside {other}, which a cleared task had started")

    def _judge_second(self, job: Job, other: Job) -> None:
        is_elsewhere = other.place != job.place and is_said(job.owner, "is left alone")
        if other.was_late and self._is_named(other):
            return
        if is_elsewhere or self._is_hidden_by_guess(other) or (job.marker and other.was_late and not other.is_active):
            return
        if other.is_active or (other.state is ExecutionState.SUCCEEDED and other not in self._given_up):
            self.world.violate(f"{job} is started, although {other} of the same start is {other.state}")
        elif other.end_will_be_revoked:
            self.world.violate(f"{job} is started, although {other} of the same start has not ended for good")
        elif other in self._given_up or not self._was_canceled_by_colleague(other):
            return
        elif other is self._last_before(job):
            self.world.violate(f"{job} is started, although a colleague canceled {other}")

    def prepares(self, marker: str) -> None:
        """A start is about to be saved; what is listed now was there before."""
        self._prepared[marker] = self.world.now

    def resumes(self, worker: Any, job: Job) -> None:
        """A failed execution is about to be continued."""
        if job.owner is not worker.task:
            self.world.violate(f"{worker} continues {job}")
        if job.generation != worker.generation and not self._is_hidden(worker, job.generation):
            self.world.violate(f"{worker} continues {job}, which was started before a clear")

    def _was_shown(self, job: Job, other: Job, sender: Any) -> bool:
        """Whether the vendor's list had shown the other one, under a marker, for a while."""
        is_marked = bool(job.marker and other.marker)
        # The one that was followed may have failed since: then its doubles do not count.
        followed = self._given_up | self._waited_for
        is_followed = any(each.is_heard or each in followed for each in self._ours(job.owner))
        counts = other.is_active or (other.state is ExecutionState.SUCCEEDED and not is_followed)
        is_shown = counts and self._was_listed_by(self.world.now, other, SEARCHED_BEFORE)
        is_shown = is_shown and not was_canceled_in_vain(other)
        return is_marked and is_shown and sender.machine.frozen_for(2 * UNSEEN) == 0.0

    def _is_late_double(self, job: Job, other: Job) -> bool:
        """Whether nobody could know of one when the other was sent; only a marker identifies both afterwards."""
        is_marked = bool(job.marker and other.marker)
        return is_marked and (job.was_late or (other.was_late and other.listed_from > self.world.now - UNSEEN))

    def _is_answered(self, sender: Any) -> bool:
        """Whether a person was asked to clear this task, and has, or seems to have because of another task's clear."""
        if sender.task not in self._escalated_in:
            return False
        escalated_by, generation = self._escalated_in[sender.task]
        is_cleared = generation < sender.generation
        seems_cleared = not is_cleared and self._seems_cleared(escalated_by, sender.carrier.attempt)
        self.world.counted["started beside, after a person was asked"] += is_cleared
        self.world.counted["window: a clear of another task that looks like the answer"] += seems_cleared
        return is_cleared or seems_cleared

    def _seems_cleared(self, escalated_by: Attempt, attempt: Attempt) -> bool:
        """Whether the number of retries was changed just so that a clear of this task would not show."""
        would_look_alike = escalated_by.try_number <= attempt.max_tries - attempt.retries < attempt.try_number
        return escalated_by.clear_number != attempt.clear_number and would_look_alike

    def _may_run_beside(self, other: Job, sender: Any) -> bool:
        """Whether one that a cleared task had started may run beside a new one."""
        task = sender.task
        if other.generation in self._left[task] or not self.airflow.policy["cancel_on_kill"] or other.was_resumed:
            return True
        if self._is_answered(sender):
            self._left[task].add(other.generation)
            return True
        is_here = other.place == sender.carrier.start.record.place
        was_shown = bool(other.marker) and is_here and self._was_listed_by(self.world.now, other)
        is_left = is_here and is_left_knowingly(other)
        if other.was_late and not was_shown and not is_left and self._is_named(other):
            return True
        is_unknown = is_said(task, "Could not find out whether the cleared")
        return is_unknown or self._is_hidden_by_guess(other) or was_canceled_in_vain(other)

    def _was_listed_by(self, moment: float, job: Job, unseen: float = UNSEEN) -> bool:
        """Whether attempts that searched for it before that could find it.

        Once its task is about to send another one after a clear, none searches for it any more.

        :param unseen: seconds for which they need not have seen it yet.
        """
        _, intended = self._intended.get(job.marker, (job.owner, 0.0))
        later = [at for task, at in self._intended.values() if task is job.owner and at > intended]
        return job.listed_from <= min([moment, *later]) - unseen

    def _is_hidden_by_guess(self, job: Job) -> bool:
        """Whether another execution was taken for this one, as far as anybody could know."""
        is_hidden = not job.marker and is_said(job.owner, "which this task probably")
        self.world.counted["hidden by a guess"] += is_hidden
        return is_hidden

    def _was_canceled_by_colleague(self, job: Job) -> bool:
        is_respected = self.airflow.policy["on_canceled"] == "fail"
        return is_respected and job.ended_by == "colleague" and job.state is ExecutionState.CANCELED

    def _last_before(self, job: Job) -> Job | None:
        earlier = [each for each in self._ours(job.owner) if each.begun < job.begun]
        return earlier[-1] if earlier else None

    def saved(self, worker: Any, record: Any) -> None:
        """A record is saved."""
        task, ref = worker.task, record.ref
        timeout = self.airflow.policy["timeout"]
        if record.phase is Phase.INTENDED:
            # It may be sent now.
            self._held.discard(record.marker)
            if worker.carrier.related in (Relation.CLEARED, Relation.AMBIGUOUS):
                self._intended.setdefault(record.marker, (task, self.world.now))
        if record.phase is Phase.ENDING:
            # Any machine's clock may decide that a deadline has passed.
            if timeout is not None and record.started + timeout <= worker.machine.now + CLOCKS_APART:
                self._may_end[task].add(worker.generation)
            if ref and (job := self._job_of(ref)):
                self._given_up.add(job)
        if record.escalated_by == worker.carrier.attempt:
            self._escalated_in[task] = worker.carrier.attempt, worker.generation
        if record.phase is Phase.LEFT:
            self._left[task].add(worker.generation)
            if ref and (job := self._job_of(ref)):
                # One of before a clear that no number shows is left as well.
                self._left[task].add(job.generation)
        if worker.carrier.start.state is State.SEARCHING and ref and GUESS in ref:
            self._judge_guess(worker, record)
        if record.phase is not Phase.STARTED or ref is None or GUESS in ref or ref["kind"] == "rerun":
            return
        if record.attempt != worker.carrier.attempt:
            # It only notes that a person was asked.
            return
        job = self._job_of(ref)
        if job:
            self._waited_for.add(job)
        is_hidden = job is not None and job.generation != worker.generation
        # One that was on its way when a person ended the task, or the process got SIGTERM, says nothing any more.
        is_hidden = is_hidden or task in self._unwritten or worker.is_terminating or not worker.stands
        if job and job.ended_by == "us" and not job.was_resumed and not is_hidden:
            self.world.violate(f"{worker} adopts {job}, which was canceled for this task")
        if job is None:
            self.world.violate(f"{worker} adopts {ref['id']}, which is not there")
        elif job.owner is not task:
            self.world.violate(f"{worker} adopts {job} without saying that it is a guess")
        elif job.generation != worker.generation and not self._is_hidden(worker, job.generation):
            if task.was_ended_in_triggerer:
                # No record shows such a success.
                self.world.counted["window: a clear after a success in the triggerer that no number shows"] += 1
                return
            self.world.violate(f"{worker} adopts {job}, which was started before a clear")

    def _judge_guess(self, worker: Any, record: StartRecord) -> None:
        """Of several that may be its own an attempt takes none, and none that began before its start or long after."""
        job, prepared = self._job_of(record.ref or {}), self._prepared.get(record.marker)
        if job and prepared is not None and record.intent.get("action") != "retry":
            latest = LATEST_OF_OURS + (0.0 if record.intent["clock"] == "vendor" else DURATIONS.clock_tolerance)
            if job.listed_from < prepared:
                self.world.violate(f"{worker} takes {job} for its own, which was there before its start")
            elif job.begun > max(prepared, self._sent.get(record.marker, 0.0)) + latest:
                self.world.violate(f"{worker} takes {job} for its own, which began long after its start")
        if job and record.marker in self._held:
            self.world.violate(f"{worker} takes {job} for its own, although all its starts were refused")
        if (alike := worker.client.found_last.get(worker, 0)) > 1:
            self.world.violate(f"{worker} takes {(record.ref or {})['id']} for its own, one of {alike}")

    def cancels(self, sender: Any, ref: ExecutionRef, *, is_attempt: bool = False) -> None:
        """A cancel is about to be sent.

        :param is_attempt: by an attempt that continues, rather than by one that is ending.
        """
        if is_attempt:
            self._requires_standing(sender, "a cancel")
        if GUESS in ref:
            self.world.violate(f"{sender} cancels {ref['id']}, which was only guessed to be its own")

    def canceled(self, sender: Any, job: Job) -> None:
        """A cancel has arrived."""
        task = sender.task
        if job.owner is not task:
            self.world.violate(f"{sender} cancels {job}")
        elif job.is_active and job.generation not in self._may_end[task] and not self._is_double(job):
            was_frozen = sender.was_frozen if sender.is_trigger else sender.frozen_for() >= DURATIONS.stalled
            if task.is_ended_by_machine and not was_frozen:
                self.world.counted["window: failed by a machine, which looks like a person's act"] += 1
                return
            if sender.is_trigger and self._is_resumed_by_another(sender.trigger):
                self.world.counted["window: resumed by another trigger with the same id, then retried"] += 1
                return
            self.world.violate(f"{sender} cancels {job}, although nobody ended its task")

    def _is_resumed_by_another(self, trigger: Any) -> bool:
        """Whether a retry follows a process that was resumed by another trigger, and died before it could say so.

        Only with SQLite, and a triggerer that had stalled.
        """
        return (
            bool(self.world.plan.conditions("trigger ids are reused")) and trigger.task.try_number > trigger.first_try
        )

    def _is_double(self, job: Job) -> bool:
        if job.was_late:
            return True
        same = [each for each in self._ours(job.owner) if each.generation == job.generation and each is not job]
        return any(each.is_active or each.state is ExecutionState.SUCCEEDED for each in same)

    def waits(self, run: Any, wait: Wait) -> None:
        if wait.deadline is not None and run.machine.now >= wait.deadline:
            self.world.violate(f"{run} waits past its deadline")

    def pauses(self, worker: Any, seconds: float) -> None:
        start, timeout = worker.carrier.start, self.airflow.policy["timeout"]
        if start.state is State.HOLDING and not self._unrefused[start.record.marker]:
            self._held.add(start.record.marker)
        is_main = not worker.carrier.is_canceling
        if (
            is_main
            and start.state is State.CANCELING
            and start.record
            and not worker.client.is_known(start.record.ref or {})
        ):
            self.world.violate(f"{worker} waits past its deadline for what leads nowhere")
        if start.state is State.WAITING and timeout is not None and start.record:
            left = start.record.started + timeout - worker.machine.now
            is_late = left < -LONGEST_RETRY_AFTER and not worker.machine.frozen_for(RACE)
            if is_late or seconds > max(0.0, left) + LONGEST_RETRY_AFTER:
                self.world.violate(f"{worker} waits past its deadline")

    def follows(self, worker: Any) -> None:
        """An attempt waits for what an earlier one has started."""
        record, asked = worker.carrier.start.record, worker.carrier.policy.asked
        if record.asked != asked and not is_said(worker.task, "arguments of this task have changed"):
            self.world.violate(f"{worker} continues with the arguments {record.asked}, and does not say so")

    def succeeds(self, task: Task, worker: Any, result: dict[str, Any]) -> None:
        """A task is about to succeed by itself."""
        ref = result["ref"]
        job = self._job_of(ref)
        if GUESS in ref:
            self.world.counted["succeeded with a guess"] += 1
            return
        if ref["kind"] == "rerun" and not self.airflow.policy["wait_for_completion"]:
            return
        generation = worker.generation if worker else task.generation
        if job is None or job.owner is not task:
            self.world.violate(f"{task} succeeds with {job}, which is not its own")
        elif job.generation != generation and self._hides_success(task, worker, job.generation):
            self.world.counted["window: a clear that no number shows"] += 1
        elif job.generation != generation and not (worker and self._is_hidden(worker, job.generation)):
            self.world.violate(f"{task} succeeds with {job}, which was started before a clear")
        elif job.state is not ExecutionState.SUCCEEDED and self.airflow.policy["wait_for_completion"]:
            self.world.violate(f"{task} succeeds, but {job} is {job.state}")

    # In the end

    def ends(self) -> None:
        """No event is left."""
        for task in self.airflow.tasks:
            if task.state not in ("success", "failed", "skipped"):
                self.world.violate(f"{task} is {task.state} forever")
            for job in self._ours(task):
                if job.was_active_after(task.settled_at + RACE) and not self._is_excused(job):
                    self.world.violate(f"{task} is {task.state}, but {job} is still active, and nothing says so")
            self._check_number(task)

    def _check_number(self, task: Task) -> None:
        for generation in {job.generation for job in self._ours(task)}:
            under_way = [
                job
                for job in self._ours(task)
                if job.generation == generation
                and job.is_active
                and not job.was_resumed
                and not self._is_hidden_by_guess(job)
            ]
            is_one_start = len({job.system for job in under_way}) == 1
            if len(under_way) > 1 and is_one_start and not any(job.was_late for job in under_way):
                self.world.violate(f"{', '.join(map(str, under_way))} of the same start are under way")

    def _is_excused(self, job: Job) -> bool:
        """Whether one that outlives its task may do so."""
        task = job.owner
        if job.generation in self._left[task] or not self.airflow.policy["cancel_on_kill"] or job.was_resumed:
            return True
        if job.system != self.airflow.policy["system"] and is_said(task, "was replaced"):
            return True
        if self._is_named(job):
            self.world.counted["named"] += 1
            return True
        if window := self._windows.get((task, job.generation)):
            self.world.counted[f"window: {WINDOWS[window]}"] += 1
            return True
        if task.is_ended_by_machine:
            self.world.counted["ended by a machine"] += 1
            return True
        return False

    def _is_named(self, job: Job) -> bool:
        """Whether the task's log names it."""
        task, last = job.owner, last_said(job.owner)
        is_named_last = is_said_of_any(last) and job not in self._heard_at_end
        is_end = task.state == "success" or last.startswith("Execution")
        was_seen = job.marker and task.is_ended_by_itself and is_end and self._was_listed_by(task.settled_at, job)
        is_elsewhere = job.place != self.airflow.connection.place
        is_unknown = is_named_last or is_elsewhere or not (job.is_heard or was_seen)
        return is_named(job, as_any=is_unknown)

    def _job_of(self, ref: ExecutionRef) -> Job | None:
        place = ref.get("place", self.airflow.connection.place)
        server = next((each for each in self.servers if each.place == place), None)
        if server and ref["kind"] == "rerun":
            return next((job for job in server.jobs if job.event == ref["id"]), None)
        return server.job_of(ref) if server else None
