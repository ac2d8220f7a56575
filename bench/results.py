"""A run's figures in one object: as JSON, as ratios, and compared with the bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.contenders import HEADLINE, NO_LIST, OURS, PEERS, Contender
from bench.loop import Figures, percentile
from bench.tasks import TaskFigures
from bench.triggerer import TriggererFigures

WAITS = 1000
SLOW, FAST = 5.0, 1.0
"""Seconds between polls: at which cost is compared, at which latency is promised."""
READ_WAITS = 100
"""Waits at which reads are compared: no more polls a second than our budget allows, so that all read equally often."""
LEAST_CPU = 0.01
"""Seconds a minute that can be distinguished from nothing: a ratio is taken against no less."""


@dataclass(frozen=True)
class Mark:
    """One line of the bar.

    :param reached: ``None`` where it was not measured.
    """

    what: str
    target: str
    measured: str
    reached: bool | None


@dataclass
class Results:
    """:param imports: milliseconds of CPU by contender."""

    machine: dict[str, Any]
    versions: dict[str, str]
    idle: Figures | None = None
    loop: list[Figures] = field(default_factory=list)
    triggerer: list[TriggererFigures] = field(default_factory=list)
    tasks: list[TaskFigures] = field(default_factory=list)
    imports: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def of(self, name: str, *, waits: int = WAITS, interval: float = SLOW, connections: int = 1) -> Figures | None:
        """The figures of one load in one loop, if it was measured."""
        wanted = (name, waits, interval, connections)
        for each in self.loop:
            load = each.load
            if (load.contender, load.waits, load.interval, load.connections) == wanted:
                return each
        return None

    def in_triggerer(self, name: str, waits: int) -> TriggererFigures | None:
        return next((e for e in self.triggerer if (e.load.contender, e.load.waits) == (name, waits)), None)

    def least_peer_cpu(self, waits: int = WAITS) -> float | None:
        """Of the best peer, in seconds a minute."""
        found = (self.of(peer.name, waits=waits) for peer in PEERS)
        return min((figures.cpu for figures in found if figures), default=None)

    def cpu_ratio(self, name: str, waits: int = WAITS) -> float | None:
        """How many times less CPU than the best peer."""
        ours, peer = self.of(name, waits=waits), self.least_peer_cpu(waits)
        return peer / max(LEAST_CPU, ours.cpu) if ours and peer is not None else None

    def read_cpu(self, name: str) -> float | None:
        """Milliseconds for one poll that shares its request with none; ``None`` where it was not measured."""
        found = self.of(name, waits=READ_WAITS)
        return 1000 * found.cpu / 60 / found.requests if found and found.requests else None

    def task_cpu(self, name: str) -> float | None:
        """Milliseconds that a new process spends on an operator: its import and its first call.

        Only both together compare: some import their client with the operator, others when they call.
        """
        called = next((each.first_call for each in self.tasks if each.contender == name), None)
        return None if called is None or name not in self.imports else self.imports[name] + called

    def bar(self) -> list[Mark]:
        """What issue and design ask for, and whether this run reached it, for the worst of our systems."""
        slow = [found for each in OURS if (found := self.of(each.name))]
        fast = [found for each in OURS if (found := self.of(each.name, interval=FAST))]
        both = [*slow, *fast]
        ratios = [ratio for each in OURS if (ratio := self.cpu_ratio(each.name)) is not None]
        p50, p99 = ([percentile(each.latency, percent) for each in fast if each.latency] for percent in (50, 99))
        blocks = [max(each.block, each.block_at_start, each.block_at_end) for each in both]
        many, held = self.of(HEADLINE, waits=10_000), self.in_triggerer(HEADLINE, 10_000)
        shares = [each / 60 for each in (many.loop_cpu if many else None, held.runner if held else None) if each]
        imports = [self.imports[each.name] for each in OURS if each.name in self.imports]
        return [
            _at_least("CPU at 1000 waits every 5 s, times less than the best peer", 25, ratios, "{:.0f}"),
            _at_most("requests a second at 5 s", 2, [each.requests for each in slow], "{:.1f}", slack=0.05),
            _at_most("requests a second at 1 s", 12, [each.requests for each in fast], "{:.1f}", slack=0.05),
            _at_most("new TCP connections a second, waiting", 0, [each.connections for each in both], "{:.1f}"),
            _at_most("open TCP connections per connection", 8, [each.open for each in both], "{:.0f}"),
            _at_most("memory per wait, kB", 15, [each.memory for each in slow], "{:.1f}"),
            _at_most("finish to event at 1 s, p50, s", 0.7, p50, "{:.2f}"),
            _at_most("finish to event at 1 s, p99, s", 1.3, p99, "{:.2f}"),
            _at_most("messages and log lines per poll", 0, [each.messages + each.lines for each in both], "{:.2f}"),
            _at_most("longest block of the loop, ms", 50, [1000 * block for block in blocks], "{:.0f}"),
            _at_most("10,000 waits: part of a core for the loop", 0.5, shares, "{:.2f}"),
            _at_most("CPU to import an operator module, ms", 5, imports, "{:.1f}"),
            self._not_above_peers("CPU of a single read, ms", [NO_LIST], self.read_cpu, "{:.2f}"),
            self._not_above_peers("CPU of an operator's import and first call, ms", OURS, self.task_cpu, "{:.0f}"),
        ]

    def _not_above_peers(
        self, what: str, ours: Sequence[Contender], cost: Callable[[str], float | None], form: str
    ) -> Mark:
        best = min((value for peer in PEERS if (value := cost(peer.name)) is not None), default=None)
        worst = max((value for each in ours if (value := cost(each.name)) is not None), default=None)
        target = "<= best peer" if best is None else f"<= {form.format(best)}, the best peer"
        if best is None or worst is None:
            return Mark(what, target, "not measured", None)
        return Mark(what, target, form.format(worst), worst <= best)

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "versions": self.versions,
            "bar": [asdict(mark) for mark in self.bar()],
            "notes": self.notes,
            "idle": _flat(self.idle) if self.idle else None,
            "loop": [_flat(each) for each in self.loop],
            "triggerer": [_flat(each) for each in self.triggerer],
            "tasks": [asdict(each) for each in self.tasks],
            "imports": self.imports,
        }

    def problems(self) -> Iterable[str]:
        figures: tuple[Figures | TriggererFigures, ...] = (*self.loop, *self.triggerer)
        for each in figures:
            where = "in the triggerer" if isinstance(each, TriggererFigures) else "in one loop"
            for problem in each.problems:
                load = each.load
                yield f"{load.contender}, {load.waits} waits every {load.interval:g} s {where}: {problem}"


def _flat(figures: Figures | TriggererFigures) -> dict[str, Any]:
    fields = asdict(figures)
    latency = fields.pop("latency")
    return {
        **fields,
        "latency": {"count": len(latency), "p50": percentile(latency, 50), "p99": percentile(latency, 99)},
    }


def _at_most(what: str, limit: float, values: Sequence[float | None], form: str, slack: float = 0.0) -> Mark:
    """:param slack: for a rate that is counted over a window: one request more at its edge is none too many."""
    known = [value for value in values if value is not None]
    worst = max(known, default=None)
    if worst is None:
        return Mark(what, f"<= {limit:g}", "not measured", None)
    return Mark(what, f"<= {limit:g}", form.format(worst), worst <= limit * (1 + slack))


def _at_least(what: str, limit: float, values: Sequence[float], form: str) -> Mark:
    if not values:
        return Mark(what, f">= {limit:g}", "not measured", None)
    return Mark(what, f">= {limit:g}", form.format(min(values)), min(values) >= limit)


SHOWN = (*PEERS, *OURS, NO_LIST)
"""In this order in tables."""
