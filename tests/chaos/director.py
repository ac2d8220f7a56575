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
from tests.chaos.cluster import HEARTBEAT_TIMEOUT, TRIGGERER_THRESHOLD, TRIGGERERS, Cluster
from tests.chaos.people import TaskInstance
from tests.chaos.plan import Release
from tests.chaos.task_logs import ASKS_FOR_CLEAR, CANCELED_FOR_GOOD, OTHER_PLACE, TaskLogs

SETTLED = 4.0
"""Seconds for which a task has waited before a person touches it: Airflow must have somebody whom it can tell."""
HOLD = 6.0
"""Seconds without a kill after a person's deed: Airflow tells it once, and who is killed just then never hears it."""

PATIENCE = 15.0
"""Seconds for which a person looks for such a task."""

BESIDE = 1.0
"""Seconds between a clear and a kill of the very worker, whichever comes first."""
CHANGED_FOR = 40.0
"""Seconds after which somebody puts a connection back that was changed, though its task has not failed."""

FRESH = 4.0
"""Age in seconds of the heartbeat of a triggerer that is certainly up."""

FREEZE, BESIDE_A_KILL, CHANGE = "worker frozen", "clear beside a kill", "connection changed"
RARE = (FREEZE, BESIDE_A_KILL, CHANGE)
"""Each must have happened at least once."""

Json = dict[str, Any]


class Director:
    """:param releases: by dag id, task id and map index.
    :param connections: by id, those that somebody changes: as they are, and as they are then.
    :param seed: of all choices.
    """

    def __init__(
        self,
        cluster: Cluster,
        releases: list[Release],
        connections: dict[str, tuple[Json, Json]],
        logs: TaskLogs,
        seed: int,
    ) -> None:
        self._cluster = cluster
        self._connections = connections
        self._logs = logs
        self._releases = {(each.dag_id, each.task_id, each.map_index): each for each in releases}
        self._random = random.Random(seed)
        self._waiting_since: dict[tuple[Any, ...], float] = {}
        self._away: dict[str, float] = {}
        self._stalled: dict[str, float] = {}
        self._frozen: dict[str, tuple[float, list[psutil.Process]]] = {}
        self._changed: dict[str, float] = {}
        self._answered: set[str] = set()
        self.changed: set[str] = set()
        """Ids of the connections that were changed for a while."""
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
            (3, self._freeze_a_task),
            (4, self._clear_beside_a_kill),
            (4, self._change_a_connection),
            *([(2, lambda: self._kill("worker"))] if celery else []),
        ]

    def act(self) -> float:
        """Do one deed; returns the seconds until the next."""
        weights, deeds = zip(*self._choices, strict=True)
        deed = self._random.choices(deeds, weights)[0]
        self._bring_back()
        try:
            self.answer()
            self._look()
            return deed()
        except requests.RequestException:
            return 1.0

    @property
    def is_done(self) -> bool:
        """Whether every rare deed was done."""
        return all(self.deeds[what] for what in RARE)

    def answer(self) -> None:
        """Do what a person does about tasks that have failed with words on what to do: put a connection back, or clear.

        :raises requests.RequestException: the API server is away.
        """
        for each in self._instances("failed", "up_for_retry"):
            ti, release = self._names(each)
            acts = self.acts[release.name]
            if each["id"] in self._answered or (acts and acts[-1].what != "clear"):
                continue
            said = self._logs.newest(release)
            if OTHER_PLACE in said and release.conn_id:
                self._put_back(release.conn_id)
                is_to_be_cleared = each["state"] == "failed"
            else:
                # A clear whose cancel Airflow's own numbers do not tell from a colleague's.
                is_to_be_cleared = bool(ASKS_FOR_CLEAR.search(said)) or (bool(acts) and CANCELED_FOR_GOOD in said)
            if is_to_be_cleared:
                self._clear(ti, release)
                self._answered.add(each["id"])
                self._note("person: clear of what failed loudly", of=release.name)
        for conn_id, until in list(self._changed.items()):
            if time.monotonic() > until:
                self._put_back(conn_id)

    def _put_back(self, conn_id: str) -> None:
        if conn_id in self._changed:
            self._cluster.api.save_connection(self._connections[conn_id][0])
            del self._changed[conn_id]
            self._note("connection put back", of=conn_id)

    def _bring_back(self) -> None:
        """End stalls that are over; start anew what was drained, and what has ended without being asked to."""
        for name, until in list(self._stalled.items()):
            if time.monotonic() > until:
                del self._stalled[name]
                self._cluster.signal(name, signal.SIGCONT)
        for ti_id, (until, processes) in list(self._frozen.items()):
            if time.monotonic() > until:
                _thaw(processes)
                del self._frozen[ti_id]
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
        try:
            found = self._instances("running", "deferred")
        except requests.RequestException:
            return []
        now = time.monotonic()
        self._waiting_since = {_keeper(each): self._waiting_since.get(_keeper(each), now) for each in found}
        return found

    def _instances(self, *states: str) -> list[Json]:
        params = {"state": list(states), "limit": 100}
        return list(self._cluster.api.call("GET", "dags/~/dagRuns/~/taskInstances", params=params)["task_instances"])

    def _names(self, each: Json) -> tuple[TaskInstance, Release]:
        ti = TaskInstance(each["dag_id"], each["dag_run_id"], each["task_id"], each["map_index"])
        return ti, self._releases[ti.dag_id, ti.task_id, ti.map_index]

    def finish(self) -> None:
        """Let all that is stalled, frozen or away come back."""
        for name in self._stalled:
            self._cluster.signal(name, signal.SIGCONT)
        self._stalled.clear()
        for _, processes in self._frozen.values():
            _thaw(processes)
        self._frozen.clear()
        for name in list(self._away):
            self._cluster.kill(name)
            self._cluster.restart(name)
        self._away.clear()

    def _kill_a_task(self) -> float:
        process = self._some_task_process()
        if process is None:
            return 0.5
        self._kill_process(process)
        return self._random.uniform(1, 3)

    def _kill_process(self, process: psutil.Process) -> None:
        """A task's process, its supervisor, or both."""
        victims = self._random.choice([["task"], ["supervisor"], ["supervisor", "task"]])
        with suppress(psutil.NoSuchProcess):
            both = {"task": process, "supervisor": self._cluster.supervisor_of(process)}
            for victim in victims:
                if found := both[victim]:
                    found.kill()
                    self._note(victim, killed=True)

    def _freeze_a_task(self) -> float:
        """Stop a task's process and its supervisor until Airflow has given them up and the task has gone on."""
        running = self._cluster.task_processes()
        if self._frozen or not running:
            return 0.5
        ti_id = self._random.choice(sorted(running))
        with suppress(psutil.NoSuchProcess):
            processes = [each for each in (self._cluster.supervisor_of(running[ti_id]), running[ti_id]) if each]
            until = time.monotonic() + HEARTBEAT_TIMEOUT + self._random.uniform(4, 8)
            self._frozen[ti_id] = (until, processes)
            for process in processes:
                process.suspend()
            self._note(FREEZE)
        return self._random.uniform(1, 3)

    def _clear_beside_a_kill(self) -> float:
        """A person clears a task that runs, and its worker dies within a second before or after."""
        running = self._cluster.task_processes()
        chosen = [each for each in self._look() if each["id"] in running and each["id"] not in self._frozen]
        if not chosen:
            return 0.5
        each = self._random.choice(chosen)
        ti, release = self._names(each)
        is_first = self._random.random() < 0.5
        if not is_first:
            self._kill_process(running[each["id"]])
            time.sleep(self._random.uniform(0, BESIDE))
        self._clear(ti, release)
        if is_first:
            time.sleep(self._random.uniform(0, BESIDE))
            self._kill_process(running[each["id"]])
        self._note(BESIDE_A_KILL, of=f"{release.name} ({'before' if is_first else 'after'} it)")
        return self._random.uniform(1, 3)

    def _change_a_connection(self) -> float:
        """Somebody changes a connection to another system, and who waits there must read it anew."""
        chosen = [each for each in self._look() if self._is_to_be_moved(each)]
        if not chosen:
            return 0.5
        each = self._random.choice(chosen)
        _, release = self._names(each)
        process = self._cluster.task_processes().get(each["id"])
        is_between_attempts = process is not None and self._random.random() < 0.5
        if process and is_between_attempts:
            self._kill_process(process)
        self._cluster.api.save_connection(self._connections[release.conn_id][1])
        self.changed.add(release.conn_id)
        self._changed[release.conn_id] = time.monotonic() + CHANGED_FOR
        self._note(CHANGE, of=f"{release.name} ({each['state']})")
        if process and not is_between_attempts:
            self._kill_process(process)
        if each["state"] == "deferred":
            for name in TRIGGERERS:
                self._kill(name)
        return self._random.uniform(1, 3)

    def _is_to_be_moved(self, each: Json) -> bool:
        _, release = self._names(each)
        is_waiting = time.monotonic() - self._waiting_since[_keeper(each)] > SETTLED
        return bool(release.conn_id) and release.conn_id not in self.changed and is_waiting

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
        ti, release = self._names(chosen)
        what = self._random.choice(["failed", "success", "clear", "clear"])
        if what == "clear":
            self._clear(ti, release)
        else:
            act = Act(time.time(), what)
            people.mark(self._cluster.api, ti, what)
            self.acts[release.name].append(act)
        self._note(f"person: {what}", of=f"{release.name} ({chosen['state']})")
        time.sleep(HOLD)
        return 0.5

    def _clear(self, ti: TaskInstance, release: Release) -> None:
        act = Act(time.time(), "clear")
        people.clear(self._cluster.api, ti)
        self.acts[release.name].append(act)

    def _is_settled(self, each: Json) -> bool:
        if time.monotonic() - self._waiting_since[_keeper(each)] < SETTLED:
            return False
        if self._names(each)[1].conn_id in self._changed:
            return False
        if each["state"] == "running":
            is_alive = each["id"] in self._cluster.task_processes() and each["id"] not in self._frozen
            return not self._away and is_alive
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


def _thaw(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.resume()


def _is_alive(job: Json | None) -> bool:
    if not job or not job["latest_heartbeat"]:
        return False
    beat = datetime.fromisoformat(job["latest_heartbeat"])
    return (datetime.now(UTC) - beat).total_seconds() < FRESH
