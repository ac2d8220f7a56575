"""Red Hat Quay: assembles its parts, and implements what the sandbox needs from a system."""

from __future__ import annotations

from typing import Any

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.environment import Environment, Image
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.core.switches import Switches
from airflow_provider.sandbox.core.system import System
from airflow_provider.sandbox.quay import seeding, switches
from airflow_provider.sandbox.quay.access import Directory
from airflow_provider.sandbox.quay.actions import Actions
from airflow_provider.sandbox.quay.building import Building
from airflow_provider.sandbox.quay.builds import Builds
from airflow_provider.sandbox.quay.emails import Emails
from airflow_provider.sandbox.quay.gate import Gate
from airflow_provider.sandbox.quay.labels import Labels
from airflow_provider.sandbox.quay.manifests import Manifests
from airflow_provider.sandbox.quay.notifications import Notifications
from airflow_provider.sandbox.quay.notifying import Notifying
from airflow_provider.sandbox.quay.repositories import Repositories
from airflow_provider.sandbox.quay.scans import Scans
from airflow_provider.sandbox.quay.state import State
from airflow_provider.sandbox.quay.tags import Tags
from airflow_provider.sandbox.quay.web import Web
from airflow_provider.sandbox.quay.worker import Worker


class QuaySystem(System):
    """Red Hat Quay's API, its builds, scans and webhooks."""

    name = "quay"

    def __init__(self, environment: Environment) -> None:
        self.switches = Switches(self.name, switches.DEFAULTS, switches.CHOICES)
        self._directory = Directory()
        self._state = State(environment.clock, self.switches)
        self._worker = Worker(environment, self.switches, self._state.notification)
        self._notifying = Notifying(self._state, self._worker)
        self._building = Building(environment.clock, self.switches, environment.push, self._notifying.raise_event)
        self.actions = Actions(self._state, self._directory, self._notifying, environment.push).by_name()
        gate = Gate(self._state, self._directory)
        router = Router(environment, self.switches, gate.admit, complete=gate.complete, also_allowed=("OPTIONS",))
        # Repositories come last: any other path is read as the name of a repository, as on a real server.
        for noun in (
            Web(self._directory),
            Notifications(self._state, self._directory, self._notifying),
            Emails(self._state),
            Builds(self._state, self._directory, self._building),
            Tags(self._state, self._directory),
            Manifests(self._state),
            Labels(self._state),
            Scans(self._state),
            Repositories(self._state, self._directory),
        ):
            noun.add_routes(router)
        self.app = router

    def reset(self) -> None:
        self._directory.clear()
        self._state.clear()
        self._building.clear()
        self._worker.clear()
        seeding.load(self._state)

    def tick(self, now: float) -> None:
        self._building.tick(now)
        self._worker.tick(now)

    def executions(self) -> list[dict[str, Any]]:
        return self._state.executions()

    def contents(self) -> list[str]:
        return [
            f"repository {each.path}  tags {', '.join(tag.name for tag in each.living_tags(self._state.now))}"
            for each in self._state.repositories.values()
        ]

    def force_state(self, execution_id: str, state: str) -> None:
        self._building.enter(self._state.builds[execution_id], state, self._state.now)

    def who(self, call: Call) -> str:
        caller = self._directory.caller(call)
        return caller.user if caller else ""

    def image_pushed(self, image: Image) -> None:
        self._notifying.image_pushed(image)
