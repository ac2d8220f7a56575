"""The display of a run: a table that keeps its columns and its order, what is asked and how, a picture of all."""

from __future__ import annotations

import io
import itertools
import random
import time
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture
from rich.console import Console

from demo import run_state
from demo.answers import Answers
from demo.progress import STYLES, _table, follow
from demo.run_state import RunState, TaskState

TASKS = ["build_image", "scan_image", "a_task_with_a_name_that_is_long"]


HINT = "Press a to approve or r to reject, or answer in Airflow: http://127.0.0.1:8080/required_actions"
QUESTION = "Approve or reject: start release task 'shop-release-approval'"


class NoApi:
    def __init__(self, tasks: list[dict[str, Any]]) -> None:
        self._tasks = tasks

    def tasks(self, dag_id: str) -> list[dict[str, Any]]:
        return self._tasks


def recording() -> Console:
    return Console(width=140, record=True, file=io.StringIO())


def drawn(states: list[str], *, url: str = "", asks: str = "") -> list[str]:
    run = RunState.__new__(RunState)
    run.dag_id, run.state = "release_train", "running"
    run.tasks = {name: TaskState(name, "quay", state) for name, state in zip(TASKS, states, strict=True)}
    for task in run.tasks.values():
        task.execution_id, task.status, task.url = ("1", "building", url) if url else ("", "", "")
        task.asks = asks
    console = recording()
    console.print(_table(run, HINT))
    return console.export_text().splitlines()


def borders(lines: list[str]) -> list[int]:
    head = next(line for line in lines if "Execution and its state" in line)
    return [at for at, sign in enumerate(head) if sign in "┃│"]


def test_no_column_moves_whatever_the_tasks_do() -> None:
    url = "http://127.0.0.1:8900/quay/repository/acme/shop/manifest/sha256:0123456789?tab=vulnerabilities"
    seen = [borders(drawn(["none"] * 3)), borders(drawn(["upstream_failed", "running", "success"], url=url))]
    seen += [borders(drawn([state] * 3, url=url)) for state in STYLES]
    seen += [borders(drawn(["deferred"] * 3, url=url, asks=QUESTION * 3))]
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


def test_what_is_asked_stands_in_the_table_and_how_to_answer_it() -> None:
    lines = "\n".join(drawn(["success", "success", "deferred"], url="http://127.0.0.1:8900/x", asks=QUESTION))
    assert QUESTION in lines
    assert "Press a to approve or r to reject" in lines
    assert "/required_actions" in lines


class Asking(NoApi):
    """An Airflow in which a task asks, until it is answered."""

    url = "http://127.0.0.1:8080"

    def __init__(self, answered_before: bool = False) -> None:
        super().__init__([{"task_id": "release", "class_ref": {"module_path": "demo"}, "downstream_task_ids": []}])
        self.answers: list[tuple[str, str]] = []
        self._answered_before = answered_before

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return {"state": "success" if self.answers else "running"}

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        state = "success" if self.answers else "deferred"
        return [{"task_id": "release", "state": state, "try_number": 1, "start_date": None, "end_date": None}]

    def required_actions(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        asked = {"task_instance": {"task_id": "release"}, "subject": QUESTION}
        return [asked | {"response_received": bool(self.answers)}]

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str, comment: str) -> bool:
        self.answers.append((option, comment))
        return not self._answered_before


class NoSandbox:
    class control:  # noqa: N801
        @staticmethod
        def executions() -> list[dict[str, Any]]:
            return []


class Rejecting(Answers):
    """Has chosen before anything is asked, and again after that."""

    hint, comment = "Wait", "by the test"

    def __init__(self) -> None:
        self.chosen = ["Approve"]
        self.looked = 0

    def forget(self) -> None:
        self.chosen = ["Reject"] * bool(self.looked)

    def next(self, seconds: float) -> str | None:
        self.looked += 1
        return self.chosen.pop() if self.chosen else None


@pytest.mark.parametrize("answered_before", [False, True])
def test_only_what_is_chosen_after_a_question_answers_it(answered_before: bool, mocker: MockerFixture) -> None:
    mocker.patch.object(run_state, "SETTLED", 0.2)
    api, console = Asking(answered_before), recording()
    follow(RunState(api, NoSandbox(), "release_train", "run"), console, 60, Rejecting())
    assert api.answers == [("Reject", "by the test")]
    shown = console.export_text()
    assert f"{QUESTION}\n          Wait: http://127.0.0.1:8080/required_actions\n" in shown
    assert ("Reject, by the test" in shown) is not answered_before


def test_the_time_that_people_take_is_not_the_runs(mocker: MockerFixture) -> None:
    mocker.patch.object(run_state, "SETTLED", 0.0)
    answers = Answers()
    polls = itertools.count()
    mocker.patch.object(answers, "next", lambda seconds: time.sleep(0.1) or (None if next(polls) < 7 else "Approve"))
    run = RunState(Asking(), NoSandbox(), "release_train", "run")
    follow(run, recording(), 0.5, answers)
    assert run.state == "success"
    answers.waits_for_people = False
    mocker.patch.object(answers, "next", lambda seconds: time.sleep(0.1))
    with pytest.raises(TimeoutError):
        follow(RunState(Asking(), NoSandbox(), "release_train", "run"), recording(), 0.5, answers)


def test_a_picture_holds_what_was_shown(tmp_path: Path) -> None:
    console = recording()
    console.print("The release went through")
    console.save_svg(str(tmp_path / "demo.svg"), title="make demo", unique_id="demo")
    assert "went&#160;through" in (tmp_path / "demo.svg").read_text()
