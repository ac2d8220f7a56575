"""Sleeps in the triggerer until a release window opens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.core.approving import ASKED_AS
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.overriding import REASON, WAITED
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.release_windows import WindowSource
from airflow_provider.triggers.asked import Asked
from airflow_provider.triggers.kills import shielded

READ_AGAIN = 60.0
"""Seconds between two reads of windows that are kept outside the DAG, where somebody may change them."""

LONGEST_SLEEP = 3600.0
"""Seconds after which the wall clock is read again: it may have been set, or the machine suspended."""


class ReleaseWindowTrigger(BaseTrigger):
    """Fires ``{"deadline": ...}`` when a window is open or the deadline has passed; the task checks again.

    Where people are asked meanwhile whether to release now, Airflow itself resumes the task with an answer. This fires
    for one that came before the deferral, and closes the question before it fires for anything else.

    :param source: arguments of :class:`~airflow_provider.release_windows.WindowSource`.
    :param deadline: epoch seconds.
    :param asked_as: which question this is of, as in :class:`~airflow_provider.triggers.approval.ApprovalTrigger`; "":
        nobody is asked.
    :param hold_back: seconds from the beginning in which the task is not sent back to a worker.
    """

    def __init__(self, *, source: dict[str, Any], deadline: float, asked_as: str = "", hold_back: float = 0.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.source = source
        self.deadline = deadline
        self.asked_as = asked_as
        self.hold_back = hold_back

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path = "airflow_provider.triggers.release_window.ReleaseWindowTrigger"
        names = ("source", "deadline", "asked_as", "hold_back")
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        begun = time.monotonic()
        event: dict[str, Any] = {"deadline": self.deadline}
        if self.asked_as:
            event |= {ASKED_AS: self.asked_as, **(await self._answer_or_end() or {})}
        else:
            await self.until_open_or_over()
        await asyncio.sleep(self.hold_back - (time.monotonic() - begun))
        yield TriggerEvent(event)

    async def on_kill(self) -> None:
        """Close the question, if a person ended the task."""
        if self.asked_as:
            await shielded(self._question.close_if_ended(), DURATIONS.trigger_kill_limit)

    @property
    def _question(self) -> Asked:
        return Asked(self.task_instance, self.asked_as, closed_as=WAITED, field=REASON)

    async def _answer_or_end(self) -> dict[str, Any] | None:
        """An early answer; ``None``: the wait is over, and the question closed."""
        answer = await self._question.answer_before(asyncio.create_task(self.until_open_or_over()))
        if answer := answer or await self._question.last_answer():
            return answer
        is_in_time = time.time() < self.deadline
        await self._question.close(
            "nobody released sooner: a release window has opened" if is_in_time else "nobody answered in time"
        )
        return None

    async def until_open_or_over(self) -> None:
        source = WindowSource(**self.source)
        warned = False
        while (now := time.time()) < self.deadline:
            opens: float | None = None
            try:
                calendar = await asyncio.to_thread(source.read)
            except ReleasePipelineError as error:
                if not warned:
                    self.log.warning("Could not read the release windows, will retry: %s", error)
                warned = True
            else:
                moment = datetime.fromtimestamp(now, UTC)
                if calendar.opening_at(moment):
                    break
                opening = calendar.opening_after(moment)
                opens = opening.opens.timestamp() if opening else None
            pauses = [LONGEST_SLEEP, self.deadline - now]
            if opens is not None:
                pauses.append(opens - now)
            if source.is_elsewhere or opens is None:
                pauses.append(READ_AGAIN)
            await asyncio.sleep(max(0.0, min(pauses)))
