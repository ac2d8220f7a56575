"""The result of a run of the release train: what was built, scanned, tagged, deployed and released, or what failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.progress import short
from demo.run_state import RunState, TaskState

Result = dict[str, Any]
STEPS: dict[str, tuple[str, Callable[[Result], str]]] = {
    "build_image": (
        "built",
        lambda it: f"{it['outputs']['image']}:{it['outputs']['tag']}  {short(it['outputs']['digest'])}",
    ),
    "scan_image": ("scanned", lambda it: f"worst finding: {it['outputs']['highest'] or 'none'}"),
    "promote_tag": (
        "tagged",
        lambda it: f"{it['outputs']['repository']}:{it['outputs']['tag']} is {short(it['outputs']['digest'])}",
    ),
    "deploy": ("deployed", lambda it: f"execution {it['id']}"),
    "release": (
        "released",
        lambda it: f"record {it['id']} of release task {it['ref']['pipeline_id']}{_approved(it)}",
    ),
    "roll_back": ("rolled back", lambda it: f"record {it['id']} of release task {it['ref']['pipeline_id']}"),
}


def show(run: RunState, console: Console, seconds: float) -> None:
    """Print the result of a run that is over.

    :param seconds: how long the whole run took.
    """
    succeeded = run.state == "success"
    title = "The release went through" if succeeded else "The release FAILED"
    table = Table(title=Text(title, "bold green" if succeeded else "bold red"), title_justify="left")
    table.add_column("Step", no_wrap=True)
    table.add_column("System", no_wrap=True)
    table.add_column("What", overflow="fold")
    table.add_column("Took", justify="right", no_wrap=True)
    for task_id, (word, what) in STEPS.items():
        task = run.tasks[task_id]
        if task.state == "success":
            table.add_row(word, task.system, _with_url(what(task.result), task.url), _took(task))
    table.add_section()
    table.add_row("", "", "all tasks", f"{seconds:.1f} s")
    console.print(table)
    for task in run.tasks.values():
        if task.state == "failed":
            console.print(Text(f"{task.task_id} failed: {_reason(run, task)}", "red"), soft_wrap=True)


def _approved(result: Result) -> str:
    """Who let it pass its approvals."""
    given = [(each["name"], each["comment"]) for each in result.get("approvals") or ()]
    return "".join(f"\napproved by {name}{f': {comment}' if comment else ''}" for name, comment in given)


def _with_url(text: str, url: str) -> Text:
    return Text(text).append(f"\n{url}", f"dim link {url}") if url else Text(text)


def _took(task: TaskState) -> str:
    return "" if task.seconds is None else f"{task.seconds:.1f} s"


def _reason(run: RunState, task: TaskState) -> str:
    """The last error in its log."""
    lines = run.api.log_lines(run.dag_id, run.run_id, task.task_id, task.try_number)
    errors = [line for line in lines if line.get("level") in ("error", "critical")]
    details = [detail for line in errors for detail in line.get("error_detail") or ()]
    if details:
        return f"{details[-1]['exc_type']}: {details[-1]['exc_value']}"
    return errors[-1]["event"] if errors else "its log names no reason"
