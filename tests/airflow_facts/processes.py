"""Processes under Airflow's supervisor, and how they report to the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.airflow_facts.real import RealTask
from tests.support.until import until


class Notes:
    """What a process reports to the test."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def write(self, line: Any) -> None:
        with self._path.open("a") as file:
            file.write(f"{line}\n")

    def read(self) -> list[str]:
        return self._path.read_text().splitlines()


def end_after(task: RealTask, act: Callable[[RealTask], None], script: Callable[..., Any], notes: Notes) -> bool:
    """An attempt that ends by itself after a person's act, before a heartbeat informs it."""

    def wait_then_end(operator: Any, context: Any) -> Any:
        until(notes.read)
        return script(operator, context)

    def act_and_go_on() -> None:
        act(task)
        notes.write("go on")

    return task.wait(task.supervise(wait_then_end), act_and_go_on)
