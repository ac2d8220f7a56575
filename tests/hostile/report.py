"""What a run has measured, as a table, and which bars it has broken."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

LONGEST_BLOCK = 0.05
"""Seconds for which the waits may hold the loop up."""
MOST_GROWTH = 0.05
"""Part of the memory by which it may grow from the second quarter of the hostile time to its last tenth."""
LATER_AT_MOST = 1.0
"""Seconds by which the end of a good wait may be reported later, in the median and of the slowest twentieth."""
FEWEST_PER_SECOND = 1.0
"""Hostile answers, below which nothing is shown."""


@dataclass
class Figures:
    """:param alone: seconds from the end of an execution to the end of its wait, without neighbours; ``beside``: with.
    :param memory: epoch seconds, bytes, and whether neighbours were there.
    :param seconds: that each of both parts took.
    :param samples: of the loop.
    :param endings: how hostile waits ended, before they were begun anew.
    :param unstorable: how waits ended that observed what PostgreSQL cannot store, by system.
    :param wrong: ends that are not true.
    """

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    memory: list[tuple[float, int, bool]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    hostile_requests: Counter[str] = field(default_factory=Counter)
    unstorable: dict[str, str] = field(default_factory=dict)
    crashes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    cpu: float = 0.0

    @property
    def turned_at(self) -> float:
        return next((at for at, _, is_hostile in self.memory if is_hostile), float("inf"))

    def loop(self, *, beside: bool) -> list[dict[str, Any]]:
        """Samples from before or after the vendor turned hostile."""
        first = self.memory[0][0] if self.memory else 0.0
        return [each for each in self.samples if each["at"] > first and (each["at"] >= self.turned_at) is beside]

    def growth(self) -> tuple[float, float]:
        """Bytes that the process holds, early and late."""
        return _early_and_late([size for _, size, is_hostile in self.memory if is_hostile])

    def growth_of_blocks(self) -> tuple[float, float]:
        """Blocks of memory that Python's objects take, early and late: without what the allocator keeps free."""
        return _early_and_late([each["blocks"] for each in self.loop(beside=True)])


def _early_and_late(values: list[int]) -> tuple[float, float]:
    """In the second quarter of the hostile time, and in its last tenth."""
    early, late = values[len(values) // 4 : len(values) // 2], values[-max(1, len(values) // 10) :]
    return statistics.median(early or [0]), statistics.median(late or [0])


def table(figures: Figures) -> str:
    alone, beside = figures.loop(beside=False), figures.loop(beside=True)
    rows: list[tuple[str, ...]] = [("", "without", "beside hostile waits")]
    rows += [("seconds", *(f"{each:.0f}" for each in figures.seconds))]
    rows += [("good waits that ended", str(len(figures.alone)), str(len(figures.beside)))]
    for name, part in (("median", 50), ("95th percentile", 95), ("longest", 100)):
        latencies = (_percentile(figures.alone, part), _percentile(figures.beside, part))
        rows.append((f"until the end was reported, {name}", *(f"{each:.2f} s" for each in latencies)))
    for name, key in (
        ("longest block of the loop by us", "ours"),
        ("by other code in the loop", "others"),
        ("by Python's collecting of garbage", "garbage"),
        ("whatever the cause, the busy machine too", "lag"),
    ):
        rows.append(
            (name, *(f"{1000 * max((each[key] for each in part), default=0):.0f} ms" for part in (alone, beside)))
        )
    early, late = figures.growth()
    rows.append(("memory, second quarter and last tenth", "", f"{early / 2**20:.0f} MB, {late / 2**20:.0f} MB"))
    few, many = figures.growth_of_blocks()
    rows.append(("thousands of Python's blocks of memory, then", "", f"{few / 1000:.0f}, {many / 1000:.0f}"))
    rows.append(("hostile answers", "", str(figures.hostile_requests.total())))
    rows.append(("hostile waits that ended", "", str(figures.endings.total())))
    rows.append(("wrong successes", "", str(len(figures.wrong))))
    rows.append(("crashed waits", "", str(len(figures.crashes))))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.append("what PostgreSQL cannot store: " + ", ".join(f"{k} {v}" for k, v in figures.unstorable.items()))
    lines.append(
        "hostile waits ended: " + ", ".join(f"{count} {what}" for what, count in figures.endings.most_common(15))
    )
    worst = sorted(beside, key=lambda each: -each["ours"])[:3]
    lines.append(
        "longest blocks by us: " + ", ".join(f"{1000 * each['ours']:.0f} ms {each['culprit']}" for each in worst)
    )
    return "\n".join(lines)


def broken(figures: Figures) -> list[str]:
    """The bars that were not kept, in words."""
    found = [f"crashed: {each}" for each in figures.crashes[:5]] + [f"wrong: {each}" for each in figures.wrong[:5]]
    beside = figures.loop(beside=True)
    if (block := max((each["ours"] for each in beside), default=float("inf"))) >= LONGEST_BLOCK:
        found.append(f"the loop was held up for {1000 * block:.0f} ms, at most {1000 * LONGEST_BLOCK:.0f} are allowed")
    early, late = figures.growth()
    if late > early * (1 + MOST_GROWTH):
        found.append(f"memory grew from {early / 2**20:.0f} to {late / 2**20:.0f} MB")
    few, many = figures.growth_of_blocks()
    if many > few * (1 + MOST_GROWTH):
        found.append(f"Python's objects grew from {few:.0f} to {many:.0f} blocks of memory")
    for part in (50, 95):
        before, now = _percentile(figures.alone, part), _percentile(figures.beside, part)
        if not now <= before + LATER_AT_MOST:
            found.append(f"good waits ended later: {now:.2f} s instead of {before:.2f} s ({part}th percentile)")
    lost = {system: how for system, how in figures.unstorable.items() if how in ("nothing came", "crashed")}
    found += [f"what cannot be stored did not end the wait: {system} {how}" for system, how in lost.items()]
    if figures.hostile_requests.total() < FEWEST_PER_SECOND * (figures.seconds[-1] if figures.seconds else 0):
        found.append(f"too little harm: {figures.hostile_requests.total()} hostile answers")
    return found + [f"the triggerer's log says: {each[:300]}" for each in figures.complaints[:5]]


def _percentile(values: list[float], part: int) -> float:
    if not values:
        return float("nan")
    return (
        max(values)
        if part == 100 or len(values) < 2
        else statistics.quantiles(values, n=100, method="inclusive")[part - 1]
    )
