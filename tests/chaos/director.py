"""Decides which harm is done, to what and when: seeded, one action at a time, and each kind of harm at least once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import requests

from tests.chaos import people
from tests.chaos.accounting import Act
from tests.chaos.cluster import TRIGGERER_THRESHOLD, TRIGGERERS, Cluster
from tests.chaos.connections import Connections
from tests.chaos.freezer import Freezer
from tests.chaos.people import TaskInstance
from tests.chaos.plan import Release
from tests.chaos.reviewers import Reviewers
from tests.chaos.task_logs import ASKS_FOR_CLEAR, CANCELED_FOR_GOOD, OTHER_PLACE, TaskLogs
from tests.chaos.vendors import Seen, Vendors

SETTLED = 4.0
"""Seconds for which a task has waited before a person touches it: Airflow must have somebody whom it can notify."""
HOLD = 6.0
"""Seconds without a kill after a person's action: Airflow reports it once, and not to who is killed just then."""

PATIENCE = 15.0
"""Seconds for which a person searches for such a task."""

BESIDE = 1.0
"""Seconds between what a person does and a kill, whichever comes first."""

FRESH = 4.0
"""Age in seconds of the heartbeat of a triggerer that is certainly running."""

LACKING_FIRST = 0.6
"""How often the next action is one that has not been done yet, until there are enough kills; from then on always."""
NOTHING_TO_DO = 0.5
"""Seconds until the next search for something that can be done."""

FREEZE, CHANGE = "a worker frozen until it was given up", "a connection changed, and its task failed and named both"

Json = dict[str, Any]


class Harm(NamedTuple):
    """A kind of harm.

    :param do: does it; returns the seconds until the next action, or ``None`` if it cannot be done now.
    """

    name: str
    weight: int
    do: Callable[[], float | None]


class Director:
    """:param releases: what is waited for, by dag id, task id and map index.
    :param connections: those that somebody changes meanwhile.
    :param kills: that are enough.
    :param seed: of all choices.
    :param log: where each action is written down.
    """

    def __init__(
        self,
        cluster: Cluster,
        vendors: Vendors,
        releases: list[Release],
        connections: Connections,
        logs: TaskLogs,
        *,
        kills: int,
        seed: int,
        log: Path,
    ) -> None:
        self._cluster = cluster
        self._vendors = vendors
        self._connections = connections
        self._logs = logs
        self._enough = kills
        self._log = log
        self._releases = {(each.dag_id, each.task_id, each.map_index): each for each in releases}
        self._random = random.Random(seed)
        self.reviewers = Reviewers(cluster.api, vendors.gates, releases, seed=seed, note=self._note)
        self._freezer = Freezer(cluster, longer=partial(self._random.uniform, 0, 6))
        self._waiting_since: dict[tuple[Any, ...], float] = {}
        self._away: dict[str, float] = {}
        self._stalled: dict[str, float] = {}
        self._answered: set[str] = set()
        self._done: set[str] = set()
        self.kills: Counter[str] = Counter()
        self.others: Counter[str] = Counter()
        self.acts: dict[str, list[Act]] = defaultdict(list)
        self._host = "worker" if "worker" in cluster.components else "scheduler"
        self._harms = [
            Harm("a task killed", 12, self._kill_a_task),
            Harm("a task drained", 3, self._drain_a_task),
            Harm("a triggerer killed", 3, self._kill_a_triggerer),
            Harm("a triggerer stalled", 2, self._stall_a_triggerer),
            Harm("the API server killed", 1, partial(self._kill, "api-server")),
            *(
                Harm(f"the {name} killed", 2, partial(self._kill, name))
                for name in dict.fromkeys(["scheduler", self._host])
            ),
            Harm(f"the {self._host} drained", 1, self._drain_the_host),
            Harm("a task marked failed", 2, partial(self._person, "failed")),
            Harm("a task marked success", 2, partial(self._person, "success")),
            Harm("a task cleared", 4, partial(self._person, "clear")),
            Harm("a clear beside a kill", 4, self._clear_beside_a_kill),
            Harm("an answer beside a kill of both triggerers", 2, partial(self._answer_beside_a_kill, *TRIGGERERS)),
            Harm("an answer beside a kill of the API server", 2, partial(self._answer_beside_a_kill, "api-server")),
            *(
                Harm(f"an answer beside a kill of the {name}", 2, partial(self._answer_beside_a_kill, name))
                for name in dict.fromkeys(["scheduler", self._host])
            ),
            Harm("an answer and a kill of the task that it resumes", 2, self._kill_a_task_that_was_answered),
            Harm(FREEZE, 6, self._freeze_a_task),
            Harm(CHANGE, 8, self._change_a_connection),
        ]

    def act(self) -> float:
        """Do one action; returns the seconds until the next."""
        harm = self._choose()
        self._bring_back()
        self.restart_ended()
        try:
            self.answer()
            self._waiting_now()
            pause = harm.do() if harm else None
        except requests.RequestException:
            return 1.0
        if harm is None or pause is None:
            return NOTHING_TO_DO
        # The effect of these two shows later.
        if harm.name not in (FREEZE, CHANGE):
            self._done.add(harm.name)
        return pause

    def _choose(self) -> Harm | None:
        """The next action; ``None`` while the effect of an earlier one is still awaited."""
        under_way = {FREEZE if self._freezer.ti_id else "", CHANGE if self._connections.away else ""}
        lacking = [each for each in self._harms if each.name not in self._done | under_way]
        is_enough = self.kills.total() >= self._enough
        # While nothing runs yet, only components can be hit: once is enough.
        is_idle = not self._waiting_since
        is_chosen_of_them = is_enough or is_idle or (lacking and self._random.random() < LACKING_FIRST)
        chosen = lacking if is_chosen_of_them else self._harms
        return self._random.choices(chosen, [each.weight for each in chosen])[0] if chosen else None

    @property
    def lacking(self) -> list[str]:
        """What has not happened yet."""
        names = [each.name for each in self._harms if each.name not in self._done]
        names += self.reviewers.lacking
        return [*names, *([f"{missing} more kills"] if (missing := self._enough - self.kills.total()) > 0 else [])]

    def answer(self) -> None:
        """Do what a person does about tasks that ask, and about those that have failed with words on what to do: put a
        connection back, or clear.

        :raises requests.RequestException: the API server is away.
        """
        self.reviewers.act()
        for conn_id in self._connections.check():
            self._note("connection put back", of=conn_id)
        if self._connections.named:
            self._done.add(CHANGE)
        for each in self._instances("failed", "up_for_retry"):
            ti, release = self._names(each)
            acts = self.acts[release.name]
            if each["id"] in self._answered or (acts and acts[-1].what != "clear"):
                continue
            said = self._logs.newest(release)
            if OTHER_PLACE in said:
                is_to_be_cleared = each["state"] == "failed" and release.conn_id not in self._connections.away
            else:
                # A clear whose cancel Airflow's own numbers do not distinguish from a colleague's.
                is_to_be_cleared = bool(ASKS_FOR_CLEAR.search(said)) or (bool(acts) and CANCELED_FOR_GOOD in said)
            if is_to_be_cleared:
                self._clear(ti, release)
                self._answered.add(each["id"])
                self._note("person: clear of what failed loudly", of=release.name)

    def _bring_back(self) -> None:
        """End stalls that are over; restart what was drained."""
        for name, until in list(self._stalled.items()):
            if time.monotonic() > until:
                del self._stalled[name]
                self._cluster.signal(name, signal.SIGCONT)
        for name, until in list(self._away.items()):
            if time.monotonic() > until or not self._cluster.components[name].is_running:
                del self._away[name]
                self._cluster.kill(name)
                self._cluster.restart(name)

    def restart_ended(self) -> None:
        """Restart what has ended without being asked to, as an operator's service manager does."""
        for name, component in self._cluster.components.items():
            if name not in self._away and not component.is_running:
                self._note(f"{name} ended by itself")
                self._cluster.kill(name)
                self._cluster.restart(name)

    def _waiting_now(self) -> list[Json]:
        """The tasks that run or wait.

        :raises requests.RequestException: the API server is away.
        """
        found = self._instances("running", "deferred")
        now = time.monotonic()
        self._waiting_since = {_keeper(each): self._waiting_since.get(_keeper(each), now) for each in found}
        if self._freezer.check({each["id"] for each in found if each["state"] == "running"}):
            self._done.add(FREEZE)
            self._note("worker frozen until it was given up")
        return found

    def _instances(self, *states: str) -> list[Json]:
        params = {"state": list(states), "limit": 100}
        return list(self._cluster.api.call("GET", "dags/~/dagRuns/~/taskInstances", params=params)["task_instances"])

    def _names(self, each: Json) -> tuple[TaskInstance, Release]:
        ti = TaskInstance(each["dag_id"], each["dag_run_id"], each["task_id"], each["map_index"])
        return ti, self._releases[ti.dag_id, ti.task_id, ti.map_index]

    def finish(self) -> None:
        """Resume or restart everything that is stalled, frozen or stopped."""
        for name in self._stalled:
            self._cluster.signal(name, signal.SIGCONT)
        self._stalled.clear()
        self._freezer.thaw()
        for name in list(self._away):
            self._cluster.kill(name)
            self._cluster.restart(name)
        self._away.clear()

    def _kill_a_task(self) -> float | None:
        process = self._some_task_process()
        if process is None:
            return None
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

    def _freeze_a_task(self) -> float | None:
        """Stop a task's process and its supervisor until Airflow has given them up and the task has gone on."""
        running = self._cluster.task_processes()
        settled = [each["id"] for each in self._waiting_now() if each["id"] in running and self._is_settled(each)]
        if self._freezer.ti_id or self._away or not settled:
            return None
        ti_id = self._random.choice(sorted(settled))
        try:
            self._freezer.freeze(ti_id, running[ti_id])
        except psutil.NoSuchProcess:
            return None
        self._note("worker frozen")
        return self._random.uniform(1, 3)

    def _clear_beside_a_kill(self) -> float | None:
        """A person clears a task that runs, and its worker dies within a second before or after."""
        running = self._cluster.task_processes()
        chosen = [each for each in self._waiting_now() if each["id"] in running and not self._is_taken(each)]
        if not chosen:
            return None
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
        self._note("clear beside a kill", of=f"{release.name} ({'before' if is_first else 'after'} it)")
        return self._random.uniform(1, 3)

    def _answer_beside_a_kill(self, *names: str) -> float | None:
        """A person answers within a second before or after components die."""
        asked = self.reviewers.asked()
        if not asked or any(
            each in self._stalled or each in self._away or self._holds_the_frozen(each) for each in names
        ):
            return None
        # Nobody can answer while the API server is dead.
        is_first = "api-server" in names or self._random.random() < 0.5
        name, ti = next(iter(asked.items()))
        if not is_first:
            self._kill_these(names)
            time.sleep(self._random.uniform(0, BESIDE))
        said = self.reviewers.answer(name, ti)
        if is_first:
            time.sleep(self._random.uniform(0, BESIDE))
            self._kill_these(names)
        for each in names:
            self._cluster.restart(each)
        if not said.is_taken:
            # Somebody has decided at the vendor meanwhile.
            return None
        self._note("answer beside a kill", of=f"{name} ({'before' if is_first else 'after'} it)")
        return self._random.uniform(2, 6)

    def _kill_these(self, names: tuple[str, ...]) -> None:
        for each in names:
            self._cluster.kill(each)
            self._note(each, killed=True)

    def _kill_a_task_that_was_answered(self) -> float | None:
        """A person answers, and the process dies that the answer resumes."""
        name, ti = next(iter(self.reviewers.asked().items()), ("", None))
        if ti is None:
            return None
        ti_id = people.id_of(self._cluster.api, ti)
        self.reviewers.answer(name, ti)
        deadline = time.monotonic() + PATIENCE
        while not (process := self._cluster.task_processes().get(ti_id)):
            if time.monotonic() > deadline:
                return None
            time.sleep(0.1)
        time.sleep(self._random.uniform(0, BESIDE))
        self._kill_process(process)
        self._note("answer and a kill of what it resumes", of=name)
        return self._random.uniform(1, 3)

    def _change_a_connection(self) -> float | None:
        """Somebody points a connection to another system, and whoever waits there must read it again."""
        chosen = [(each, build) for each in self._waiting_now() if (build := self._build_to_be_moved(each))]
        if not chosen or self._stalled:
            return None
        each, build = self._random.choice(chosen)
        _, release = self._names(each)
        # It must not end before somebody has searched for it in vain.
        self._vendors.begin_again(build)
        process = self._cluster.task_processes().get(each["id"])
        is_between_attempts = self._random.random() < 0.5
        if process and is_between_attempts:
            self._kill_process(process)
        self._connections.change(release.conn_id)
        self._note("connection changed", of=f"{release.name} ({each['state']})")
        if process and not is_between_attempts:
            self._kill_process(process)
        if release.is_deferrable:
            for name in TRIGGERERS:
                self._kill(name)
        return self._random.uniform(1, 3)

    def _build_to_be_moved(self, each: Json) -> Seen | None:
        """The build that is running for a task, if its connection can be changed now."""
        release = self._names(each)[1]
        if not release.conn_id or release.conn_id in self._connections.changed or self._is_taken(each):
            return None
        return next((build for build in self._vendors.builds(release.name) if build.ended is None), None)

    def _drain_a_task(self) -> float | None:
        process = self._some_task_process()
        if process is None:
            return None
        with suppress(psutil.NoSuchProcess):
            victim = self._random.choice([process, self._cluster.supervisor_of(process)])
            (victim or process).send_signal(signal.SIGTERM)
            self._note("task drained")
        return self._random.uniform(1, 3)

    def _kill_a_triggerer(self) -> float | None:
        return self._kill(self._random.choice(TRIGGERERS))

    def _kill(self, name: str) -> float | None:
        if name in self._stalled or name in self._away or self._holds_the_frozen(name):
            return None
        self._cluster.kill(name)
        self._note(name, killed=True)
        time.sleep(self._random.uniform(0, 3))
        self._cluster.restart(name)
        return self._random.uniform(2, 6)

    def _stall_a_triggerer(self) -> float | None:
        if self._stalled:
            return None
        name = self._random.choice(TRIGGERERS)
        self._cluster.signal(name, signal.SIGSTOP)
        self._stalled[name] = time.monotonic() + TRIGGERER_THRESHOLD + self._random.uniform(1, 6)
        self._note(f"{name} stalled")
        return self._random.uniform(2, 4)

    def _drain_the_host(self) -> float | None:
        """SIGTERM to the process that runs the tasks: Celery's worker, or the scheduler with its executor."""
        if self._host in self._away or self._holds_the_frozen(self._host):
            return None
        os.kill(self._cluster.components[self._host].pid, signal.SIGTERM)
        self._away[self._host] = time.monotonic() + 10
        self._note(f"{self._host} drained")
        return self._random.uniform(2, 4)

    def _person(self, what: str) -> float | None:
        """Somebody marks a task or clears it."""
        deadline = time.monotonic() + PATIENCE
        while not (settled := [each for each in self._waiting_now() if self._is_settled(each)]):
            if time.monotonic() > deadline:
                return None
            time.sleep(0.5)
            self._bring_back()
        chosen = self._random.choice(settled)
        ti, release = self._names(chosen)
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
        if time.monotonic() - self._waiting_since[_keeper(each)] < SETTLED or self._is_taken(each):
            return False
        if each["state"] == "running":
            return not self._away and each["id"] in self._cluster.task_processes()
        return not self._stalled and _is_alive(each["triggerer_job"])

    def _is_taken(self, each: Json) -> bool:
        """Whether more harm would hide the effect of the harm that is done to it now."""
        return each["id"] == self._freezer.ti_id or self._names(each)[1].conn_id in self._connections.away

    def _holds_the_frozen(self, name: str) -> bool:
        return name == self._host and self._freezer.ti_id is not None

    def _some_task_process(self) -> psutil.Process | None:
        running = self._cluster.task_processes()
        chosen = sorted(set(running) - {self._freezer.ti_id})
        return running[self._random.choice(chosen)] if chosen else None

    def _note(self, what: str, *, killed: bool = False, of: str = "") -> None:
        (self.kills if killed else self.others)[what] += 1
        with self._log.open("a") as log:
            print(f"{time.time():.1f} {'killed ' if killed else ''}{what} {of}".rstrip(), file=log)


def _keeper(each: Json) -> tuple[Any, ...]:
    """A task instance's attempt, and which process runs it."""
    return each["id"], each["state"], (each["triggerer_job"] or {}).get("id")


def _is_alive(job: Json | None) -> bool:
    if not job or not job["latest_heartbeat"]:
        return False
    beat = datetime.fromisoformat(job["latest_heartbeat"])
    return (datetime.now(UTC) - beat).total_seconds() < FRESH
