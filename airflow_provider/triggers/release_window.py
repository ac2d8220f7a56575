"""Sleeps in the triggerer until a release window opens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.release_windows import WindowSource

READ_AGAIN = 60.0
"""Seconds between two reads of windows that are kept outside the DAG, where somebody may change them."""

LONGEST_SLEEP = 3600.0
"""Seconds after which the wall clock is read again: it may have been set, or the machine suspended."""


class ReleaseWindowTrigger(BaseTrigger):
    """Fires ``{"deadline": ...}`` when a window is open or the deadline has passed; the task checks again.

    :param source: arguments of :class:`~airflow_provider.release_windows.WindowSource`.
    :param deadline: epoch seconds.
    """

    def __init__(self, *, source: dict[str, Any], deadline: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.source = source
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path = "airflow_provider.triggers.release_window.ReleaseWindowTrigger"
        return path, {"source": self.source, "deadline": self.deadline}

    async def run(self) -> AsyncIterator[TriggerEvent]:
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
        yield TriggerEvent({"deadline": self.deadline})
