"""Who does harm, to what and when: seeded, one deed at a time."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psutil
import requests

from tests.chaos import people
from tests.chaos.accounting import Act
from tests.chaos.cluster import TRIGGERER_THRESHOLD, TRIGGERERS, Cluster
from tests.chaos.people import TaskInstance
from tests.chaos.plan import Release

SETTLED = 4.0
"""Seconds for which a task has waited before a person touches it: Airflow must have somebody whom it can tell."""
HOLD = 6.0
"""Seconds without a kill after a person's deed: Airflow tells it once, and who is killed just then never hears it."""

PATIENCE = 15.0
"""Seconds for which a person looks for such a task."""

FRESH = 4.0
"""Age in seconds of the heartbeat of a triggerer that is certainly up."""

Json = dict[str, Any]


class Director:
    """:param releases: by dag id, task id and map index.
    :param seed: of all choices.
    """

    def __init__(self, cluster: Cluster, releases: list[Release], seed: int) -> None:
        self._cluster = cluster
        self._releases = {(each.dag_id, each.task_id, each.map_index): each for each in releases}
        self._random = random.Random(seed)
        self._waiting_since: dict[tuple[Any, ...], float] = {}
        self._away: dict[str, float] = {}
        self._stalled: dict[str, float] = {}
        self.kills: Counter[str] = Counter()
        self.deeds: Counter[str] = Counter()
        self.acts: dict[str, list[Act]] = defaultdict(list)
        self.log: list[str] = []
        celery = "worker" in cluster.components
        self._choices: list[tuple[int, Callable[[], float]]] = [
            (12, self._kill_a_task),
            (3, self._drain_a_task),
            (3, self._kill_a_triggerer),
            (2, self._stall_a_triggerer),
            (2, lambda: self._kill("scheduler")),
            (1, lambda: self._kill("api-server")),
            (1, self._drain_the_host),
            (8, self._person),
            *([(2, lambda: self._kill("worker"))] if celery else []),
        ]

    def act(self) -> float:
        """Do one deed; returns the seconds until the next."""
        weights, deeds = zip(*self._choices, strict=True)
        deed = self._random.choices(deeds, weights)[0]
        self._bring_back()
        try:
            self._look()
            return deed()
        except requests.RequestException:
            return 1.0

    def _bring_back(self) -> None:
        """End stalls that are over; start anew what was drained, and what has ended without being asked to."""
        for name, until in list(self._stalled.items()):
            if time.monotonic() > until:
                del self._stalled[name]
                self._cluster.signal(name, signal.SIGCONT)
        for name, until in list(self._away.items()):
            if time.monotonic() > until or not self._cluster.components[name].is_running:
                del self._away[name]
                self._cluster.kill(name)
                self._cluster.restart(name)

        for name, component in self._cluster.components.items():
            if name not in self._away and not component.is_running:
                self._note(f"{name} ended by itself")
                self._cluster.kill(name)
                self._cluster.restart(name)

    def _look(self) -> list[Json]:
        """The tasks that run or wait, as far as the API server tells."""
        params = {"state": ["running", "deferred"], "limit": 100}
        try:
            found = self._cluster.api.call("GET", "dags/~/dagRuns/~/taskInstances", params=params)["task_instances"]
        except requests.RequestException:
            return []
        now = time.monotonic()
        self._waiting_since = {_keeper(each): self._waiting_since.get(_keeper(each), now) for each in found}
        return found

    def finish(self) -> None:
        """Let all that is stalled or away come back."""
        for name in self._stalled:
            self._cluster.signal(name, signal.SIGCONT)
        self._stalled.clear()
        for name in list(self._away):
            self._cluster.kill(name)
            self._cluster.restart(name)
        self._away.clear()

    def _kill_a_task(self) -> float:
        process = self._some_task_process()
        if process is None:
            return 0.5
        victims = self._random.choice([["task"], ["supervisor"], ["supervisor", "task"]])
        with suppress(psutil.NoSuchProcess):
            both = {"task": process, "supervisor": self._cluster.supervisor_of(process)}
            for victim in victims:
                if found := both[victim]:
                    found.kill()
                    self._note(victim, killed=True)
        return self._random.uniform(1, 3)

    def _drain_a_task(self) -> float:
        process = self._some_task_process()
        if process is None:
            return 0.5
        with suppress(psutil.NoSuchProcess):
            victim = self._random.choice([process, self._cluster.supervisor_of(process)])
            (victim or process).send_signal(signal.SIGTERM)
            self._note("task drained")
        return self._random.uniform(1, 3)

    def _kill_a_triggerer(self) -> float:
        return self._kill(self._random.choice(TRIGGERERS))

    def _kill(self, name: str) -> float:
        if name in self._stalled or name in self._away:
            return 0.5
        self._cluster.kill(name)
        self._note(name, killed=True)
        time.sleep(self._random.uniform(0, 3))
        self._cluster.restart(name)
        return self._random.uniform(2, 6)

    def _stall_a_triggerer(self) -> float:
        if self._stalled:
            return 0.5
        name = self._random.choice(TRIGGERERS)
        self._cluster.signal(name, signal.SIGSTOP)
        self._stalled[name] = time.monotonic() + TRIGGERER_THRESHOLD + self._random.uniform(1, 6)
        self._note(f"{name} stalled")
        return self._random.uniform(2, 4)

    def _drain_the_host(self) -> float:
        """SIGTERM to the process that runs the tasks: Celery's worker, or the scheduler with its executor."""
        name = "worker" if "worker" in self._cluster.components else "scheduler"
        if name in self._away:
            return 0.5
        os.kill(self._cluster.components[name].pid, signal.SIGTERM)
        self._away[name] = time.monotonic() + 10
        self._note(f"{name} drained")
        return self._random.uniform(2, 4)

    def _person(self) -> float:
        deadline = time.monotonic() + PATIENCE
        while not (settled := [each for each in self._look() if self._is_settled(each)]):
            if time.monotonic() > deadline:
                return 0.0
            time.sleep(0.5)
            self._bring_back()
        chosen = self._random.choice(settled)
        ti = TaskInstance(chosen["dag_id"], chosen["dag_run_id"], chosen["task_id"], chosen["map_index"])
        release = self._releases[ti.dag_id, ti.task_id, ti.map_index]
        what = self._random.choice(["failed", "success", "clear", "clear"])
        act = Act(time.time(), what)
        if what == "clear":
            people.clear(self._cluster.api, ti)
        else:
            people.mark(self._cluster.api, ti, what)
        self.acts[release.name].append(act)
        self._note(f"person: {what}", of=f"{release.name} ({chosen['state']})")
        time.sleep(HOLD)
        return 0.5

    def _is_settled(self, each: Json) -> bool:
        if time.monotonic() - self._waiting_since[_keeper(each)] < SETTLED:
            return False
        if each["state"] == "running":
            return not self._away and each["id"] in self._cluster.task_processes()
        return not self._stalled and _is_alive(each["triggerer_job"])

    def _some_task_process(self) -> psutil.Process | None:
        running = self._cluster.task_processes()
        return running[self._random.choice(sorted(running))] if running else None

    def _note(self, what: str, *, killed: bool = False, of: str = "") -> None:
        (self.kills if killed else self.deeds)[what] += 1
        self.log.append(f"{time.time():.1f} {'killed ' if killed else ''}{what} {of}".rstrip())


def _keeper(each: Json) -> tuple[Any, ...]:
    """A task instance's attempt, and who looks after it."""
    return each["id"], each["state"], (each["triggerer_job"] or {}).get("id")


def _is_alive(job: Json | None) -> bool:
    if not job or not job["latest_heartbeat"]:
        return False
    beat = datetime.fromisoformat(job["latest_heartbeat"])
    return (datetime.now(UTC) - beat).total_seconds() < FRESH
