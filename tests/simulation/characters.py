"""The vendors of the simulation, one for each character among the four contracts."""

from __future__ import annotations

from typing import Any

from airflow_provider.clients.waitable import start_window
from airflow_provider.exceptions import ConflictError, Effect, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState
from tests.simulation.jobs import Job
from tests.simulation.network import CALL
from tests.simulation.server import Server
from tests.simulation.world import Steps, World

START_LIMIT = 600.0
"""Seconds after which a rerun that has led nowhere counts as failed."""
MANY = 25
"""Executions that a list shows at most."""


class Busy(Server):
    """Like Cocktail: marked, and one at a time; a start meanwhile is refused for the time being."""

    is_single = True


class OneAtATime(Server):
    """Like ServiceStage: no marker but ids that grow; a start meanwhile is refused; a stop leaves it paused."""

    is_marked = False
    is_single = True
    may_take_back = False
    stop_leaves = ExecutionState.PAUSED

    def needs_cancel(self, execution: Execution) -> bool:
        return super().needs_cancel(execution) and execution.status != "paused"

    def _busy(self) -> ReleasePipelineError:
        return ConflictError("a release is under way", call=CALL)

    def _before(self, failed: ExecutionRef | None) -> dict[str, Any]:
        newest = self._listed()[-1:]
        before = {"newest": newest[0].id if newest else "0", "status_before": newest[0].state.value if newest else ""}
        # Only this task's own one is continued, not a newer one of somebody else.
        is_own = bool(failed and newest and failed["id"] == newest[0].id)
        going_on = is_own and self.world.plan.policy["on_retry"] == "resume"
        return {"kind": "execution", "action": "retry" if going_on else "start", **before}

    def _start(self, sender: Any, intent: dict[str, Any], took: float) -> Job:
        if intent["action"] == "start":
            return super()._start(sender, intent, took)
        failed = next((each for each in self.jobs if each.id == intent["newest"]), None)
        if failed is None or failed.state is not ExecutionState.FAILED or any(each.is_active for each in self.jobs):
            raise self._busy()
        outcome, seconds = self.world.plan.outcomes[self._starts % len(self.world.plan.outcomes)]
        self._starts += 1
        self.world.judge.resumes(sender, failed)
        failed.run_again(outcome, seconds, sender.generation)
        self.world.note(self.place, f"execution {failed} is continued")
        self.world.judge.started(sender, failed)
        return failed

    def _find(self, intent: dict[str, Any]) -> list[Execution]:
        listed = self._listed()
        later = [each for each in listed if int(each.id) > int(intent["newest"]) and began_in_time(self, each, intent)]
        if later or intent["action"] == "start":
            return self._in_order(later)
        same = [each for each in listed if each.id == intent["newest"]]
        return [self._observed(each) for each in same if each.state.value != intent["status_before"]]


class Window(Server):
    """Like Quay: no marker, and builds side by side; ours are recognized by their arguments and times."""

    is_marked = False

    def _before(self, failed: ExecutionRef | None) -> dict[str, Any]:
        return {"kind": "execution", "known": [each.id for each in self._listed()]}

    def _find(self, intent: dict[str, Any]) -> list[Execution]:
        listed = self._listed()
        if len(listed) - len(intent["known"]) >= MANY:
            raise ConflictError("more builds than a list shows: whether one of them is ours is not known", call=CALL)
        return self._in_order(
            [each for each in listed if each.id not in intent["known"] and began_in_time(self, each, intent)]
        )


class Rerun(Server):
    """Like a rerun event of Code Stream: the answer names a new event, which leads to an execution later, or never."""

    is_marked = False

    def __init__(self, world: World, place: str) -> None:
        super().__init__(world, place)
        self._leads_nowhere = bool(world.plan.conditions("leads nowhere"))
        self._led_to: dict[str, Job | None] = {}

    def _before(self, failed: ExecutionRef | None) -> dict[str, Any]:
        return {"kind": "rerun", "known": [each.id for each in self._listed()]}

    def send(self, sender: Any, intent: dict[str, Any]) -> Steps[Execution]:
        sent = self.world.now
        start_by = f"{sender.machine.now + START_LIMIT:.0f}"

        def serve() -> Execution:
            event = f"event-{len(self._led_to) + 1}"
            job = None
            if self._leads_nowhere and not self._led_to:
                self.world.note(self.place, f"{event} leads nowhere")
            else:
                job = self._start(sender, intent, self.world.now - sent)
                job.listed_from += self.world.between(0, 8)
                job.event = event
            self._led_to[event] = job
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
            if job := self._led_to_by_now(ref):
                seen = self._observed(job)
                if self.was_unfinished(sender, ref):
                    self.note_unfinished(sender, seen.ref)
                return self.believed(sender, seen)
            if is_late:
                return Execution(dict(ref), ExecutionState.FAILED, "led nowhere")
            self.note_unfinished(sender, ref)
            return Execution(dict(ref), ExecutionState.QUEUED, "rerun")

        return (yield from self.network.request("observe", sender, serve, ref["id"]))

    def _led_to_by_now(self, ref: ExecutionRef) -> Job | None:
        job = self._led_to.get(ref["id"])
        return job if job and self.world.now >= job.listed_from else None

    def _cancel(self, sender: Any, ref: ExecutionRef) -> None:
        if ref["kind"] == "rerun":
            job = self._led_to_by_now(ref)
            if job is None:
                raise ConflictError("nothing to cancel yet", call=CALL, effect=Effect.NONE)
            ref = self._observed(job).ref
        super()._cancel(sender, ref)


def began_in_time(server: Server, job: Job, intent: dict[str, Any]) -> bool:
    """What a client knows of an execution without a marker: when it began, by the vendor's clock."""
    earliest, latest = start_window(intent)
    return earliest <= job.begun + server.machine.skew <= latest


SERVERS: dict[str, type[Server]] = {
    "marked": Server,
    "busy": Busy,
    "one at a time": OneAtATime,
    "window": Window,
    "rerun": Rerun,
}
"""By character; see ``plan.CHARACTERS``."""
