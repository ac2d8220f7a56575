"""Holds N waits in one event loop and measures itself: ``python -m bench.worker``, with the order as input.

It talks with loop.py, which drives the stub, in JSON lines.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from typing import Any, Self

from bench.contenders import BY_NAME, Endpoint, connection_json

HEARTBEAT = 0.01
WARM_UP = 2.0
"""Seconds for the first wait's imports and first poll: what all others share is no part of their memory."""


class Heartbeat:
    """Notices when the loop, or the interpreter that it shares with threads, lets nobody else run.

    ``async with Heartbeat() as heart: ...``; it costs more CPU than many a wait, so it does not run all the time.
    """

    async def __aenter__(self) -> Self:
        self._longest = {"block": 0.0, "lag": 0.0}
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            before, used = time.perf_counter(), time.process_time()
            await asyncio.sleep(HEARTBEAT)
            lag, used = time.perf_counter() - before - HEARTBEAT, time.process_time() - used
            # A lag in which this process used no CPU is another process's doing.
            self._longest = {
                "block": max(self._longest["block"], min(lag, used)),
                "lag": max(self._longest["lag"], lag),
            }

    def longest(self) -> dict[str, float]:
        """Seconds of the longest ``block`` by this process, and of the longest ``lag`` whatever caused it."""
        return dict(self._longest)


class Usage:
    """CPU of the process and of the loop's thread since it was made; make and read it in that thread."""

    def __init__(self) -> None:
        self._start = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return time.monotonic(), used.ru_utime + used.ru_stime, time.thread_time()

    def read(self) -> dict[str, float]:
        seconds, process, thread = (now - before for now, before in zip(self._now(), self._start, strict=True))
        return {"seconds": seconds, "cpu": process, "loop_cpu": thread}


def resident() -> int:
    """Bytes of memory that the process holds."""
    gc.collect()
    with open("/proc/self/statm") as file:  # noqa: PTH123 - pathlib would cost memory while measuring it
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Waits:
    """:param order: ``contender``, ``waits``, ``connections``, ``interval``."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._contender = BY_NAME[order["contender"]]
        self._connections = order["connections"]
        self._interval = order["interval"]
        self._each = order["waits"] // order["connections"]
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.events: dict[int, tuple[float, str]] = {}

    async def start(self, numbers: Sequence[int]) -> None:
        """Start them as the triggerer does: one after the other, giving way in between."""
        for number in numbers:
            connection, index = divmod(number, self._each)
            path, arguments = self._contender.trigger(index, connection, self._interval, self._each)
            module, _, name = path.rpartition(".")
            trigger = getattr(importlib.import_module(module), name)(**arguments)
            self._tasks[number] = asyncio.create_task(self._wait(number, trigger))
            await asyncio.sleep(0)

    async def _wait(self, number: int, trigger: Any) -> None:
        async for event in trigger.run():
            self.events[number] = time.time(), str(event.payload)[:300]

    async def finished(self, numbers: Sequence[int], limit: float) -> None:
        await asyncio.wait([self._tasks[number] for number in numbers], timeout=limit)

    def crashed(self) -> list[str]:
        done = (task for task in self._tasks.values() if task.done() and not task.cancelled())
        return [repr(error)[:300] for task in done if (error := task.exception())]


async def measure(order: dict[str, Any]) -> None:
    from airflow.sdk.log import configure_logging

    from bench.supervisor import CountingLog, CountingSupervisor

    endpoint = Endpoint(**order["endpoint"])
    contender = BY_NAME[order["contender"]]
    supervisor = CountingSupervisor(
        {
            contender.conn_id(number): connection_json(contender, endpoint, number)
            for number in range(order["connections"])
        }
    )
    supervisor.install()
    log = CountingLog()
    configure_logging(json_output=True, output=log, sending_to_supervisor=True)
    waits = Waits(order)
    result: dict[str, Any] = {}

    await waits.start(range(min(1, order["waits"])))
    await asyncio.sleep(WARM_UP)
    before = resident()
    async with Heartbeat() as heart:
        await waits.start(range(1, order["waits"]))
        await asyncio.sleep(order["settle"])
        result["start"] = heart.longest()

    await report({"now": "steady"})
    messages, lines = supervisor.messages.total(), log.lines
    usage = Usage()
    await asyncio.sleep(order["window"])
    result["steady"] = {
        **usage.read(),
        "messages": supervisor.messages.total() - messages,
        "lines": log.lines - lines,
    }
    await report({"now": "ending"})
    result["memory"] = resident() - before
    async with Heartbeat() as heart:
        await asyncio.sleep(1.2 * order["interval"])
        result["steady"] |= heart.longest()

    ends: dict[int, float] = {}
    if order["ending"]:
        ends = {int(number): end for number, end in (await report({"now": "plan"}))["ends"].items()}
        async with Heartbeat() as heart:
            await waits.finished(list(ends), max(ends.values()) - time.time() + order["patience"])
            result["end"] = heart.longest()
    latencies = [waits.events[number][0] - end for number, end in ends.items() if number in waits.events]
    result["latencies"] = latencies
    result["missing"] = len(ends) - len(latencies)
    result["early"] = len(waits.events.keys() - ends.keys()) + sum(each < 0 for each in latencies)
    result["sample"] = next((text for _, text in waits.events.values()), None)
    result["crashed"] = waits.crashed()[:3]
    await report({"now": "done", "result": result})


async def report(said: dict[str, Any]) -> dict[str, Any]:
    """Report to loop.py and wait for its answer, without blocking the loop."""
    print(json.dumps(said), flush=True)
    answer: dict[str, Any] = json.loads(await asyncio.to_thread(sys.stdin.readline))
    return answer


if __name__ == "__main__":
    asyncio.run(measure(json.loads(sys.stdin.readline())))
    os._exit(0)
