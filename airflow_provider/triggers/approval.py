"""Waits in the triggerer while people are asked about an approval of somebody else's execution."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.core.approving import ASKED_AS, REJECT
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.waiting import Outcome, Wait
from airflow_provider.execution import ExecutionRef
from airflow_provider.storable import storable
from airflow_provider.triggers.asked import AskedPeople, unless_stopped
from airflow_provider.triggers.kills import shielded
from airflow_provider.triggers.poller import shared_poller


class ApprovalTrigger(BaseTrigger):
    """Watches an approval that people are asked for in Airflow; cancels nothing, because the execution is not ours.

    Airflow itself resumes the task with the answer. This trigger fires in the cases in which Airflow does not: an
    answer that came before the deferral, the deadline, and an approval that no longer waits for an answer. It then
    closes the question if it is still open.

    :param system: which of the systems.
    :param conn_id: the Airflow connection.
    :param ref: the approval that waits for the answer.
    :param poll_interval: seconds between polls.
    :param asked_as: which question this is for; part of every event. A database that reuses the ids of triggers, as
        SQLite does, may deliver the late event of an old trigger to another task.
    :param until: states, besides terminal ones, in which the approval no longer waits for an answer.
    :param deadline: epoch seconds until which people may answer; ``None``: no limit.
    :param on_no_response: the decision that the closed question shows if nobody answers.
    :param hold_back: seconds, from the trigger's start, for which the task is not sent back to a worker.
    """

    def __init__(
        self,
        *,
        system: str,
        conn_id: str,
        ref: ExecutionRef,
        poll_interval: float,
        asked_as: str,
        until: Collection[str] = (),
        deadline: float | None = None,
        on_no_response: str = REJECT,
        hold_back: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.system = system
        self.conn_id = conn_id
        self.ref = ref
        self.poll_interval = poll_interval
        self.asked_as = asked_as
        self.until = until
        self.deadline = deadline
        self.on_no_response = on_no_response
        self.hold_back = hold_back

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "airflow_provider.triggers.approval.ApprovalTrigger",
            {
                "system": self.system,
                "conn_id": self.conn_id,
                "ref": storable(self.ref),
                "poll_interval": self.poll_interval,
                "asked_as": self.asked_as,
                "until": list(self.until),
                "deadline": self.deadline,
                "on_no_response": self.on_no_response,
                "hold_back": self.hold_back,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        begun = time.monotonic()
        event = await self._asked.until_over([self._outcome()])
        await asyncio.sleep(self.hold_back - (time.monotonic() - begun))
        yield TriggerEvent({**event, ASKED_AS: self.asked_as})

    async def _outcome(self) -> Outcome:
        wait = Wait(self.ref, self.poll_interval, until=frozenset(self.until))
        outcome = await shared_poller(self.system, self.conn_id).wait(wait)
        return await unless_stopped(outcome, self.system, self.conn_id)

    async def on_kill(self) -> None:
        """Close the question, if a person ended the task."""
        await shielded(self._asked.close_if_ended(), DURATIONS.trigger_kill_limit)

    @property
    def _asked(self) -> AskedPeople:
        return AskedPeople(
            self.task_instance, self.asked_as, deadline=self.deadline, on_no_response=self.on_no_response
        )
