"""A run's figures as tables for a terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from bench.contenders import HEADLINE, NO_LIST, PEERS
from bench.loop import Figures, percentile
from bench.results import FAST, READ_WAITS, SHOWN, SLOW, WAITS, Results

Cell = Callable[[Figures], str]


def _latency(figures: Figures) -> str:
    p50, p99 = percentile(figures.latency, 50), percentile(figures.latency, 99)
    return "" if p50 is None or p99 is None else f"{p50:.1f} / {p99:.1f}"


_ROWS: tuple[tuple[str, Cell], ...] = (
    ("CPU s a minute, net", lambda f: f"{f.cpu:.2f}"),
    ("requests a second", lambda f: f"{f.requests:.1f}"),
    ("new TCP connections a second / open", lambda f: f"{f.connections:.1f} / {f.open}"),
    ("memory per wait, kB", lambda f: f"{f.memory:.0f}"),
    ("finish to event, p50 / p99 s", _latency),
    ("messages + log lines per poll", lambda f: f"{f.messages:.2f} + {f.lines:.2f}"),
    (
        "longest block: waiting / start / end, ms",
        lambda f: " / ".join(f"{1000 * block:.0f}" for block in (f.block, f.block_at_start, f.block_at_end)),
    ),
    ("longest lag, with other processes, ms", lambda f: f"{1000 * f.lag:.0f}"),
)


def show(results: Results, console: Console) -> None:
    machine = results.machine
    console.print(
        f"\n{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, "
        f"Python {machine['python']}; load {machine['load']} when the run began"
    )
    console.print(", ".join(f"{name} {version}" for name, version in results.versions.items()))
    for table in (_side_by_side(results, SLOW), _side_by_side(results, FAST), _growth(results), _triggerer(results)):
        if table.row_count:
            console.print(table)
    console.print(_tasks(results))
    console.print(_bar(results))
    for note in (*results.notes, *results.problems()):
        console.print(f"[yellow]{note}")


def _side_by_side(results: Results, interval: float) -> Table:
    shown = [(each, found) for each in SHOWN if (found := results.of(each.name, interval=interval))]
    table = _table(f"{WAITS} waits every {interval:g} s in one loop", *(each.label for each, _ in shown))
    for name, cell in _ROWS if shown else ():
        table.add_row(name, *(cell(figures) for _, figures in shown))
    ratios = [results.cpu_ratio(each.name) if each.is_ours and interval == SLOW else None for each, _ in shown]
    if any(ratios):
        table.add_row("times less CPU than the best peer", *("" if r is None else f"[bold]{r:.0f}" for r in ratios))
    return table


def _growth(results: Results) -> Table:
    names = [*(peer.name for peer in PEERS), HEADLINE]
    labels = [each.label for each in SHOWN if each.name in names]
    table = _table("How CPU (s a minute) and requests (a second) grow", *labels)
    for waits in sorted({each.load.waits for each in results.loop}):
        row = [results.of(name, waits=waits) for name in names]
        table.add_row(f"{waits} waits", *(f"{f.cpu:.2f}, {f.requests:.1f}" if f else "" for f in row))
    for connections in sorted({each.load.connections for each in results.loop} - {1}):
        row = [results.of(name, connections=connections) for name in names]
        label = f"{WAITS} waits over {connections} connections"
        table.add_row(label, *(f"{f.cpu:.2f}, {f.requests:.1f}" if f else "" for f in row))
    return table


def _triggerer(results: Results) -> Table:
    shown = [(each.name, each.label) for each in SHOWN if any(f.load.contender == each.name for f in results.triggerer)]
    table = _table("In the real triggerer over PostgreSQL, every 5 s", *(label for _, label in shown))
    for waits in sorted({each.load.waits for each in results.triggerer}):
        row = [results.in_triggerer(name, waits) for name, _ in shown]
        table.add_section()
        table.add_row(
            f"{waits} waits: CPU s a minute, runner + supervisor + database",
            *(f"{f.runner:.1f} + {f.supervisor:.1f} + {f.database:.1f}" if f else "" for f in row),
        )
        table.add_row("requests a second", *(f"{f.requests:.1f}" if f else "" for f in row))
        table.add_row("memory per wait, kB", *(f"{f.memory:.0f}" if f and f.memory is not None else "" for f in row))
        table.add_row("seconds until all run", *(f"{f.start:.0f}" if f else "" for f in row))
        table.add_row("loop blocked over 0.2 s, times", *(f"{f.blocked}" if f else "" for f in row))
        latency = [(percentile(f.latency, 50), percentile(f.latency, 99)) if f else (None, None) for f in row]
        if any(p50 is not None for p50, _ in latency):
            cells = ("" if p50 is None or p99 is None else f"{p50:.1f} / {p99:.1f}" for p50, p99 in latency)
            table.add_row("finish to database, p50 / p99 s", *cells)
    return table


def _tasks(results: Results) -> Table:
    by_name = {each.contender: each for each in results.tasks}
    shown = [each for each in SHOWN if each.name in results.imports or results.read_cpu(each.name) is not None]
    table = _table("CPU ms of single steps", *(each.label for each in shown))
    reads = [results.read_cpu(each.name) if each in (*PEERS, NO_LIST) else None for each in shown]
    table.add_row(f"a poll, {READ_WAITS} waits every {SLOW:g} s", *("" if r is None else f"{r:.2f}" for r in reads))
    imports = [results.imports.get(each.name) for each in shown]
    table.add_row("import of the operator module", *("" if ms is None else f"{ms:.1f}" for ms in imports))
    for name, field, form in (
        ("parsing a DAG of 20 tasks", "parsed", "{:.0f}"),
        ("first call of the operator", "first_call", "{:.0f}"),
        ("later call", "next_call", "{:.1f}"),
        ("requests of a call", "requests", "{:.0f}"),
    ):
        cells = [form.format(getattr(by_name[each.name], field)) if each.name in by_name else "" for each in shown]
        table.add_row(name, *cells)
    both = [results.task_cpu(each.name) for each in shown]
    table.add_row("import and first call", *("" if ms is None else f"{ms:.0f}" for ms in both))
    return table


def _bar(results: Results) -> Table:
    table = _table("The bar, for the worst of our systems", "target", "measured", "")
    words = {True: "[green]reached", False: "[red bold]missed", None: "[dim]not measured"}
    for mark in results.bar():
        table.add_row(mark.what, mark.target, mark.measured, words[mark.reached])
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table
