"""``python -m tests.hostile``: 200 waits on a vendor that answers anything but answers, beside waits on a good one.

All in Airflow's real triggerer, on PostgreSQL. Prints a table; the exit status is 1 if the neighbours noticed anything.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider.execution import ExecutionRef
from demo.processes import StartError, adopt_orphans
from tests.chaos.databases import install_missing
from tests.hostile.airflow import Ended, Triggerer
from tests.hostile.report import Figures, broken, table
from tests.hostile.unstorable import answers_that_cannot_be_stored
from tests.hostile.vendors import SYSTEMS, Vendor

HOSTILE_WAITS = 200
HOSTILE_CONNECTIONS = 5
"""To each system: what fails over one of them slows down its own waits only."""
GOOD_WAITS = 40
INTERVAL = 5.0
END_EVERY = 1.0
"""Seconds after which another execution of the good vendor ends."""
PART_ALONE, SHORTEST_ALONE = 0.1, 80.0
"""For how long the good waits have no neighbours before: a part of the time after that, and seconds at least."""
SETTLING = 20.0
"""Seconds in which waits start, not measured."""

FIRST_ANSWER = 240.0
"""Seconds within which a wait must be over whose execution has ended: a triggerer that has just started is slow."""

Trigger = tuple[str, dict[str, Any]]


@dataclass
class Waits:
    """The waits of one vendor, each begun anew when it is over.

    :param ended: when the execution of a wait was ended, in epoch seconds, by the number of the wait.
    """

    vendor: Vendor
    triggerer: Triggerer
    refs: dict[int, ExecutionRef] = field(default_factory=dict)
    ended: dict[int, float] = field(default_factory=dict)

    def begin(self, refs: list[ExecutionRef]) -> None:
        numbers = self.triggerer.add([self._trigger(ref) for ref in refs])
        self.refs.update(zip(numbers, refs, strict=True))

    def _trigger(self, ref: ExecutionRef) -> Trigger:
        return "airflow_provider.triggers.execution.ExecutionTrigger", {
            "system": ref["system"],
            "conn_id": self.vendor.conn_id(ref["system"]),
            "ref": ref,
            "poll_interval": INTERVAL,
        }


class Run:
    """:param home: of everything that it writes."""

    def __init__(self, home: Path, seconds: float, seed: int) -> None:
        self._seconds, self._seed = seconds, seed
        self._samples = home / "loop.jsonl"
        self.triggerer = Triggerer(home / "airflow")
        self.good = Waits(Vendor("good", home), self.triggerer)
        self.hostile = Waits(Vendor("hostile", home, HOSTILE_CONNECTIONS), self.triggerer)
        self.figures = Figures()
        self._begun = 0.0
        self._is_hostile = False

    def carry_out(self) -> Figures:
        try:
            for waits in (self.good, self.hostile):
                waits.vendor.start()
            self.triggerer.start(self.good.vendor.connections() | self.hostile.vendor.connections())
            self.triggerer.add([("tests.hostile.sampler.LoopSampler", {"path": str(self._samples)})])
            self.triggerer.wait_until_it_runs(self._samples)
            self.figures.unstorable = self._store_the_unstorable()
            self.triggerer.forget_complaints()
            self.good.begin([self.good.vendor.begin(system) for system in SYSTEMS for _ in range(GOOD_WAITS // 4)])
            self._pass(max(SHORTEST_ALONE, PART_ALONE * self._seconds), self.figures.alone)
            self._turn_hostile()
            self._pass(self._seconds, self.figures.beside)
            return self._figures()
        finally:
            self.triggerer.stop()
            for waits in (self.good, self.hostile):
                waits.vendor.stop()

    def _store_the_unstorable(self) -> dict[str, str]:
        """NUL, NaN and lone surrogates in what ends a wait; returns what came of it, by system."""
        vendor, found = self.hostile.vendor, {}
        for system in SYSTEMS:
            ref = vendor.begin(system)
            for path, body in answers_that_cannot_be_stored(ref):
                vendor.sandbox.control.fault(
                    system, "status", method="GET", path=path, status=200, body=body, times=1000
                )
            self.hostile.begin([ref])
            deadline = time.monotonic() + FIRST_ANSWER
            while not (ended := self.triggerer.take_ended()) and time.monotonic() < deadline:
                time.sleep(0.5)
            found[system] = _how(ended[0]) if ended else "nothing came"
            vendor.sandbox.control.clear_faults()
        return found

    def _turn_hostile(self) -> None:
        vendor = self.hostile.vendor
        refs = []
        for system in SYSTEMS:
            others = vendor.other_refs(system)
            refs += [vendor.begin(system) for _ in range(HOSTILE_WAITS // 4 - len(others))] + others
        vendor.be_hostile(self._seed)
        self.hostile.begin(refs)
        self._is_hostile = True

    def _pass(self, seconds: float, latencies: list[float]) -> None:
        begun = time.monotonic()
        next_end = begun + SETTLING
        while (now := time.monotonic()) < begun + seconds:
            for each in self.triggerer.take_ended():
                self._note(each, latencies)
            if now >= next_end:
                next_end = now + END_EVERY
                self._end_one()
            self.figures.memory.append((time.time(), self.triggerer.memory(), self._is_hostile))
            time.sleep(0.5)
            if not self.triggerer.is_the_same:
                self.figures.crashes.append("the triggerer ended")
                return
        self.figures.seconds.append(time.monotonic() - begun)

    def _end_one(self) -> None:
        waiting = next((number for number in self.good.refs if number not in self.good.ended), None)
        if waiting is not None:
            self.good.vendor.end(self.good.refs[waiting])
            self.good.ended[waiting] = time.time()

    def _note(self, ended: Ended, latencies: list[float]) -> None:
        if ended.event is None:
            self.figures.crashes.append(f"wait {ended.index}: {ended.method} {ended.text[:300]}")
        if (ref := self.good.refs.pop(ended.index, None)) is not None:
            ended_at = self.good.ended.pop(ended.index, None)
            if ended_at is None or not _is_success(ended):
                self.figures.wrong.append(f"good {ref['system']}: {_how(ended)}")
            else:
                latencies.append(ended.at - ended_at)
            self.good.begin([self.good.vendor.begin(ref["system"])])
        elif (ref := self.hostile.refs.pop(ended.index, None)) is not None:
            self.figures.endings[f"{ref['system']}: {_how(ended)}"] += 1
            if _is_success(ended):
                self.figures.wrong.append(f"hostile {ref['system']} {ref['kind']}: {ended.text[:1000]}")
            self.hostile.begin([ref])

    def _figures(self) -> Figures:
        self.figures.samples = [json.loads(line) for line in self._samples.read_text().splitlines()]
        self.figures.hostile_requests = Counter(
            f"{each['status'] or 'none'}"
            for each in self.hostile.vendor.sandbox.control.requests()
            if each["fault"] == "hostile"
        )
        self.figures.complaints = self.triggerer.complaints()
        self.figures.cpu = self.triggerer.cpu()
        return self.figures


def _is_success(ended: Ended) -> bool:
    event = ended.event or {}
    return event.get("ending") == "finished" and (event.get("execution") or {}).get("state") == "succeeded"


def _how(ended: Ended) -> str:
    event = ended.event or {}
    execution = event.get("execution") or {}
    return str(event.get("cause") or (event.get("ending") == "finished" and execution.get("state")) or "crashed")


def main() -> int:
    arguments = argparse.ArgumentParser(
        prog="python -m tests.hostile",
        description="Runs 200 waits on hostile vendors beside good ones, in Airflow's real triggerer on PostgreSQL. "
        "Prints a table; the exit status is 1 if the good waits noticed anything.",
    )
    arguments.add_argument("--minutes", type=float, default=15.0, help="how long (default: %(default)g)")
    arguments.add_argument("--seed", type=int, default=1, help="of the vendors' answers (default: %(default)s)")
    given = arguments.parse_args()
    adopt_orphans()
    try:
        install_missing("postgresql")
        home = Path(tempfile.mkdtemp(prefix="hostile-"))
        print(f"{HOSTILE_WAITS} waits on a hostile vendor for {given.minutes:g} min, seed {given.seed}; logs: {home}")
        figures = Run(home, 60 * given.minutes, given.seed).carry_out()
    except StartError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(figures))
    problems = broken(figures)
    for each in problems:
        print(f"BROKEN: {each}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
