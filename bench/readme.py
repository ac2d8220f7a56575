"""The table of the README, out of ``bench/results/latest.json``: ``make bench`` writes it, a test compares the two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.contenders import HEADLINE, NO_LIST, OURS, PEERS
from bench.results import FAST, READ_WAITS, SLOW, WAITS

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- make bench writes this -->\n", "<!-- until here -->\n"

Figures = Mapping[str, Any]


def _latency(figures: Figures) -> str:
    latency = figures["latency"]
    return f"{latency['p50']:.1f} / {latency['p99']:.1f}" if latency["count"] else ""


def _block(figures: Figures) -> str:
    return f"{1000 * max(figures['block'], figures['block_at_start'], figures['block_at_end']):.0f}"


_ROWS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("requests a second", lambda f: f"{f['requests']:.1f}"),
    ("new TCP connections a second / open", lambda f: f"{f['connections']:.0f} / {f['open']}"),
    ("memory per wait, kB", lambda f: f"{f['memory']:.0f}"),
    (
        "longest block of the loop, ms",
        _block,
    ),
    ("from the finish to the event, p50 / p99 s", _latency),
)


def table(results: Mapping[str, Any]) -> str:
    """Markdown. :param results: as :meth:`bench.results.Results.to_json`."""
    contenders = (*PEERS, *OURS)

    def find(interval: float) -> dict[str, Figures]:
        runs = {
            run["load"]["contender"]: run
            for run in results["loop"]
            if (run["load"]["waits"], run["load"]["interval"], run["load"]["connections"]) == (WAITS, interval, 1)
        }
        return {each.name: runs[each.name] for each in contenders if each.name in runs}

    slow, fast = find(SLOW), find(FAST)
    reads = {
        run["load"]["contender"]: f"{1000 * run['cpu'] / 60 / run['requests']:.2f}"
        for run in results["loop"]
        if (run["load"]["waits"], run["load"]["interval"]) == (READ_WAITS, SLOW)
    }
    # The same system, with a build for each wait.
    reads[NO_LIST.system] = reads.get(NO_LIST.name, "")
    calls = {each["contender"]: each["first_call"] for each in results["tasks"]}
    best = min(slow[peer.name]["cpu"] for peer in PEERS)
    rows = {
        f"{WAITS} waits every {SLOW:g} s": [each.label.partition(",")[0] for each in contenders],
        "": ["---"] * len(contenders),
        "CPU, seconds a minute": [f"{slow[each.name]['cpu']:.2f}" for each in contenders],
        "times less than the best peer": [
            f"**{best / slow[each.name]['cpu']:.0f}**" if each.is_ours else "" for each in contenders
        ],
        **{name: [cell(slow[each.name]) for each in contenders] for name, cell in _ROWS},
        f"the same with polls every {FAST:g} s": [
            _latency(fast[each.name]) if each.name in fast else "" for each in contenders
        ],
        "a poll that no list covers, ms of CPU": [
            reads.get(each.name, "") if each.name != HEADLINE else "" for each in contenders
        ],
        "import of the operator module, ms of CPU": [f"{results['imports'][each.name]:.1f}" for each in contenders],
        "its first call in a process": [f"{calls[each.name]:.0f}" if each.name in calls else "" for each in contenders],
    }
    return "".join(f"| {' | '.join([name or '---', *cells])} |\n" for name, cells in rows.items())


def rewrite(results: Mapping[str, Any]) -> None:
    """Put the table of these results into the README."""
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + BEGIN + "\n" + table(results) + "\n" + END + rest.partition(END)[2])
