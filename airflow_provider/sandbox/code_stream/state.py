"""The state of Code Stream: documents, executions, approvals, events, and scripts for tasks. No routes."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import Any

from airflow_provider.sandbox.code_stream.formats import new_id
from airflow_provider.sandbox.code_stream.models import Approval, Event, Execution, Stored, Task
from airflow_provider.sandbox.core.clock import Clock
from airflow_provider.sandbox.core.scripts import Scripts
from airflow_provider.sandbox.core.switches import Switches
from airflow_provider.sandbox.core.timeline import Timeline

PIPELINE: dict[str, Any] = {
    "enabled": False,
    "state": "DRAFT",
    "global": False,
    "concurrency": 10,
    "icon": "",
    "input": {},
    "_inputMeta": {},
    "output": {},
    "starred": {},
    "stageOrder": [],
    "stages": {},
    "notifications": {"email": [], "jira": [], "webhook": []},
    "options": [],
    "rollbacks": [],
    "workspace": {},
    "tags": [],
    "_warnings": [],
}


class Collection:
    """The stored documents of one kind.

    :param defaults: fields of every document that does not set them itself
    """

    def __init__(self, clock: Clock, defaults: dict[str, Any] | None = None) -> None:
        self._clock = clock
        self.defaults = defaults or {}
        self.objects: dict[str, Stored] = {}

    def create(self, name: str, project: str, fields: dict[str, Any], user: str) -> Stored:
        stored = Stored(new_id(), name, project, self.defaults | fields, self._clock.now(), user)
        self.objects[stored.id] = stored
        return stored

    def named(self, name: str, project: str) -> Stored | None:
        return next((each for each in self.objects.values() if (each.name, each.project) == (name, project)), None)


class State:
    """:ivar indexes: the newest execution index of each pipeline
    :ivar running: how many executions of a pipeline count against its concurrency
    :ivar queues: executions waiting for a slot, by pipeline
    :ivar integration_versions: by the id of the custom integration, and by name
    :ivar scripts: by project, pipeline and ``stage.task``: ``seconds``, ``fails``, ``output``, ``times``
    """

    def __init__(self, clock: Clock, switches: Switches) -> None:
        self.clock = clock
        self.switches = switches
        self._timeline = Timeline()
        self.pipelines = Collection(clock, PIPELINE)
        self.git_webhooks = Collection(clock)
        self.registry_webhooks = Collection(clock, {"enabled": True, "input": {}})
        self.gerrit_listeners = Collection(clock)
        self.gerrit_triggers = Collection(clock, {"enabled": True})
        self.variables = Collection(clock)
        self.endpoints = Collection(clock, {"isRestricted": False})
        self.custom_integrations = Collection(clock, {"status": "NONE", "yaml": ""})
        self.integration_versions: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.clear()

    def clear(self) -> None:
        self._timeline.clear()
        for each in vars(self).values():
            if isinstance(each, Collection):
                each.objects.clear()
        self.executions: dict[str, Execution] = {}
        self.approvals: dict[str, Approval] = {}
        self.events: dict[str, Event] = {}
        self.indexes: dict[str, int] = {}
        self.running: Counter[str] = Counter()
        self.queues: defaultdict[str, deque[Execution]] = defaultdict(deque)
        self.scripts = Scripts()
        self.integration_versions.clear()

    @property
    def now(self) -> float:
        return self.clock.now()

    def tick(self, now: float) -> None:
        self._timeline.run(now)

    def at(self, due: float, action: Callable[[float], None]) -> None:
        """``action`` is due at ``due`` (epoch seconds)."""
        self._timeline.at(due, action)

    def after(self, at: float, seconds: float, action: Callable[[float], None]) -> None:
        """``action`` is due ``seconds`` of nominal time after ``at``."""
        self._timeline.at(at + self.clock.pace(seconds), action)

    def next_index(self, pipeline: Stored) -> int:
        first: int = self.switches["first_index"]
        index = self.indexes.get(pipeline.id, first - 1) + 1
        self.indexes[pipeline.id] = index
        return index

    def script(self, execution: Execution, task: Task) -> dict[str, Any]:
        """How a test has scripted a task: ``seconds``, ``fails`` (the message), ``output``."""
        script = self.scripts.take(execution.project, execution.name, task.key)
        return {} if execution.rollback else script
