"""Lives of a task that triggers a Gerrit change by hand: step for step as ``operators/gerrit_trigger.py`` does.

Nothing marks what a trigger has led to: an event that shows where none was before is taken for its own.
"""

from __future__ import annotations

from typing import Any

from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.record import RequestRecord
from airflow_provider.exceptions import Call, ConflictError, Effect, ReleasePipelineError
from tests.simulation.acting import ActJudge
from tests.simulation.airflow import Task
from tests.simulation.answering import AnswerCarrier, AnswerWorker
from tests.simulation.world import Steps

POLL_PAUSE = 1.0


class TriggerCarrier(AnswerCarrier):
    """Carries out what one attempt of a trigger by hand does."""

    key = "release_trigger"
    action = "triggered a Gerrit change"

    def in_words(self, record: RequestRecord) -> str:
        return f"trigger beside {len(record.notes['known'])} events, {'done' if record.is_done else 'intended'}"

    def answer(self) -> Steps[dict[str, Any]]:
        notes = yield from self.recalled()
        if notes:
            triggered = yield from self._triggered(notes["known"])
        else:
            notes = {"known": (yield from self._ask("choose", self.client.events.listed))}
            yield from self._note(notes)
            triggered = yield from self._trigger(notes["known"])
        yield from self._note(notes, is_done=True)
        return triggered

    def _trigger(self, known: list[int]) -> Steps[dict[str, Any]]:
        self.world.point("action before", self.worker)
        yield 0.0
        yield from self.require_standing()
        worker, events = self.worker, self.client.events
        self.world.judge.triggers(worker)
        try:
            yield from self._ask("action", lambda: events.trigger(worker))
        except ReleasePipelineError as error:
            if not error.effect.is_open:
                yield from self.airflow.write(worker, self.key, None)
                self.world.judge.forgets(worker)
                raise
            return (yield from self._triggered(known))
        return {"event": None}

    def _triggered(self, known: list[int]) -> Steps[dict[str, Any]]:
        end = self.worker.machine.now + DURATIONS.settling
        while True:
            try:
                listed: list[int] = yield from self._ask("choose", self.client.events.listed)
            except ReleasePipelineError as error:
                if error.effect is Effect.REFUSED:
                    raise
                listed = []
            if younger := [each for each in listed if each not in known]:
                return {"event": younger[0]}
            if self.worker.machine.now + POLL_PAUSE > end:
                raise ConflictError("no event shows", call=Call(system="vendor"), effect=Effect.UNKNOWN)
            self.world.point("pause", self.worker)
            yield POLL_PAUSE


class TriggerWorker(AnswerWorker):
    """A process of a trigger by hand."""

    carrier_class = TriggerCarrier


class TriggerJudge(ActJudge):
    """What must hold: one trigger for each generation, and no success without one since it was noted."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._triggered: set[tuple[Task, int]] = set()
        """Generations that may have triggered."""
        self._noted: dict[tuple[Task, int], int] = {}
        """How many events it knew when it began."""

    def saved(self, worker: Any, record: RequestRecord) -> None:
        self.progresses(worker, record)
        if not record.is_done and record.escalated_by != worker.carrier.attempt:
            self._noted.setdefault((worker.task, worker.generation), len(record.notes["known"]))

    def forgets(self, worker: Any) -> None:
        """Certainly nothing came of it."""
        for generation in range(worker.generation + 1):
            self._triggered.discard((worker.task, generation))
            self._noted.pop((worker.task, generation), None)

    def triggers(self, worker: Any) -> None:
        """A trigger is about to be sent."""
        self._requires_standing(worker, "a trigger")
        if (worker.task, worker.generation) in self._triggered:
            self.world.violate(f"{worker} triggers the change again, although an earlier attempt may have")
        self._triggered.add((worker.task, worker.generation))

    def succeeds(self, task: Task, worker: Any, result: dict[str, Any]) -> None:
        for generation in range(worker.generation, -1, -1):
            if (task, generation) not in self._noted:
                continue
            events = worker.client.events
            is_shown = generation == worker.generation or self._is_hidden(worker, generation)
            if not is_shown:
                break
            if not events.count_of(task, generation):
                self.world.counted["succeeded with a guess"] += 1
                if len(events) <= self._noted[task, generation]:
                    self.world.violate(f"{task} succeeds, but nothing was triggered since it began")
            return
        self.world.violate(f"{task} succeeds with what was triggered before it was cleared")

    def ends(self) -> None:
        super().ends()
        for server in self.servers:
            for task, generation in server.events.triggered_twice():
                self.world.violate(
                    f"{task} has triggered the change more than once since it was cleared {generation} times"
                )
