"""Shows a run in progress, and answers what it asks: a live table in a terminal, lines anywhere else."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from demo.answers import Answers
from demo.run_state import RunState, TaskState

POLL_EVERY = 0.5
STYLES = {
    "success": "green",
    "running": "bold cyan",
    "deferred": "magenta",
    "failed": "bold red",
    "upstream_failed": "red",
}
MARKS = {"success": "✔", "failed": "✘", "upstream_failed": "✘", "skipped": "·", "none": " "}
ASKING = "bold yellow"


def follow(run: RunState, console: Console, timeout: float, answers: Answers) -> None:
    """Show ``run`` until it is over.

    :param timeout: seconds, without the time that people take.
    :param answers: who answers here what it asks.
    :raises TimeoutError: it is not over by then.
    """
    with answers, Live(console=console, auto_refresh=False, transient=True) as live:
        _Follower(run, console, answers, live).follow(timeout)


class _Follower:
    def __init__(self, run: RunState, console: Console, answers: Answers, live: Live) -> None:
        self._run, self._console, self._answers, self._live = run, console, answers, live
        self._hint = f"{answers.hint}: {run.api.url}/required_actions"
        self._began = time.monotonic()

    def follow(self, timeout: float) -> None:
        run, answers = self._run, self._answers
        left = timeout
        while not run.is_over:
            before = time.monotonic()
            was_asking = run.asking
            changed = list(run.refresh())
            if run.asking != was_asking:
                answers.forget()
            self._show(changed)
            option = answers.next(POLL_EVERY)
            if option:
                self._answer(option)
            if not (was_asking and answers.waits_for_people):
                left -= time.monotonic() - before
            if left < 0:
                raise TimeoutError(f"the run is still {run.state} after {timeout:g} s")

    def _show(self, changed: list[TaskState]) -> None:
        if self._console.is_terminal:
            self._live.update(_table(self._run, self._hint), refresh=True)
            return
        for task in changed:
            self._print(_line(task, self._seconds))
            if task.asks:
                self._print(Text(f"{'':10}{self._hint}", ASKING))

    def _answer(self, option: str) -> None:
        for task in self._run.asking:
            if self._run.answer(task, option, self._answers.comment) and not self._console.is_terminal:
                self._print(Text(f"{_begin(task, self._seconds)}{option}, {self._answers.comment}", ASKING))

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began


def short(execution_id: str) -> str:
    """An id as it fits into a table: digests and UUIDs are known by their beginning."""
    kind, colon, value = execution_id.rpartition(":")
    return f"{kind}{colon}{value[:12]}" if colon else execution_id[:20]


def _line(task: TaskState, seconds: float) -> Text:
    begin = _begin(task, seconds)
    if task.asks:
        return Text(f"{begin}{task.asks}", ASKING)
    parts = [f"{task.system} {short(task.execution_id)}", task.status, task.url] if task.execution_id else []
    return Text((begin + "  ".join(filter(None, parts))).rstrip(), STYLES.get(task.state, ""))


def _begin(task: TaskState, seconds: float) -> str:
    return f"{seconds:6.1f} s  {task.task_id:16}  {_state(task):15}  "


def _table(run: RunState, hint: str) -> Table:
    """:param hint: how to answer what is asked."""
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
        if task.asks:
            what.append(f"\n{task.asks}\n{hint}", ASKING)
        elif task.url and not task.is_over:
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
