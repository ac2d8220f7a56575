"""The table of a run keeps its columns and its order from the first look to the last; a picture is what was shown."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

from rich.console import Console

from demo.progress import STYLES, _table
from demo.run_state import RunState, TaskState

TASKS = ["build_image", "scan_image", "a_task_with_a_name_that_is_long"]


class NoApi:
    def __init__(self, tasks: list[dict[str, Any]]) -> None:
        self._tasks = tasks

    def tasks(self, dag_id: str) -> list[dict[str, Any]]:
        return self._tasks


def recording() -> Console:
    return Console(width=140, record=True, file=io.StringIO())


def drawn(states: list[str], *, url: str = "") -> list[str]:
    run = RunState.__new__(RunState)
    run.dag_id, run.state = "release_train", "running"
    run.tasks = {name: TaskState(name, "quay", state) for name, state in zip(TASKS, states, strict=True)}
    for task in run.tasks.values():
        task.execution_id, task.status, task.url = ("1", "building", url) if url else ("", "", "")
    console = recording()
    console.print(_table(run))
    return console.export_text().splitlines()


def borders(lines: list[str]) -> list[int]:
    head = next(line for line in lines if "Execution and its state" in line)
    return [at for at, sign in enumerate(head) if sign in "┃│"]


def test_no_column_moves_whatever_the_tasks_do() -> None:
    url = "http://127.0.0.1:8900/quay/repository/acme/shop/manifest/sha256:0123456789?tab=vulnerabilities"
    seen = [borders(drawn(["none"] * 3)), borders(drawn(["upstream_failed", "running", "success"], url=url))]
    seen += [borders(drawn([state] * 3, url=url)) for state in STYLES]
    assert all(each == seen[0] for each in seen)


def test_tasks_stand_in_the_order_of_the_dag_however_airflow_lists_them() -> None:
    follows = {"a": ["c"], "c": ["b"], "b": ["d"], "d": ["y", "x"], "y": [], "x": []}
    orders = set()
    for seed in range(20):
        chance = random.Random(seed)
        listed = [
            {
                "task_id": name,
                "class_ref": {"module_path": "demo"},
                "downstream_task_ids": chance.sample(after, len(after)),
            }
            for name, after in chance.sample(sorted(follows.items()), len(follows))
        ]
        orders.add(tuple(RunState(NoApi(listed), None, "dag", "run").tasks))
    assert orders == {("a", "c", "b", "d", "x", "y")}


def test_a_picture_holds_what_was_shown(tmp_path: Path) -> None:
    console = recording()
    console.print("The release went through")
    console.save_svg(str(tmp_path / "demo.svg"), title="make demo", unique_id="demo")
    assert "went&#160;through" in (tmp_path / "demo.svg").read_text()
