"""Simulated vendors at the level of the client's methods, one for each character that the four contracts have.

Without a marker, an execution that shows later than the core looks for it cannot be recognized by anybody: so for those
a request takes effect at most ``settling_per_second`` times its own duration after its time-out. With a marker it may
be up to ten minutes.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

from msgspec.structs import replace

from airflow_provider.clients.waitable import start_window
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
from tests.simulation.network import CALL, Network
from tests.simulation.world import Machine, Steps, World

TAKEN_BACK_FOR = 60.0
"""Seconds for which an execution whose end was taken back runs on."""
LATEST_EFFECT = 600.0
"""Seconds after its time-out within which a start that bears a marker may yet take effect."""
START_LIMIT = 600.0
"""Seconds after which a rerun that has led nowhere counts as failed."""
MANY = 25
"""Executions after which a list is cut."""


class Gate:
    """An approval that an execution comes to.

    :param asked_at: when it is waited for.
    """

    def __init__(self, asked_at: float) -> None:
        self.asked_at = asked_at
        self.status = "active"


class Made:
    """One execution, as the vendor knows it, with what only the world knows: who really started it.

    :param owner: the task that started it; ``None`` for a colleague.
    :param generation: of the task then.
    :param was_late: whether it began so long after its start was sent that nobody could wait for it.
    """

    def __init__(self, world: World, number: int, owner: Any, generation: int, outcome: str, seconds: float) -> None:
        self.world = world
        self.id = str(number)
        self.owner = owner
        self.generation = generation
        self.begun = world.now
        self.marker = self.system = self.event = self.place = ""
        self.was_late = self.is_heard = False
        """Also whether the answer to its start has reached who sent it."""
        self.ended_by = ""
        """Who asked for its end: "us", "colleague" or nobody."""
        self.acted_on_by: set[Any] = set()
        """Tasks whose act has arrived."""
        self.was_resumed = False
        """Whether a colleague went on with it after its end was asked for."""
        self.listed_from = self.seen_from = world.now
        self._outcome = outcome
        self._ends = world.now + seconds
        self._paused_since: float | None = None
        self._cancel_at: float | None = None
        self._stop_leaves = ExecutionState.CANCELED
        self._end: ExecutionState | None = None
        self.ends_for: float | None = None
        """Seconds after which the vendor takes back that it has failed, once."""
        self.gates: list[Gate] = []

    def __str__(self) -> str:
        return f"{self.id} of {self.owner or 'a colleague'}"

    @property
    def state(self) -> ExecutionState:
        now = self.world.now
        gate = self.open_gate
        stands = self._paused_since is not None or gate is not None
        is_canceled = self._end is None and self._cancel_at is not None and now >= self._cancel_at
        if is_canceled and (stands or (self._cancel_at or 0.0) < self._ends):
            self._end, self._cancel_at = self._stop_leaves, None
        if self._end is None and not stands and now >= self._ends:
            if self.ends_for is not None and self._outcome == "failed":
                if now < self._ends + self.ends_for:
                    return ExecutionState.FAILED
                self._ends += self.ends_for + TAKEN_BACK_FOR
                self.ends_for = None
                return self.state
            self._end, self._cancel_at = ExecutionState(self._outcome), None
        if self._end is not None:
            return self._end
        if self._paused_since is not None:
            return ExecutionState.PAUSED
        return ExecutionState.RUNNING if gate is None else ExecutionState.WAITING

    @property
    def open_gate(self) -> int | None:
        """The number of the gate that it waits at."""
        if self._end is not None:
            return None
        places = enumerate(self.gates)
        return next((n for n, each in places if each.status == "active" and self.world.now >= each.asked_at), None)

    def answer_gate(self, number: int, decision: str) -> bool:
        """Takes an answer; whether it had an effect.

        :raises ConflictError: it was decided before, or is not waited for any more.
        """
        gate = self.gates[number]
        if self.state is not ExecutionState.WAITING or self.open_gate != number:
            if gate.status == decision:
                return False
            raise ConflictError(f"gate {number} is {gate.status}, and {self} is {self.state}", call=CALL)
        waited = self.world.now - gate.asked_at
        gate.status = decision
        self._ends += waited
        for later in self.gates[number + 1 :]:
            later.asked_at += waited
        if decision == "reject":
            self._end, self._cancel_at, self.ended_by = ExecutionState.FAILED, None, "people"
        return True

    @property
    def is_over(self) -> bool:
        return self.state.is_terminal

    @property
    def is_to_go_on(self) -> bool:
        """Whether it shows an end that will be taken back."""
        return self.state is ExecutionState.FAILED and self._end is None

    @property
    def is_being_canceled(self) -> bool:
        return self._cancel_at is not None and not self.is_over

    @property
    def goes_on(self) -> bool:
        """Whether it runs, or could be made to, and nobody has asked for its end."""
        state = self.state
        stopped = state is ExecutionState.PAUSED and self._end is not None
        return not state.is_terminal and not stopped and self._cancel_at is None

    def ran_on_after(self, moment: float) -> bool:
        """Whether it goes on, or went on after that until it ended by itself."""
        return self.goes_on or (not self.ended_by and not self.was_resumed and self._ends > moment)

    def cancel(self, after: float, leaves: ExecutionState, who: str) -> None:
        if self.goes_on:
            self._cancel_at, self._stop_leaves, self.ended_by = self.world.now + after, leaves, who

    def pause(self) -> None:
        if self.goes_on and self._paused_since is None:
            self._paused_since = self.world.now

    def resume(self) -> None:
        if self.state is not ExecutionState.PAUSED:
            return
        since = self.world.now if self._paused_since is None else self._paused_since
        self._ends += self.world.now - since
        if self._end is ExecutionState.PAUSED:
            self._ends = max(self._ends, self.world.now + 30.0)
            self.was_resumed = True
        self._end = self._paused_since = None

    def end_paused(self) -> None:
        for gate in self.gates:
            gate.asked_at = math.inf if gate.status == "active" else gate.asked_at
        if self.state is ExecutionState.PAUSED:
            self._end, self.ended_by = ExecutionState.CANCELED, self.ended_by or "colleague"

    def run_again(self, outcome: str, seconds: float, generation: int) -> None:
        """A failed one goes on."""
        self._end, self._outcome, self._ends = None, outcome, self.world.now + seconds
        self.generation, self.ended_by, self.was_resumed = generation, "", False


class Server:
    """One installation of a vendor, by its client.

    :param is_marked: what it starts bears the marker of the intent.
    :param is_single: it runs one execution at a time.
    """

    is_marked = True
    is_single = False
    stop_leaves = ExecutionState.CANCELED

    def __init__(self, world: World, place: str) -> None:
        self.world = world
        self.place = place
        self.machine = Machine(world, place, world.plan.condition("vendor clock"))
        self.made: list[Made] = []
        plan = world.plan
        self.approvals = (Releases if plan.kind == "release answer" else Approvals)(world, place)
        self.events = Events(world, place)
        self.found_last: dict[Any, int] = {}
        """How many executions the last search of a sender has found."""
        self.pushes: Any = None
        """Reports of ends; see ``pushing.py``."""
        self._numbers = itertools.count(4001)
        self._starts = 0
        self._lag = plan.condition("lists lag")
        self._look_lag = plan.condition("looks lag")
        self._late_cancel = plan.condition("late cancel")
        self._knows_time = not plan.conditions("no vendor clock")
        self._taken_back = plan.condition("taken back")
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
            return self._told(self._start(sender, intent, self.world.now - sent))

        execution: Execution = yield from self.network.request("send", sender, serve)
        if made := self.made_of(execution.ref):
            made.is_heard = True
            self.world.judge.hears(sender, made)
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
        made = self.made_of(ref)
        if made and made.owner is sender.task and ref["system"] != sender.policy.system:
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
            return self._told(self._listed()[-1])

        return (yield from self.network.request("choose", sender, serve))

    def act(self, sender: Any, action: str, ref: ExecutionRef) -> Steps[Execution]:
        """Cancel, pause or resume exactly this one."""
        self.check_place(ref)
        return (yield from self.network.request("action", sender, lambda: self._act(sender, action, ref), ref["id"]))

    def find_gate(self, sender: Any, ref: ExecutionRef) -> Steps[int | None]:
        """The number of the gate that an execution waits at."""
        self.check_place(ref)
        made = self.made_of(ref)

        def serve() -> int | None:
            return made.open_gate if made and made.state is ExecutionState.WAITING else None

        number: int | None = yield from self.network.request("observe", sender, serve, ref["id"])
        return number

    def is_marked_start(self, intent: dict[str, Any]) -> bool:
        return self.is_marked

    def needs_cancel(self, execution: Execution) -> bool:
        return not execution.state.is_terminal and execution.status != "canceling"

    def settling_of(self, execution: Execution) -> float:
        is_doubtful = self._taken_back and execution.status == ExecutionState.FAILED
        return DURATIONS.failed_settling if is_doubtful else 0.0

    def note_unfinished(self, sender: Any, ref: ExecutionRef) -> None:
        self._seen_unfinished.add((sender, ref["id"]))

    def is_busy(self, error: ReleasePipelineError) -> bool:
        return error.code == "busy"

    def is_known(self, ref: ExecutionRef) -> bool:
        return ref["kind"] != "rerun"

    # What colleagues do

    def start_by_colleague(self, seconds: float, outcome: str = "succeeded") -> Made | None:
        if self.is_single and any(each.goes_on for each in self.made):
            return None
        return self._make(None, 0, outcome, seconds)

    def end_paused(self) -> None:
        for made in self.made:
            made.end_paused()

    def newest(self) -> Made | None:
        return next((each for each in reversed(self.made) if each.goes_on or not each.is_over), None)

    # Inside

    def made_of(self, ref: ExecutionRef) -> Made | None:
        return next((each for each in self.made if each.id == ref["id"]), None)

    def _system_of(self, execution: Execution) -> str:
        """Of one of ours; a colleague's is of the one that is asked."""
        made = self.made_of(execution.ref)
        return made.system if made else ""

    def _before(self, failed: ExecutionRef | None) -> dict[str, Any]:
        return {"kind": "execution"}

    def _start(self, sender: Any, intent: dict[str, Any], took: float) -> Made:
        if self.is_single and any(not each.is_over and each.goes_on for each in self.made):
            raise self._busy()
        outcome, seconds = self.world.plan.outcomes[self._starts % len(self.world.plan.outcomes)]
        self._starts += 1
        made = self._make(sender.task, sender.generation, outcome, seconds)
        made.marker = str(intent["marker"]) if self.is_marked else ""
        # What begins later would find nobody who opens a gate that nobody has answered.
        if self.world.plan.policy.get("approve") and self.world.at_evening:
            count = self.world.random.choice((0, 1, 1, 2, 3))
            made.gates = [Gate(made.begun + seconds * each / (count + 1)) for each in range(1, count + 1)]
        made.was_late = took > DURATIONS.settling
        self.world.judge.started(sender, made)
        return made

    def _busy(self) -> ReleasePipelineError:
        return ConflictError("it runs already", call=Call(system="vendor", code="busy"), effect=Effect.NONE)

    def _make(self, owner: Any, generation: int, outcome: str, seconds: float) -> Made:
        made = Made(self.world, next(self._numbers), owner, generation, outcome, seconds)
        made.place = self.place
        made.ends_for = self._taken_back or None
        made.listed_from += self._lag * self.world.random.random()
        made.seen_from += self._look_lag * self.world.random.random()
        self.made.append(made)
        if self.pushes:
            self.pushes.watch(made)
        self.world.tell(self.place, f"execution {made} begins (will be {outcome} after {seconds:.0f} s)")
        return made

    def _find(self, intent: dict[str, Any]) -> list[Execution]:
        return self._in_order([each for each in self._listed() if each.marker and each.marker == intent["marker"]])

    def _listed(self) -> list[Made]:
        return [each for each in self.made if self.world.now >= each.listed_from]

    def _in_order(self, found: list[Made]) -> list[Execution]:
        if self._is_disordered:
            self.world.random.shuffle(found)
        return [self._told(each) for each in found]

    def _look(self, ref: ExecutionRef) -> Execution:
        made = self.made_of(ref)
        if made is None or self.world.now < made.seen_from:
            raise NotFoundError(f"no execution {ref['id']}", call=CALL)
        return self._told(made)

    def _judged(self, sender: Any, ref: ExecutionRef) -> Execution:
        """As the client of a process shows it."""
        seen = self._look(ref)
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
        made = self.made_of(ref)
        if made is None:
            raise NotFoundError(f"no execution {ref['id']}", call=CALL)
        if self._refuses_cancel:
            raise PermissionDeniedError("HTTP 403", call=CALL)
        self.world.judge.canceled(sender, made)
        made.cancel(self._late_cancel * self.world.random.random(), self.stop_leaves, "us")
        self.world.tell(self.place, f"is asked to cancel {made}: it is {made.state}")

    def _act(self, sender: Any, action: str, ref: ExecutionRef) -> Execution:
        made = self.made_of(ref)
        if made is None:
            raise NotFoundError(f"no execution {ref['id']}", call=CALL)
        is_paused = made.state is ExecutionState.PAUSED
        if made.is_over or made.is_being_canceled or is_paused != (action == "resume"):
            raise ConflictError(f"execution {made.id} is {made.state}", call=CALL)
        if self._refuses_cancel:
            raise PermissionDeniedError("HTTP 403", call=CALL)
        made.acted_on_by.add(sender.task)
        self.world.tell(self.place, f"is asked to {action} {made}")
        match action:
            case "cancel":
                made.cancel(self._late_cancel * self.world.random.random(), self.stop_leaves, "act")
            case "pause":
                made.pause()
            case _:
                made.resume()
        return self._told(made)

    def _told(self, made: Made) -> Execution:
        system = made.system or "vendor"
        ref = {"system": system, "kind": "execution", "id": made.id, "place": self.place}
        status = "canceling" if made.is_being_canceled else made.state.value
        return Execution(ref, made.state, status)

    def check_place(self, about: dict[str, Any]) -> None:
        if (there := about.get("place")) and there != self.place:
            raise ConflictError(
                f"{about.get('kind')} {about.get('id') or ''} belongs to {there}, but the connection now leads to "
                f"{self.place}",
                call=CALL,
            )


class Busy(Server):
    """Like Cocktail: marked, and one at a time; a start meanwhile is refused for the time being."""

    is_single = True


class OneAtATime(Server):
    """Like ServiceStage: no marker but ids that grow; a start meanwhile is refused; a stop leaves it paused."""

    is_marked = False
    is_single = True
    stop_leaves = ExecutionState.PAUSED

    def needs_cancel(self, execution: Execution) -> bool:
        return super().needs_cancel(execution) and execution.status != "paused"

    def _busy(self) -> ReleasePipelineError:
        return ConflictError("a release is under way", call=CALL)

    def _before(self, failed: ExecutionRef | None) -> dict[str, Any]:
        newest = self._listed()[-1:]
        before = {"newest": newest[0].id if newest else "0", "status_before": newest[0].state.value if newest else ""}
        # Only this task's own one goes on, not a younger one of somebody else.
        is_own = bool(failed and newest and failed["id"] == newest[0].id)
        going_on = is_own and self.world.plan.policy["on_retry"] == "resume"
        return {"kind": "execution", "action": "retry" if going_on else "start", **before}

    def _start(self, sender: Any, intent: dict[str, Any], took: float) -> Made:
        if intent["action"] == "start":
            return super()._start(sender, intent, took)
        failed = next((each for each in self.made if each.id == intent["newest"]), None)
        if failed is None or failed.state is not ExecutionState.FAILED or any(each.goes_on for each in self.made):
            raise self._busy()
        outcome, seconds = self.world.plan.outcomes[self._starts % len(self.world.plan.outcomes)]
        self._starts += 1
        self.world.judge.resumes(sender, failed)
        failed.run_again(outcome, seconds, sender.generation)
        self.world.tell(self.place, f"execution {failed} goes on")
        self.world.judge.started(sender, failed)
        return failed

    def _find(self, intent: dict[str, Any]) -> list[Execution]:
        listed = self._listed()
        later = [each for each in listed if int(each.id) > int(intent["newest"]) and began_in_time(self, each, intent)]
        if later or intent["action"] == "start":
            return self._in_order(later)
        same = [each for each in listed if each.id == intent["newest"]]
        return [self._told(each) for each in same if each.state.value != intent["status_before"]]


class Window(Server):
    """Like Quay: no marker, and builds side by side; ours are told from others by what and when."""

    is_marked = False

    def _before(self, failed: ExecutionRef | None) -> dict[str, Any]:
        return {"kind": "execution", "known": [each.id for each in self._listed()]}

    def _find(self, intent: dict[str, Any]) -> list[Execution]:
        listed = self._listed()
        if len(listed) - len(intent["known"]) >= MANY:
            raise ConflictError("more builds than a list tells: whether one of them is ours cannot be told", call=CALL)
        return self._in_order(
            [each for each in listed if each.id not in intent["known"] and began_in_time(self, each, intent)]
        )


class Rerun(Server):
    """Like a rerun event of Code Stream: the answer names a new event, which leads to an execution later, or never."""

    is_marked = False

    def __init__(self, world: World, place: str) -> None:
        super().__init__(world, place)
        self._leads_nowhere = bool(world.plan.conditions("leads nowhere"))
        self._led_to: dict[str, Made | None] = {}

    def _before(self, failed: ExecutionRef | None) -> dict[str, Any]:
        return {"kind": "rerun", "known": [each.id for each in self._listed()]}

    def send(self, sender: Any, intent: dict[str, Any]) -> Steps[Execution]:
        sent = self.world.now
        start_by = f"{sender.machine.now + START_LIMIT:.0f}"

        def serve() -> Execution:
            event = f"event-{len(self._led_to) + 1}"
            made = None
            if self._leads_nowhere and not self._led_to:
                self.world.tell(self.place, f"{event} leads nowhere")
            else:
                made = self._start(sender, intent, self.world.now - sent)
                made.listed_from += self.world.between(0, 8)
                made.event = event
            self._led_to[event] = made
            system = sender.carrier.policy.system
            ref = {"system": system, "kind": "rerun", "id": event, "start_by": start_by, "place": self.place}
            return Execution(ref, ExecutionState.QUEUED, "rerun")

        return (yield from self.network.request("send", sender, serve))

    def _find(self, intent: dict[str, Any]) -> list[Execution]:
        listed = [each for each in self._listed() if each.id not in intent["known"]]
        return self._in_order([each for each in listed if began_in_time(self, each, intent)])

    def observe(self, sender: Any, ref: ExecutionRef) -> Steps[Execution]:
        if ref["kind"] != "rerun":
            return (yield from super().observe(sender, ref))
        self.check_place(ref)
        is_late = sender.machine.now > float(ref["start_by"])

        def serve() -> Execution:
            if made := self._led_to_by_now(ref):
                return self._told(made)
            if is_late:
                return Execution(dict(ref), ExecutionState.FAILED, "led nowhere")
            return Execution(dict(ref), ExecutionState.QUEUED, "rerun")

        return (yield from self.network.request("observe", sender, serve, ref["id"]))

    def _led_to_by_now(self, ref: ExecutionRef) -> Made | None:
        made = self._led_to.get(ref["id"])
        return made if made and self.world.now >= made.listed_from else None

    def _cancel(self, sender: Any, ref: ExecutionRef) -> None:
        if ref["kind"] == "rerun":
            made = self._led_to_by_now(ref)
            if made is None:
                raise ConflictError("nothing to cancel yet", call=CALL, effect=Effect.NONE)
            ref = self._told(made).ref
        super()._cancel(sender, ref)


def began_in_time(server: Server, made: Made, intent: dict[str, Any]) -> bool:
    """What a client knows of an execution without a marker: when it began, by the vendor's clock."""
    earliest, latest = start_window(intent)
    return earliest <= made.begun + server.machine.skew <= latest


SERVERS: dict[str, type[Server]] = {
    "marked": Server,
    "busy": Busy,
    "one at a time": OneAtATime,
    "window": Window,
    "rerun": Rerun,
}
"""By character; see ``plan.CHARACTERS``."""
