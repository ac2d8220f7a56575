"""One task and what becomes of it: attempts that die, end or are ended at will, and what its system sees of them."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from airflow_provider.core.commands import Command, Pause, Publish, Save
from airflow_provider.hooks.base import hook_class
from airflow_provider.operators.carrying_out import Carrier
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.starting import KEY, StartOperator
from tests.support import starters
from tests.support.attempts import Task, WorkerKilled
from tests.support.patching import patched
from tests.support.starters import ARGUMENTS, Starter, started
from tests.support.systems import Systems

SLOW = 0.1
"""Speed of the sandbox at which nothing ends by itself."""


def build_with_a_tag_of_its_own(systems: Systems, **arguments: Any) -> CocktailRunBuildOperator:
    return CocktailRunBuildOperator(build_seq=12, tag_name="{{ ti.max_tries }}-{{ ti.try_number }}", **arguments)


# A tag can be built once only: a task that starts anew needs another one.
COCKTAIL = starters.STARTERS["cocktail"]._replace(build=build_with_a_tag_of_its_own)
STARTERS = {**starters.STARTERS, "cocktail": COCKTAIL}
EVERY_STARTER = pytest.mark.parametrize("starter", STARTERS.values(), ids=STARTERS)


class Story:
    """One task of one starter, and what its system has seen since."""

    def __init__(
        self,
        systems: Systems,
        starter: Starter,
        *,
        deferrable: bool,
        is_dated: bool = True,
        **arguments: Any,
    ) -> None:
        self.systems = systems
        self.starter = starter
        self._arguments = {**ARGUMENTS, "deferrable": deferrable, **arguments}
        self._before = systems.executions(starter.system)
        self.task = Task(lambda: starter.build(systems, **self._arguments), is_dated=is_dated)

    def deploy(self, *, starter: Starter | None = None, retries: int = 3, **arguments: Any) -> None:
        """Put another version of the DAG where Airflow reads it."""
        build = (starter or self.starter).build
        self.task.deploy(lambda: build(self.systems, **{**self._arguments, **arguments}), retries=retries)

    @property
    def record(self) -> dict[str, Any]:
        """What the task remembers of its start."""
        record: dict[str, Any] = self.task.stored(KEY)[0]
        return record

    def executions(self) -> list[dict[str, Any]]:
        """Those that began after the story did, oldest first."""
        found = started(self.systems, self.starter, self._before)
        return sorted(found, key=lambda each: each["states"][0]["at"])

    def seen(self) -> dict[str, int]:
        executions = self.executions()
        return {"starts": len(executions), "cancels": sum(len(each["cancels"]) for each in executions)}

    def cancels(self) -> list[int]:
        """How many cancels each execution has got, the oldest first."""
        return [len(each["cancels"]) for each in self.executions()]

    def starts_sent(self) -> int:
        """Requests that start something, whatever came of them."""
        posts = self.systems.requests(self.starter.system, "POST")
        return sum(bool(re.search(self.starter.start, each["path"])) and "=stop" not in each["query"] for each in posts)

    def attempt(self) -> Any:
        return self.task.attempt()

    def attempt_and_die(self, *, remembered: bool) -> None:
        """Attempt in a worker that dies after the start, before or after it has written down what it started."""

        def dies(command: Command) -> bool:
            is_start_saved = isinstance(command, Save) and getattr(command.record, "ref", None) is not None
            return isinstance(command, Publish) if remembered else is_start_saved

        def die(*_: Any) -> None:
            raise WorkerKilled

        with self.when(dies, die):
            assert isinstance(self.attempt().error, WorkerKilled)

    def attempt_and_die_before_the_request(self) -> None:
        """Attempt in a worker that dies when it has written down that it is about to start something."""

        def die(*_: Any) -> None:
            raise WorkerKilled

        with patched(self.task.operator, "start", die):
            assert isinstance(self.attempt().error, WorkerKilled)

    def attempt_while(self, act: Callable[[], None]) -> None:
        """Attempt in this worker; ``act`` when the task waits for what it started."""
        begun = threading.Event()
        running: list[StartOperator[Any]] = []

        def begin(operator: StartOperator[Any]) -> None:
            running.append(operator)
            begun.set()

        def watch() -> None:
            if begun.wait(60):
                time.sleep(0.1)
                act()

        def stop() -> None:
            StartOperator.on_kill(running[0])
            # A supervisor waits for five seconds, then it sends SIGKILL.
            raise WorkerKilled

        watcher = threading.Thread(target=watch)
        watcher.start()
        with (
            self.when(lambda command: isinstance(command, Pause), begin),
            patched(self.task.operator, "on_kill", stop),
        ):
            self.attempt()
        watcher.join()

    @contextmanager
    def when(self, is_it: Callable[[Command], bool], act: Callable[[Any], None]) -> Iterator[None]:
        """Do something just before a worker carries out such a command of the core."""
        whole = Carrier.perform

        def perform(carrier: Carrier[Any], command: Any) -> Any:
            if is_it(command):
                act(carrier.operator)
            return whole(carrier, command)

        with patched(Carrier, "perform", perform):
            yield


def let_nothing_end_by_itself(systems: Systems) -> None:
    """However busy this machine is; a cancel takes effect soon."""
    systems.reset(speed=1.0)
    systems.switch("code_stream", task_seconds=1e6)
    systems.switch("service_stage", task_seconds=1e6)
    systems.switch("cocktail", step_seconds={"CREATE_IMAGE": 1e6})
    systems.switch("quay", build_support=False)


def colleague_starts(systems: Systems, starter: Starter, tag: str = "0") -> str:
    """Somebody starts the same thing without Airflow, where the connection leads to now; returns the id of it."""
    operator = starter.build(systems, task_id="colleague")
    operator.render_template_fields({"ti": {"max_tries": tag, "try_number": tag}})
    with hook_class(starter.system)(operator.conn_id).get_conn() as client:
        return str(operator.start(client, {**operator.intent(client), "marker": "a colleague"}).id)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
