"""Detects that a process was frozen: Airflow may have given up its work in that time."""

from __future__ import annotations

import threading
import time

from airflow_provider.core.durations import DURATIONS


class FreezeWatch:
    """Detects that this process did not run for a while: stopped, suspended, or starved with its machine."""

    def __init__(self) -> None:
        self._gaps: list[tuple[float, float]] = []
        self._last = clock()
        self._ended = threading.Event()
        threading.Thread(target=self._tick, name="freeze watch", daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def frozen_for(self) -> float:
        """Seconds of the longest pause within the last minute."""
        now = clock()
        recent = [gap for end, gap in self._gaps if end >= now - DURATIONS.frozen_lately]
        return max([*recent, now - self._last - DURATIONS.freeze_tick], default=0.0)

    def _tick(self) -> None:
        while not self._ended.wait(DURATIONS.freeze_tick):
            now = clock()
            if (gap := now - self._last - DURATIONS.freeze_tick) > DURATIONS.freeze_tick:
                self._gaps = [*self._gaps[-9:], (now, gap)]
            self._last = now


def clock() -> float:
    """Seconds of a clock that also runs while the machine is suspended, if the system has one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
