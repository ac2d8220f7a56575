"""Waits in the triggerer for an execution that has reached a gate, while people are asked about it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import TriggerEvent

from airflow_provider.core.approving import ASKED_AS, CLOSED_WHEN, REJECT
from airflow_provider.core.canceling import TaskSeen, Verdict, judge_kill_while_asking
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.waiting import WAITED_FOR, Begun, Outcome, Wait, named_exactly
from airflow_provider.execution import ExecutionRef, ExecutionState
from airflow_provider.storable import storable
from airflow_provider.triggers import required_actions
from airflow_provider.triggers.asked import AskedPeople, unless_stopped
from airflow_provider.triggers.execution import ExecutionTrigger, freeze_watch, given_up_after
from airflow_provider.triggers.kills import shielded
from airflow_provider.triggers.poller import shared_poller


class GateTrigger(ExecutionTrigger):
    """Watches an execution of ours and the approval that it waits for; ends when either of them moves on.

    Takes the arguments of :class:`~airflow_provider.triggers.execution.ExecutionTrigger`. When a person answers,
    Airflow itself resumes the task and ends this trigger, which cancels nothing then.

    :param gate: the approval that people are asked about; ``None``: nobody is asked.
    :param asked_as: which question this is for, as in :class:`~airflow_provider.triggers.approval.ApprovalTrigger`.
    :param asks_until: epoch seconds until which people may answer; ``None``: no limit.
    :param on_no_response: the decision that the closed question shows if nobody answers.
    :param is_last_try: whether the attempt that asks is the last one.
    """

    def __init__(
        self,
        *,
        gate: ExecutionRef | None,
        asked_as: str,
        asks_until: float | None = None,
        on_no_response: str = REJECT,
        is_last_try: bool = False,
        **execution: Any,
    ) -> None:
        super().__init__(**execution)
        self.gate = gate
        self.asked_as = asked_as
        self.asks_until = asks_until
        self.on_no_response = on_no_response
        self.is_last_try = is_last_try

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "airflow_provider.triggers.gate.GateTrigger",
            {
                **super().serialize()[1],
                "gate": storable(self.gate),
                "asked_as": self.asked_as,
                "asks_until": self.asks_until,
                "on_no_response": self.on_no_response,
                "is_last_try": self.is_last_try,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        freeze_watch()
        running_since = time.monotonic()
        until = frozenset(CLOSED_WHEN)
        gate = self.gate if self.gate and named_exactly(self.gate) != named_exactly(self.ref) else None
        # An execution that has failed counts as running while it may be rolled back: where the approval itself is
        # polled, only that says how it was decided.
        of_execution = until - {ExecutionState.RUNNING} if gate else until
        self.current_wait = Wait(
            self.ref, self.poll_interval, self.deadline, until=of_execution, begun=Begun.from_json(self.begun)
        )
        waits = [self._outcome(self.current_wait)]
        if gate:
            waits.append(self._outcome(Wait(gate, self.poll_interval, until=until)))
        event = await self._asked.until_over(waits)
        await asyncio.sleep(self.hold_back - (time.monotonic() - running_since))
        yield TriggerEvent({**event, ASKED_AS: self.asked_as, WAITED_FOR: named_exactly(self.ref)})

    async def on_kill(self) -> None:
        """Cancel the execution and close the question, if a person ended the task."""
        await shielded(self._end(), DURATIONS.trigger_kill_limit)

    async def _outcome(self, wait: Wait) -> Outcome:
        waited_for = named_exactly(wait.ref)
        outcome = await shared_poller(self.system, self.conn_id).wait(wait)
        return (await unless_stopped(outcome, self.system, self.conn_id))._replace(waited_for=waited_for)

    async def _end(self) -> None:
        if self.marker:
            await self._cancel_if_a_person_acted(self.marker)
        await self._asked.close_if_ended()

    async def _judge_seen(self, seen: TaskSeen, marker: str, waited: float, frozen_for: float) -> tuple[Verdict, str]:
        if self.gate is None or self.task_instance is None:
            return await super()._judge_seen(seen, marker, waited, frozen_for)
        action = await required_actions.read(self.task_instance.id)
        return judge_kill_while_asking(
            seen,
            marker,
            waited,
            frozen_for,
            is_answered=action.answer is not None,
            is_moved=action.is_missing,
            is_last_try=self.is_last_try,
            given_up_after=given_up_after(),
        )

    @property
    def _asked(self) -> AskedPeople:
        return AskedPeople(
            self.task_instance if self.gate else None,
            self.asked_as,
            deadline=self.asks_until,
            on_no_response=self.on_no_response,
        )
