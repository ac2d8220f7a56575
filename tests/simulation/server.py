"""A simulated vendor at the level of the client's methods; ``characters.py`` has one for each of the four contracts.

Without a marker, an execution that appears after the core's search for it cannot be recognized by anybody: so for those
a request takes effect at most ``settling_per_second`` times its own duration after its time-out. With a marker it may
be up to ten minutes.
"""

from __future__ import annotations

import itertools
from typing import Any

from msgspec.structs import replace

from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import (
    Call,
    ConflictError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState
from tests.simulation.approvals import Approvals, Events, Releases
from tests.simulation.jobs import Gate, Job
from tests.simulation.network import CALL, Network
from tests.simulation.world import Machine, Steps, World

LATEST_EFFECT = 600.0
"""Seconds after its time-out within which a start that bears a marker may yet take effect."""


class Server:
    """One installation of a vendor, by its client.

    :param is_marked: what it starts bears the marker of the intent.
    :param is_single: it runs one execution at a time.
    :param may_take_back: a failed execution may be rolled back.
    """

    is_marked = True
    is_single = False
    may_take_back = True
    stop_leaves = ExecutionState.CANCELED

    def __init__(self, world: World, place: str) -> None:
        self.world = world
        self.place = place
        self.machine = Machine(world, place, world.plan.condition("vendor clock"))
        self.jobs: list[Job] = []
        plan = world.plan
        self.approvals = (Releases if "release" in plan.kind else Approvals)(world, place)
        self.events = Events(world, place)
        self.found_last: dict[Any, int] = {}
        """How many executions the last search of a sender has found."""
        self.pushes: Any = None
        """Reports of ends; see ``pushing.py``."""
        self._numbers = itertools.count(4001)
        self._starts = 0
        self._lag = plan.condition("lists lag")
        self._read_lag = plan.condition("reads lag")
        self._late_cancel = plan.condition("late cancel")
        self._knows_time = not plan.conditions("no vendor clock")
        self._taken_back = plan.condition("taken back") if self.may_take_back else 0.0
        self._seen_unfinished: set[tuple[Any, str]] = set()
        self._failed_since: dict[tuple[Any, str], float] = {}
        """What the client of a process knows: it doubts the failure of what it has seen unfinished."""
        self._refuses_cancel = bool(plan.conditions("no cancel"))
        self._is_disordered = bool(plan.conditions("disorder"))
        self.network = Network(world, plan.policy["request_timeout"], self._latest_effect)

    def _latest_effect(self, took: float) -> float:
        if self.is_marked:
            return LATEST_EFFECT
        return max(0.0, DURATIONS.settling_per_second * took - self._lag - 1.0)

    # What the core asks of a client

    def prepare(self, sender: Any, failed: ExecutionRef | None) -> Steps[dict[str, Any]]:
        """:param failed: the execution of this start that has failed, if one has."""
        marker = f"airflow-{self.world.random.getrandbits(64):016x}"

        def serve() -> dict[str, Any]:
            self.world.judge.prepares(marker)
            return self._before(failed)

        intent: dict[str, Any] = yield from self.network.request("prepare", sender, serve)
        by_vendor = self.machine.now if self._knows_time else None
        clock = "vendor" if by_vendor else "worker"
        return {**intent, "marker": marker, "since": by_vendor or sender.machine.now, "clock": clock}

    def send(self, sender: Any, intent: dict[str, Any]) -> Steps[Execution]:
        sent = self.world.now

        def serve() -> Execution:
            return self._observed(self._start(sender, intent, self.world.now - sent))

        execution: Execution = yield from self.network.request("send", sender, serve)
        if job := self.job_of(execution.ref):
            job.is_heard = True
            self.world.judge.hears(sender, job)
        return execution

    def find(self, sender: Any, intent: dict[str, Any]) -> Steps[list[Execution]]:
        self.check_place(intent)
        found: list[Execution] = yield from self.network.request("find", sender, lambda: self._find(intent))
        # Where the operator was replaced, the other system knows nothing of this one's.
        found = [each for each in found if self._system_of(each) in ("", sender.policy.system)]
        self.found_last[sender] = len(found)
        for each in found:
            if not each.state.is_terminal:
                self.note_unfinished(sender, each.ref)
        return found

    def observe(self, sender: Any, ref: ExecutionRef) -> Steps[Execution]:
        self.check_place(ref)
        job = self.job_of(ref)
        if job and job.owner is sender.task and ref["system"] != sender.policy.system:
            self.world.violate(f"{sender} asks {sender.policy.system} about an execution of {ref['system']}")
        return (yield from self.network.request("observe", sender, lambda: self._judged(sender, ref), ref["id"]))

    def cancel(self, sender: Any, ref: ExecutionRef, reason: str) -> Steps[None]:
        self.check_place(ref)
        yield from self.network.request("cancel", sender, lambda: self._cancel(sender, ref), ref["id"])

    def choose(self, sender: Any) -> Steps[Execution]:
        """What an act is about: the newest, as for who names the thing and not its execution."""

        def serve() -> Execution:
            if not self._listed():
                raise NotFoundError("nothing was ever started", call=CALL)
            return self._observed(self._listed()[-1])

        return (yield from self.network.request("choose", sender, serve))

    def act(self, sender: Any, action: str, ref: ExecutionRef) -> Steps[Execution]:
        """Cancel, pause or resume exactly this one."""
        self.check_place(ref)
        return (yield from self.network.request("action", sender, lambda: self._act(sender, action, ref), ref["id"]))

    def find_gate(self, sender: Any, ref: ExecutionRef) -> Steps[int | None]:
        """The number of the gate that an execution waits at."""
        self.check_place(ref)
        job = self.job_of(ref)

        def serve() -> int | None:
            return job.open_gate if job and job.state is ExecutionState.WAITING else None

        number: int | None = yield from self.network.request("observe", sender, serve, ref["id"])
        return number

    def observe_approval(self, sender: Any, ref: ExecutionRef) -> Steps[Execution]:
        """What waits for the answer to an approval: the approval itself, or a release that does not show which."""
        self.check_place(ref)
        return (yield from self.network.request("observe", sender, lambda: self.approvals.observed(ref), ref["id"]))

    def is_marked_start(self, intent: dict[str, Any]) -> bool:
        return self.is_marked

    def needs_cancel(self, execution: Execution) -> bool:
        return not execution.state.is_terminal and execution.status != "canceling"

    def settling_of(self, execution: Execution) -> float:
        is_doubtful = self._taken_back and execution.status == ExecutionState.FAILED
        return DURATIONS.failed_settling if is_doubtful else 0.0

    def note_unfinished(self, sender: Any, ref: ExecutionRef) -> None:
        self._seen_unfinished.add((sender, ref["id"]))

    def was_unfinished(self, sender: Any, ref: ExecutionRef) -> bool:
        return (sender, ref["id"]) in self._seen_unfinished

    def is_busy(self, error: ReleasePipelineError) -> bool:
        return error.code == "busy"

    def is_known(self, ref: ExecutionRef) -> bool:
        return ref["kind"] != "rerun"

    # What colleagues do

    def start_by_colleague(self, seconds: float, outcome: str = "succeeded") -> Job | None:
        if self.is_single and any(each.is_active for each in self.jobs):
            return None
        return self._make(None, 0, outcome, seconds)

    def end_paused(self) -> None:
        for job in self.jobs:
            job.end_paused()
        if self.world.plan.kind.startswith("ask"):
            self.approvals.end_for_good()

    def newest(self) -> Job | None:
        return next((each for each in reversed(self.jobs) if each.is_active or not each.is_over), None)

    # Inside

    def job_of(self, ref: ExecutionRef) -> Job | None:
        return next((each for each in self.jobs if each.id == ref["id"]), None)

    def _system_of(self, execution: Execution) -> str:
        """The system of one of our jobs; "" for a colleague's."""
        job = self.job_of(execution.ref)
        return job.system if job else ""

    def _before(self, failed: ExecutionRef | None) -> dict[str, Any]:
        return {"kind": "execution"}

    def _start(self, sender: Any, intent: dict[str, Any], took: float) -> Job:
        if self.is_single and any(not each.is_over and each.is_active for each in self.jobs):
            raise self._busy()
        outcome, seconds = self.world.plan.outcomes[self._starts % len(self.world.plan.outcomes)]
        self._starts += 1
        job = self._make(sender.task, sender.generation, outcome, seconds)
        job.marker = str(intent["marker"]) if self.is_marked else ""
        # In the evening, unanswered gates are ended: a later execution would wait at its gates forever.
        if self.world.plan.policy.get("approve") and self.world.at_evening:
            count = self.world.random.choice((0, 1, 1, 2, 3))
            job.gates = [Gate(job.begun + seconds * each / (count + 1)) for each in range(1, count + 1)]
        job.was_late = took > DURATIONS.settling
        self.world.judge.started(sender, job)
        return job

    def _busy(self) -> ReleasePipelineError:
        return ConflictError("it runs already", call=Call(system="vendor", code="busy"), effect=Effect.NONE)

    def _make(self, owner: Any, generation: int, outcome: str, seconds: float) -> Job:
        job = Job(self.world, next(self._numbers), owner, generation, outcome, seconds)
        job.place = self.place
        job.ends_for = self._taken_back or None
        job.listed_from += self._lag * self.world.random.random()
        job.seen_from += self._read_lag * self.world.random.random()
        self.jobs.append(job)
        if self.pushes:
            self.pushes.watch(job)
        self.world.note(self.place, f"execution {job} begins (will be {outcome} after {seconds:.0f} s)")
        return job

    def _find(self, intent: dict[str, Any]) -> list[Execution]:
        return self._in_order([each for each in self._listed() if each.marker and each.marker == intent["marker"]])

    def _listed(self) -> list[Job]:
        return [each for each in self.jobs if self.world.now >= each.listed_from]

    def _in_order(self, found: list[Job]) -> list[Execution]:
        if self._is_disordered:
            self.world.random.shuffle(found)
        return [self._observed(each) for each in found]

    def _read(self, ref: ExecutionRef) -> Execution:
        job = self.job_of(ref)
        if job is None or self.world.now < job.seen_from:
            raise NotFoundError(f"no execution {ref['id']}", call=CALL)
        return self._observed(job)

    def _judged(self, sender: Any, ref: ExecutionRef) -> Execution:
        """As the client of a process shows it."""
        return self.believed(sender, self._read(ref))

    def believed(self, sender: Any, seen: Execution) -> Execution:
        """An execution whose end may be taken back is running until that has been observed for a while."""
        key, now = (sender, seen.id), self.world.now
        if not seen.state.is_terminal:
            self._seen_unfinished.add(key)
            self._failed_since.pop(key, None)
            return seen
        settling = self.settling_of(seen) if key in self._seen_unfinished else 0.0
        if settling and now < self._failed_since.setdefault(key, now) + settling:
            return replace(seen, state=ExecutionState.RUNNING)
        return seen

    def _cancel(self, sender: Any, ref: ExecutionRef) -> None:
        job = self.job_of(ref)
        if job is None:
            raise NotFoundError(f"no execution {ref['id']}", call=CALL)
        if self._refuses_cancel:
            raise PermissionDeniedError("HTTP 403", call=CALL)
        self.world.judge.canceled(sender, job)
        job.cancel(self._late_cancel * self.world.random.random(), self.stop_leaves, "us")
        self.world.note(self.place, f"is asked to cancel {job}: it is {job.state}")

    def _act(self, sender: Any, action: str, ref: ExecutionRef) -> Execution:
        job = self.job_of(ref)
        if job is None:
            raise NotFoundError(f"no execution {ref['id']}", call=CALL)
        is_paused = job.state is ExecutionState.PAUSED
        if job.is_over or job.is_being_canceled or is_paused != (action == "resume"):
            raise ConflictError(f"execution {job.id} is {job.state}", call=CALL)
        if self._refuses_cancel:
            raise PermissionDeniedError("HTTP 403", call=CALL)
        job.acted_on_by.add(sender.task)
        self.world.note(self.place, f"is asked to {action} {job}")
        match action:
            case "cancel":
                job.cancel(self._late_cancel * self.world.random.random(), self.stop_leaves, "act")
            case "pause":
                job.pause()
            case _:
                job.resume()
        return self._observed(job)

    def _observed(self, job: Job) -> Execution:
        system = job.system or "vendor"
        ref = {"system": system, "kind": "execution", "id": job.id, "place": self.place}
        status = "canceling" if job.is_being_canceled else job.state.value
        return Execution(ref, job.state, status)

    def check_place(self, about: dict[str, Any]) -> None:
        if (there := about.get("place")) and there != self.place:
            raise ConflictError(
                f"{about.get('kind')} {about.get('id') or ''} belongs to {there}, but the connection now leads to "
                f"{self.place}",
                call=CALL,
            )
