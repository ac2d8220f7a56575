"""Shows a run while it goes on: a live table in a terminal, a line for each change anywhere else."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from demo.run_state import RunState, TaskState

LOOK_EVERY = 0.5
STYLES = {
    "success": "green",
    "running": "bold cyan",
    "deferred": "magenta",
    "failed": "bold red",
    "upstream_failed": "red",
}
MARKS = {"success": "✔", "failed": "✘", "upstream_failed": "✘", "skipped": "·", "none": " "}


def follow(run: RunState, console: Console, timeout: float) -> None:
    """Show ``run`` until it is over.

    :param timeout: seconds.
    :raises TimeoutError: it is not over by then.
    """
    began = time.monotonic()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not run.is_over:
            for task in run.refresh():
                if not console.is_terminal:
                    console.print(_line(task, time.monotonic() - began), soft_wrap=True)
            if console.is_terminal:
                live.update(_table(run), refresh=True)
            if time.monotonic() - began > timeout:
                raise TimeoutError(f"the run is still {run.state} after {timeout:g} s")
            time.sleep(LOOK_EVERY)


def short(execution_id: str) -> str:
    """An id as it fits into a table: digests and UUIDs are known by their beginning."""
    kind, colon, value = execution_id.rpartition(":")
    return f"{kind}{colon}{value[:12]}" if colon else execution_id[:20]


def _line(task: TaskState, seconds: float) -> Text:
    parts = [f"{seconds:6.1f} s", f"{task.task_id:16}", f"{_state(task):15}"]
    if task.execution_id:
        parts += [f"{task.system} {short(task.execution_id)}", task.status, task.url]
    return Text("  ".join(part for part in parts if part).rstrip(), STYLES.get(task.state, ""))


def _table(run: RunState) -> Table:
    table = Table(title=f"{run.dag_id}: {run.state}", title_justify="left", expand=True)
    # As wide as they can become, so that nothing moves while somebody reads.
    table.add_column("Task", no_wrap=True, width=2 + max(map(len, run.tasks), default=0))
    table.add_column("Airflow", no_wrap=True, width=max(map(len, STYLES)))
    table.add_column("Execution and its state", ratio=1, overflow="fold")
    table.add_column("Time", justify="right", no_wrap=True, width=len("9999.9 s"))
    for task in run.tasks.values():
        style = STYLES.get(task.state, "dim")
        what = Text()
        if task.execution_id:
            what.append(f"{task.system} {short(task.execution_id)}  ").append(task.status, "bold")
        if task.url:
            what.stylize(f"link {task.url}")
        if task.url and not task.is_over:
            what.append(f"\n{task.url}", f"dim link {task.url}")
        table.add_row(
            Text(f"{MARKS.get(task.state, '▸')} {task.task_id}", style),
            Text(_state(task), style),
            what,
            "" if task.seconds is None else f"{task.seconds:.1f} s",
        )
    return table


def _state(task: TaskState) -> str:
    return "" if task.state == "none" else task.state
