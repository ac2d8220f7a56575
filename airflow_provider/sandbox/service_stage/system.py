"""Huawei Cloud ServiceStage: assembles its parts, and implements what the sandbox needs from a system."""

from __future__ import annotations

from typing import Any

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.environment import Environment
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.core.switches import Switches
from airflow_provider.sandbox.core.system import System
from airflow_provider.sandbox.service_stage import seeding, switches
from airflow_provider.sandbox.service_stage.actions import actions_of
from airflow_provider.sandbox.service_stage.components import Components
from airflow_provider.sandbox.service_stage.credentials import Credentials
from airflow_provider.sandbox.service_stage.gate import Gate
from airflow_provider.sandbox.service_stage.iam import Iam
from airflow_provider.sandbox.service_stage.release_plans import ReleasePlans
from airflow_provider.sandbox.service_stage.release_tasks import ReleaseTasks
from airflow_provider.sandbox.service_stage.releases import Releases
from airflow_provider.sandbox.service_stage.running import Runner
from airflow_provider.sandbox.service_stage.state import State


class ServiceStageSystem(System):
    """Huawei Cloud ServiceStage release tasks; IAM answers below ``/iam`` and at the root."""

    name = "service_stage"

    def __init__(self, environment: Environment) -> None:
        self.switches = Switches(self.name, switches.DEFAULTS, switches.CHOICES)
        self._credentials = Credentials()
        self._state = State(environment.clock, self.switches)
        self._runner = Runner(self._state)
        self.actions = actions_of(self._state, self._credentials)
        gate = Gate(self._credentials)
        router = Router(environment, self.switches, gate.admit, complete=gate.complete, encoded=True)
        nouns = (
            Iam(self._credentials),
            ReleaseTasks(self._state),
            Releases(self._state, self._runner),
            ReleasePlans(self._state),
            Components(self._state),
        )
        for noun in nouns:
            noun.add_routes(router)
        self.app = router

    def reset(self) -> None:
        self._credentials.clear()
        self._state.clear()
        seeding.load(self._state)

    def tick(self, now: float) -> None:
        self._state.tick(now)

    def executions(self) -> list[dict[str, Any]]:
        return [
            each.track.as_dict() | {"pipeline": each.release_task.name, "pipeline_id": each.release_task.id}
            for each in self._state.releases.values()
        ]

    def contents(self) -> list[str]:
        return [f"release task {each.name}  id {each.id}" for each in self._state.release_tasks.values()]

    def force_state(self, execution_id: str, state: str) -> None:
        self._runner.force(self._state.releases[execution_id], state, self._state.now)

    def expire_tokens(self) -> None:
        self._credentials.expire_tokens()

    def who(self, call: Call) -> str:
        return self._credentials.who(call)
