"""What happens to releases under way when people and machines end tasks in real Airflow processes.

All stories happen side by side, in the fixture ``stories``; each test asks what its system saw and how Airflow ended.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from demo.processes import adopt_orphans
from demo.sandbox_server import SandboxServer
from tests.chaos import people
from tests.chaos.cluster import TRIGGERER_THRESHOLD, Cluster
from tests.chaos.databases import missing
from tests.chaos.people import TaskInstance
from tests.chaos.vendors import SYSTEMS, Seen, Vendors
from tests.support import secrets
from tests.support.until import until

DAGS = Path(__file__).parents[1] / "chaos" / "dags"
SLOW = 0.1
"""Speed of the sandbox: no execution ends by itself during the stories."""
LIMIT, PAUSE = 240.0, 0.5

PEOPLE: dict[str, Callable[[Any, TaskInstance], None]] = {
    "marked failed": lambda api, ti: people.mark(api, ti, "failed"),
    "marked success": lambda api, ti: people.mark(api, ti, "success"),
    "cleared": people.clear,
    "run failed": people.fail_run,
}
MACHINES: dict[str, Callable[[psutil.Process], None]] = {
    "task killed": lambda process: process.kill(),
    "supervisor and task killed": lambda process: (process.parent().kill(), process.kill()),  # type: ignore[union-attr, func-returns-value]
    "task terminated": lambda process: process.send_signal(signal.SIGTERM),
    "supervisor terminated": lambda process: process.parent().send_signal(signal.SIGTERM),  # type: ignore[union-attr]
}
TAKEN_UP = 3.0
"""Seconds in which a triggerer runs a trigger that was given to it."""

# (what happens, whether the task is deferrable): each system sees some of each.
STORIES = (
    [(happens, deferrable) for happens in PEOPLE for deferrable in (False, True)]
    + [(happens, False) for happens in MACHINES]
    + [(f"triggerer trouble {number}", True) for number in range(len(SYSTEMS))]
)


@dataclass
class Story:
    """One release.

    :param before: executions when it was under way, before anything happened.
    :param after: in the end.
    :param state: of the task instance in the end.
    """

    name: str
    happens: str
    deferrable: bool
    system: str
    ti: TaskInstance | None = None
    before: list[Seen] = field(default_factory=list)
    after: list[Seen] = field(default_factory=list)
    state: str | None = None


class Teller:
    """Lets all stories happen."""

    def __init__(self, cluster: Cluster, vendors: Vendors, stories: list[Story]) -> None:
        self.cluster = cluster
        self.vendors = vendors
        self.stories = stories

    def tell(self) -> None:
        for story in self.stories:
            run_id = self.cluster.api.trigger(story.name)
            story.ti = TaskInstance(story.name, run_id, "release", 0)
        self._until(self._all_wait, "all releases wait")
        time.sleep(TAKEN_UP)
        seen = self.vendors.executions()
        for story in self.stories:
            story.before = seen[story.name]
        self._machines_act()
        self._people_act()
        self._until(self._all_are_canceled, "what people ended is canceled")
        self._triggerers_change()
        self._until(self._all_end, "all runs end")
        states = self._states()
        seen = self.vendors.executions()
        for story in self.stories:
            story.after = seen[story.name]
            story.state = states[story.name]

    def _machines_act(self) -> None:
        for story in self.stories:
            if act := MACHINES.get(story.happens):
                act(self.cluster.task_processes()[self._task_instance(story)["id"]])

    def _people_act(self) -> None:
        for story in self.stories:
            if act := PEOPLE.get(story.happens):
                assert story.ti
                act(self.cluster.api, story.ti)

    def _triggerers_change(self) -> None:
        """One stalls while another one takes over its waits; then that one dies, and both start anew."""
        self.cluster.restart("triggerer-2")
        self._until(lambda: self._alive_triggerers() == 2, "the second triggerer is up")
        self.cluster.signal("triggerer-1", signal.SIGSTOP)
        time.sleep(TRIGGERER_THRESHOLD + 4)
        self.cluster.signal("triggerer-1", signal.SIGCONT)
        time.sleep(4)
        self.cluster.kill("triggerer-2")
        self.cluster.signal("triggerer-1", signal.SIGTERM)
        time.sleep(1)
        self.cluster.kill("triggerer-1")
        self.cluster.restart("triggerer-1")

    def _all_wait(self) -> bool:
        """Each task is deferred, or runs and has pushed what it started."""
        states = self._states()
        if any(states[story.name] != ("deferred" if story.deferrable else "running") for story in self.stories):
            return False
        # What no triggerer holds yet hears of nobody's act.
        if not all(self._task_instance(story)["triggerer_job"] for story in self.stories if story.deferrable):
            return False
        return all(self.cluster.api.xcom(*story.ti[:3], "id", map_index=0) for story in self.stories if story.ti)

    def _all_end(self) -> bool:
        """Executions that were not canceled end well once their task certainly goes on with them."""
        for executions in self.vendors.executions().values():
            for each in executions:
                if each.ended is None and not each.cancels:
                    self.vendors.finish(each)
        return all(state in ("success", "failed") for state in self._states().values())

    def _all_are_canceled(self) -> bool:
        seen = self.vendors.executions()
        return all(seen[story.name][0].cancels for story in self.stories if story.happens in PEOPLE)

    def _alive_triggerers(self) -> int:
        jobs = self.cluster.api.call("GET", "jobs", params={"job_type": "TriggererJob", "is_alive": True})
        return int(jobs["total_entries"])

    def _task_instance(self, story: Story) -> dict[str, Any]:
        assert story.ti
        (found,) = self.cluster.api.task_instances(story.ti.dag_id, story.ti.run_id)
        return found

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            until(condition, seconds=LIMIT, pause=PAUSE)
        except AssertionError as error:
            raise AssertionError(f"not so after {LIMIT:.0f} s: {what}; {self._states()}") from error

    def _states(self) -> dict[str, str]:
        instances = self.cluster.api.task_instances("~", "~")
        return {each["dag_id"]: each["state"] for each in instances}


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], Story]:
    if absent := missing("postgresql", "redis-server"):
        pytest.skip(f"needs Debian's packages {' '.join(absent)}")
    adopt_orphans()
    home = tmp_path_factory.mktemp("kill")
    # PostgreSQL runs as a user of its own, who must be able to reach its directory.
    for path in (home, *list(home.parents)[:2]):
        path.chmod(0o755)
    plan_file = home / "plan.json"
    stories = [
        Story(f"story{number:02d}", happens, deferrable, SYSTEMS[number % len(SYSTEMS)])
        for number, (happens, deferrable) in enumerate(STORIES)
    ]
    with SandboxServer(home / "sandbox", speed=SLOW) as sandbox:
        sandbox.control.switch("cocktail", account_parallel_limit=1000)
        vendors = Vendors(sandbox)
        plan_file.write_text(json.dumps({story.name: [_task(story, vendors)] for story in stories}))
        cluster = Cluster(
            home / "airflow", dags=DAGS, variables={"CHAOS_PLAN": str(plan_file), "AIRFLOW__CORE__PARALLELISM": "12"}
        )
        with cluster:
            cluster.kill("triggerer-2")
            cluster.wait_until_ready(*(story.name for story in stories))
            for connection in sandbox.connections():
                cluster.api.save_connection(connection)
            Teller(cluster, vendors, stories).tell()
            assert secrets.found_in(secrets.kept_by_cluster(cluster)) == []
        vendors.close()
    return {(story.happens, story.deferrable): story for story in stories}


def _task(story: Story, vendors: Vendors) -> dict[str, Any]:
    arguments = vendors.prepare(story.system, story.name)
    return {"task_id": "release", "kind": story.system, "deferrable": story.deferrable, "arguments": [arguments]}


MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["running", "deferred"])


@MODES
@pytest.mark.parametrize("happens", PEOPLE)
def test_a_person_who_ends_a_task_cancels_its_execution_once(stories, happens, deferrable):
    story = stories[happens, deferrable]
    (before,) = story.before
    assert len(next(each for each in story.after if each.id == before.id).cancels) == 1


@MODES
@pytest.mark.parametrize(
    ("happens", "state"), [("marked failed", "failed"), ("marked success", "success"), ("run failed", "failed")]
)
def test_a_task_that_a_person_ended_stays_so_and_starts_nothing_more(stories, happens, state, deferrable):
    story = stories[happens, deferrable]
    assert story.state == state
    assert len(story.after) == 1


@MODES
def test_a_cleared_task_starts_again_and_succeeds(stories, deferrable):
    story = stories["cleared", deferrable]
    canceled, again = story.after
    assert canceled.ended
    assert again.started > canceled.started
    assert again.cancels == ()
    assert story.state == "success"


@pytest.mark.parametrize("happens", MACHINES)
def test_what_a_killed_or_drained_worker_had_started_is_adopted_by_the_next_attempt(stories, happens):
    story = stories[happens, False]
    (execution,) = story.after
    assert execution.cancels == ()
    assert story.state == "success"


@pytest.mark.parametrize("number", range(len(SYSTEMS)))
def test_a_wait_outlives_a_stalled_triggerer_and_a_killed_one_without_a_cancel(stories, number):
    story = stories[f"triggerer trouble {number}", True]
    (execution,) = story.after
    assert execution.cancels == ()
    assert story.state == "success"
