"""Waits in the triggerer while people are asked: for their answer, their deadline, or a decision at the vendor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider.core.approving import ASKED_AS, REJECT, Ended, decided_at_the_vendor
from airflow_provider.core.canceling import ENDED_FROM_OUTSIDE
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.waiting import Outcome, Wait
from airflow_provider.execution import ExecutionRef
from airflow_provider.storable import storable
from airflow_provider.task_instances import identity_of, task_state
from airflow_provider.triggers import required_actions
from airflow_provider.triggers.kills import though_canceled
from airflow_provider.triggers.poller import shared_poller

LONGEST_SLEEP = 60.0
"""Seconds after which the clock on the wall is asked again whether the deadline has passed."""


class ApprovalTrigger(BaseTrigger):
    """Watches an approval that people are asked for in Airflow; cancels nothing, because it is of no start of ours.

    Airflow itself resumes the task with the answer. This ends with an event where Airflow does not: for an answer that
    came before the deferral, at the deadline, and once nobody's answer is waited for any more. What can still be
    answered then is closed.

    :param system: which of the systems.
    :param conn_id: the Airflow connection.
    :param ref: what waits for the answer.
    :param poll_interval: seconds between looks.
    :param asked_as: which question this is of; stands in every event. Where a database uses the number of a trigger
        again, as SQLite does, the late event of an old one resumes another task.
    :param until: states, beside those of an end, in which no answer is waited for any more.
    :param deadline: epoch seconds until which people may answer; ``None``: no limit.
    :param on_no_response: the decision that the closed question then shows.
    :param hold_back: seconds from the beginning in which the task is not sent back to a worker.
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
        super().__init__()
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
        event = await self._first()
        await asyncio.sleep(self.hold_back - (time.monotonic() - begun))
        yield TriggerEvent({**event, ASKED_AS: self.asked_as})

    async def _first(self) -> dict[str, Any]:
        """The event of whatever happens first."""
        wait = Wait(self.ref, self.poll_interval, until=frozenset(self.until))
        watching = asyncio.create_task(shared_poller(self.system, self.conn_id).wait(wait))
        reading = asyncio.create_task(self._early_answer())
        pending: set[asyncio.Task[Any]] = {watching, reading}
        try:
            while True:
                done, pending = await asyncio.wait(
                    pending, timeout=self._seconds_left(), return_when=asyncio.FIRST_COMPLETED
                )
                if reading in done and (answer := reading.result()):
                    return answer
                if watching in done:
                    return await self._decided(watching.result())
                if self.deadline is not None and time.time() >= self.deadline:
                    return await self._expired()
        finally:
            for task in (watching, reading):
                task.cancel()

    def _seconds_left(self) -> float | None:
        return None if self.deadline is None else min(LONGEST_SLEEP, max(0.0, self.deadline - time.time()))

    async def _early_answer(self) -> dict[str, Any] | None:
        """An answer that came before the deferral did, of which Airflow tells nobody.

        Looked for twice and no more: a trigger that reads for ever and ends by itself hears of no kill.
        """
        if self.task_instance is None:
            return None
        reads = 0
        while True:
            seen = await required_actions.read(self.task_instance.id)
            if seen.answer or seen.is_missing:
                return seen.answer or {"ended": Ended.UNASKED}
            reads += seen.is_known
            if reads >= 2:
                return None
            await asyncio.sleep(DURATIONS.early_answer)

    async def _decided(self, outcome: Outcome) -> dict[str, Any]:
        seen = outcome.execution or {}
        state, status = seen.get("state", ""), seen.get("status") or outcome.error
        await self._close(decided_at_the_vendor(state) or REJECT, f"decided at the vendor: it is {status}")
        return {"ended": Ended.ELSEWHERE, "outcome": outcome.to_event()}

    async def _expired(self) -> dict[str, Any]:
        if self.task_instance is not None:
            # It may have come in this moment.
            seen = await required_actions.read(self.task_instance.id)
            if seen.answer:
                return seen.answer
        decision = self.on_no_response if self.on_no_response != "fail" else REJECT
        await self._close(decision, "nobody answered in time")
        return {"ended": Ended.NO_RESPONSE}

    async def _close(self, decision: str, why: str) -> None:
        if self.task_instance is not None:
            await required_actions.close(self.task_instance.id, decision, why)

    async def on_kill(self) -> None:
        """Close what nobody needs to answer any more, if a person ended the task."""
        if self.task_instance is not None:
            await though_canceled(self._close_if_ended(), DURATIONS.trigger_kill_limit)

    async def _close_if_ended(self) -> None:
        # A second or two after an answer, too: then there is nothing to close.
        if not (await required_actions.read(self.task_instance.id)).is_open:
            return
        try:
            state = await sync_to_async(task_state)(**identity_of(self.task_instance))
        except Exception as error:
            self.log.warning("Cannot ask who ended the task, so that its required action stays open: %s", error)
            return
        if state in ENDED_FROM_OUTSIDE:
            await self._close(REJECT, f"nobody waits for an answer any more: the task is {state}")
            self.log.info("The required action was closed: the task is %s. Nothing was sent or canceled", state)
