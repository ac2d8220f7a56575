"""Lives of a task that cancels, pauses or resumes what somebody else has started: the real core, and its invariants.

Step for step as operators/acting.py does.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from airflow_provider.core.acting import Acting, ActPolicy, result_of_act
from airflow_provider.core.commands import Act, Choose, Save
from airflow_provider.core.record import ActRecord, read_act
from airflow_provider.exceptions import ConflictError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState
from tests.simulation.airflow import AirflowError, Task
from tests.simulation.carrying_out import CommonCarrier
from tests.simulation.invariants import Judge
from tests.simulation.jobs import Job
from tests.simulation.workers import Worker
from tests.simulation.world import Steps

KEY = "release_act"

UNTIL: dict[str, frozenset[str]] = {
    "cancel": frozenset(),
    "pause": frozenset({ExecutionState.PAUSED}),
    "resume": frozenset({ExecutionState.RUNNING, ExecutionState.QUEUED}),
}


class ActCarrier(CommonCarrier):
    """Carries out what one attempt of an act decides."""

    key = KEY

    def __init__(self, worker: Worker, record: ActRecord | None) -> None:
        super().__init__(worker)
        self.action = self.airflow.policy["action"]
        self.policy = policy_of(self.airflow.policy, self.client)
        self.start = Acting(self.policy, record, self.attempt, worker.machine.now)
        self.until = self.policy.until
        self._perform |= {Choose: self._choose, Act: self._act}

    def in_words(self, record: ActRecord) -> str:
        done = "done" if record.is_done else "taken" if record.is_taken else "intended"
        return f"act on {record.ref['id']}, {done}"

    def _choose(self, command: Choose) -> Steps[Execution]:
        chosen = yield from self.client.choose(self.worker)
        self.world.judge.chooses(self.worker, chosen.ref)
        return chosen

    def _act(self, command: Act) -> Steps[Execution]:
        self.world.point("action before", self.worker)
        yield 0.0
        yield from self.require_standing()
        self.world.judge.acts(self.worker, command.target.ref)
        return (yield from self.client.act(self.worker, self.action, command.target.ref))

    def note_done(self, record: ActRecord) -> Steps[None]:
        record.note_done(self.attempt)
        yield from self._save(Save(record))


class ActWorker(Worker):
    """A process of an act."""

    def _attempt(self, way: tuple[str, Any] | None) -> Steps[dict[str, Any]]:
        if way and way[0] != "finish":
            raise AirflowError(f"TaskDeferralError: {way[1]}")
        result = result_of_act(way[1], self.airflow.policy["system"]) if way else None
        record = read_act((yield from self.airflow.read(self, KEY)))
        self.carrier = carrier = ActCarrier(self, record)
        if result is None:
            return (yield from carrier.run(carrier.start.execute()))
        if record:
            yield from carrier.note_done(record)
        return result


class ActJudge(Judge):
    """What must hold in the life of an act."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._seen_first: dict[Any, Job] = {}
        """By worker: what it has chosen, before any effect of that shows."""
        self._chosen: dict[tuple[Task, int], Job] = {}
        """What a task is about, by generation."""
        self._taken: dict[Task, set[int]] = defaultdict(set)
        """Generations whose request the vendor has accepted, according to their records."""
        self._needed_nothing: set[Task] = set()
        """Tasks whose execution already was as the act wants it."""

    def chooses(self, worker: Any, ref: ExecutionRef) -> None:
        if job := self._job_of(ref):
            self._seen_first[worker] = job

    def publishes(self, worker: Any, ref: ExecutionRef) -> None:
        self._binds(worker)

    def saved(self, worker: Any, record: Any) -> None:
        self.progresses(worker, record)
        self._binds(worker)
        if record.is_taken:
            self._taken[worker.task].add(worker.generation)
            job = self._about(worker)
            if job and job.state in until_of(self.airflow.policy["action"], self.servers[0]):
                self._needed_nothing.add(worker.task)

    def progresses(self, worker: Any, record: Any) -> None:
        """An attempt saves something of its own: what a person was asked about before is settled."""
        if record.escalated_by != worker.carrier.attempt:
            self._escalated_in.pop(worker.task, None)

    def _binds(self, worker: Any) -> None:
        """From now on its generation is about what it has chosen."""
        if job := self._seen_first.pop(worker, None):
            self._chosen.setdefault((worker.task, worker.generation), job)

    def acts(self, worker: Any, ref: ExecutionRef) -> None:
        """A request is about to be sent."""
        self._requires_standing(worker, "an act")
        job, about = self._job_of(ref), self._about(worker)
        if about is None or job is not about:
            self.world.violate(f"{worker} acts on {job}, but its task is about {about}")
        if worker.generation in self._taken[worker.task]:
            self.world.violate(f"{worker} acts on {job} again, although that was accepted")

    def _about(self, worker: Any) -> Job | None:
        """What its task is about since its last clear, as far as Airflow shows."""
        for generation in range(worker.generation, -1, -1):
            if about := self._chosen.get((worker.task, generation)):
                is_shown = generation == worker.generation or self._is_hidden(worker, generation)
                return about if is_shown else None
        return None

    def pauses(self, worker: Any, seconds: float) -> None:
        if self.airflow.policy["timeout"] is not None and seconds > self.airflow.policy["timeout"] + 400.0:
            self.world.violate(f"{worker} waits past its deadline")

    def fails(self, worker: Any, error: ReleasePipelineError) -> None:
        """An attempt ends with an error; one that asks for a clear must not ask again after it."""
        if isinstance(error, ConflictError) and "(again)" in str(error):
            escalated = self._escalated_in.get(worker.task)
            if escalated and escalated[1] < worker.generation and not self._hidden_clears[worker.task]:
                self.world.violate(f"{worker} asks for a clear, although {worker.task} was cleared for that")
            self._escalated_in[worker.task] = worker.carrier.attempt, worker.generation

    def succeeds(self, task: Task, worker: Any, result: dict[str, Any]) -> None:
        job, about = self._job_of(result["ref"]), self._about(worker)
        if about is None or job is not about:
            self.world.violate(f"{task} succeeds with {job}, but it is about {about}")
        elif not self._was_done(job, task, result):
            self.world.violate(f"{task} succeeds, but {job} is {job.state}")

    def _was_done(self, job: Job, task: Task, result: dict[str, Any]) -> bool:
        """Whether it is, or was in the last poll, as the act wants it."""
        wanted = until_of(self.airflow.policy["action"], self.servers[0])
        is_done = job.is_over or job.is_being_canceled or job.state in wanted or result["state"] in wanted
        return is_done or task in job.acted_on_by or task in self._needed_nothing

    def ends(self) -> None:
        for task in self.airflow.tasks:
            if task.state not in ("success", "failed", "skipped"):
                self.world.violate(f"{task} is {task.state} forever")


def until_of(action: str, client: Any) -> frozenset[str]:
    """States that end the wait although the execution continues; if a cancel leaves it paused, that is its end."""
    return UNTIL["pause" if action == "cancel" and client.stop_leaves is ExecutionState.PAUSED else action]


def policy_of(settings: dict[str, Any], client: Any) -> ActPolicy:
    action = settings["action"]
    until = until_of(action, client)

    def shows_effect(execution: Execution) -> bool:
        if execution.status == "canceling":
            return bool(action == "cancel")
        return execution.state in until or (action == "cancel" and execution.state.is_terminal)

    return ActPolicy(
        system=settings["system"],
        place=client.place,
        poll_interval=settings["poll_interval"],
        timeout=settings["timeout"],
        wait_for_completion=settings["wait_for_completion"],
        deferrable=settings["deferrable"],
        fail_on_waiting=settings["fail_on_waiting"],
        until=until,
        shows_effect=shows_effect,
    )
