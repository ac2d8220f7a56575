"""How a trigger follows the question that its task asks: early answers, the deadline, decisions at the vendor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Coroutine
from typing import TYPE_CHECKING, Any

import structlog
from msgspec import Struct

from airflow_provider.core.approving import COMMENT, OPTIONS, REJECT, Ended, decided_elsewhere
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.task_states import ENDED_FROM_OUTSIDE
from airflow_provider.core.waiting import Outcome
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.links import QUESTION_XCOM
from airflow_provider.task_instances import identity_of, task_state
from airflow_provider.triggers import required_actions
from airflow_provider.triggers.shared_client import shared_client
from airflow_provider.triggers.xcoms import pull_xcom

if TYPE_CHECKING:
    from uuid import UUID

log = structlog.get_logger(logger_name=__name__)

LONGEST_SLEEP = 60.0
"""Seconds after which the deadline is compared with the wall clock again."""


class Asked(Struct):
    """The question of a task, as its trigger sees it.

    :param task_instance: ``None`` in ``dag.test()``, where nobody can be asked.
    :param asked_as: which question it is; "": none, and what stands there was left open.
    :param closed_as: the answer that it shows once nobody needs to answer it. If the options are Approve and Reject,
        Airflow shows any other text as a rejection.
    :param field: the form field that then shows why.
    """

    task_instance: Any
    asked_as: str
    closed_as: str = OPTIONS[REJECT]
    field: str = COMMENT

    async def answer_before(self, end: asyncio.Task[Any]) -> dict[str, Any] | None:
        """An early answer; ``None`` if the task ends before there is one. The task is canceled for an answer.

        Of both at the same time, the answer counts.
        """
        reading = asyncio.create_task(self._early_answer())
        try:
            await asyncio.wait({end, reading}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done() and (answer := reading.result()):
                return answer
            await end
        finally:
            reading.cancel()
            end.cancel()
        return None

    async def _early_answer(self) -> dict[str, Any] | None:
        """An answer that came before the deferral, for which Airflow does not resume the task.

        Read twice and no more: a trigger that keeps reading and ends by itself does not learn of a kill.
        """
        reads = 0
        while self._id is not None:
            seen = await required_actions.read(self._id)
            if seen.answer:
                return seen.answer
            if seen.is_known and not seen.is_open:
                # There is no question, or a machine closed it.
                return {"ended": Ended.UNASKED}
            reads += seen.is_known
            if reads >= 2:
                break
            await asyncio.sleep(DURATIONS.early_answer)
        return None

    async def last_answer(self) -> dict[str, Any] | None:
        """An answer that came before the wait was over. If Airflow does not answer, silence must not outweigh it."""
        if self._id is None:
            return None
        end = time.monotonic() + DURATIONS.error_budget
        while True:
            seen = await required_actions.read(self._id)
            if seen.is_known or time.monotonic() >= end:
                return seen.answer
            await asyncio.sleep(DURATIONS.early_answer)

    async def close(self, why: str, option: str | None = None) -> None:
        """Close the question, unless the task asks another one by now.

        A trigger may run on for some seconds after its task has resumed; and a database that reuses the ids of
        triggers, as SQLite does, may keep one for longer.
        """
        if self._id is not None and await self._is_still_asked():
            await required_actions.close(self._id, option or self.closed_as, why, self.field)

    async def close_if_open(self, why: str) -> None:
        if await self._is_open():
            await self.close(why)

    async def close_if_ended(self) -> None:
        """Close the question if a person has ended the task, so that nobody answers it for nothing."""
        # A trigger is also ended a second or two after an answer: then there is nothing to close.
        if self._id is None or not await self._is_open():
            return
        try:
            state = await asyncio.to_thread(task_state, **identity_of(self.task_instance))
        except Exception as error:
            log.warning("Could not read who ended the task, so its required action stays open: %s", error)
            return
        if state in ENDED_FROM_OUTSIDE:
            why = f"an answer is no longer needed: the task is {state}"
            await required_actions.close(self._id, self.closed_as, why, self.field)
            log.info("The required action was closed: the task is %s", state)

    async def _is_open(self) -> bool:
        return self._id is not None and (await required_actions.read(self._id)).is_open

    async def _is_still_asked(self) -> bool:
        try:
            asked_now = await pull_xcom(QUESTION_XCOM, identity_of(self.task_instance))
        except Exception as error:
            log.warning("Could not read which question the task asks now, so its required action stays open: %s", error)
            return False
        # Airflow deletes XComs before a retry, after which a question of the attempt before may still stand there.
        return asked_now in (None, self.asked_as)

    @property
    def _id(self) -> UUID | None:
        return self.task_instance.id if self.task_instance is not None else None


async def unless_stopped(outcome: Outcome, system: str, conn_id: str) -> Outcome:
    """The outcome of a wait for an approval; an execution that is being stopped counts as paused.

    It runs on for a moment, by which it looks as if somebody had approved it.
    """
    seen = outcome.execution
    if not seen or seen["state"] != ExecutionState.RUNNING:
        return outcome
    client = await shared_client(system, conn_id).get()
    if client.waits.needs_cancel(Execution(seen["ref"], ExecutionState.RUNNING, seen["status"])):
        return outcome
    return outcome._replace(execution={**seen, "state": ExecutionState.PAUSED.value})


class AskedPeople(Asked, kw_only=True):
    """The question of a task about an approval.

    :param deadline: epoch seconds until which people may answer; ``None``: no limit.
    :param on_no_response: the decision that the closed question then shows.
    """

    deadline: float | None
    on_no_response: str

    async def until_over(self, waits: Collection[Coroutine[Any, Any, Outcome]]) -> dict[str, Any]:
        """The event of whatever happens first.

        :param waits: those for a decision elsewhere; of what ends at the same time, the first counts.
        """
        end = asyncio.create_task(self._first_end(waits))
        if answer := await self.answer_before(end):
            return answer
        outcome = end.result()
        return await (self._expired() if outcome is None else self._decided(outcome))

    async def _first_end(self, waits: Collection[Coroutine[Any, Any, Outcome]]) -> Outcome | None:
        """The outcome of the first wait that ends; ``None`` at the deadline."""
        watching = [asyncio.create_task(wait) for wait in waits]
        try:
            while True:
                done, _ = await asyncio.wait(
                    watching, timeout=self._seconds_left(), return_when=asyncio.FIRST_COMPLETED
                )
                if ended := next((each for each in watching if each in done), None):
                    return ended.result()
                if self.deadline is not None and time.time() >= self.deadline:
                    return None
        finally:
            for task in watching:
                task.cancel()

    def _seconds_left(self) -> float | None:
        return None if self.deadline is None else min(LONGEST_SLEEP, max(0.0, self.deadline - time.time()))

    async def _decided(self, outcome: Outcome) -> dict[str, Any]:
        status = (outcome.execution or {}).get("status") or outcome.error
        decision = decided_elsewhere(outcome)
        why = "decided at the vendor" if decision else "an answer is no longer needed"
        await self.close(f"{why}: it is {status}", OPTIONS[decision or REJECT])
        return {"ended": Ended.ELSEWHERE, "outcome": outcome.to_event()}

    async def _expired(self) -> dict[str, Any]:
        if answer := await self.last_answer():
            return answer
        decision = self.on_no_response if self.on_no_response != "fail" else REJECT
        await self.close("nobody answered in time", OPTIONS[decision])
        return {"ended": Ended.NO_RESPONSE}
