"""VMware Code Stream: assembles its parts, and implements what the sandbox needs from a system."""

from __future__ import annotations

from typing import Any, Protocol

from airflow_provider.sandbox.code_stream import seeding, switches
from airflow_provider.sandbox.code_stream.about import About
from airflow_provider.sandbox.code_stream.actions import Actions
from airflow_provider.sandbox.code_stream.approvals import Approvals
from airflow_provider.sandbox.code_stream.approving import Approving
from airflow_provider.sandbox.code_stream.custom_integrations import CustomIntegrations
from airflow_provider.sandbox.code_stream.endpoints import Endpoints
from airflow_provider.sandbox.code_stream.events import Events
from airflow_provider.sandbox.code_stream.exchange import Exchange
from airflow_provider.sandbox.code_stream.execution_documents import ExecutionDocuments
from airflow_provider.sandbox.code_stream.executions import Executions
from airflow_provider.sandbox.code_stream.gate import PREFIXES, Gate
from airflow_provider.sandbox.code_stream.gerrit import Gerrit
from airflow_provider.sandbox.code_stream.history import History
from airflow_provider.sandbox.code_stream.login import Login
from airflow_provider.sandbox.code_stream.notices import Notices
from airflow_provider.sandbox.code_stream.pipelines import Pipelines
from airflow_provider.sandbox.code_stream.resources import resources_of
from airflow_provider.sandbox.code_stream.running import Runner
from airflow_provider.sandbox.code_stream.state import State
from airflow_provider.sandbox.code_stream.steering import Steering
from airflow_provider.sandbox.code_stream.tokens import Tokens
from airflow_provider.sandbox.code_stream.triggering import Triggering
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.environment import Environment, Image
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.core.switches import Switches
from airflow_provider.sandbox.core.system import System


class _Noun(Protocol):
    def add_routes(self, router: Router, api: str) -> None: ...


class CodeStreamSystem(System):
    """VMware Code Stream / Aria Automation Pipelines, on-prem and SaaS login."""

    name = "code_stream"

    def __init__(self, environment: Environment) -> None:
        self.switches = Switches(self.name, switches.DEFAULTS, switches.CHOICES)
        self._tokens = Tokens(environment.clock)
        self._state = State(environment.clock, self.switches)
        approving = Approving(self._state)
        runner = Runner(self._state, approving, Notices(environment.outbox))
        self._steering = Steering(self._state, approving, runner)
        self._triggering = Triggering(self._state, runner, self._tokens)
        self._history = History(self._state, runner)
        self.actions = Actions(self._state, self._tokens, self._triggering, self._history).by_name()
        documents = ExecutionDocuments(self._state, self._history)
        nouns: tuple[_Noun, ...] = (
            About(self._state),
            Gerrit(self._state, self._triggering),
            Executions(self._state, runner, self._steering, documents),
            Approvals(self._state, approving),
            Events(self._state, self._triggering, self._steering),
            Exchange(self._state),
            Endpoints(),
            CustomIntegrations(self._state),
            Pipelines(self._state, runner, documents),
            *resources_of(self._state),
        )
        router = Router(environment, self.switches, Gate(self._tokens).admit, encoded=True)
        Login(self._tokens).add_routes(router)
        for noun in nouns:
            for api in PREFIXES:
                noun.add_routes(router, api)
        self.app = router

    def reset(self) -> None:
        self._tokens.clear()
        self._state.clear()
        seeding.load(self._state, self._history, self._triggering)

    def tick(self, now: float) -> None:
        self._state.tick(now)

    def executions(self) -> list[dict[str, Any]]:
        return [
            execution.track.as_dict() | {"pipeline": execution.name, "project": execution.project}
            for execution in self._state.executions.values()
        ]

    def contents(self) -> list[str]:
        pipelines = [f"pipeline {each.name}  project {each.project}" for each in self._state.pipelines.objects.values()]
        events = [
            f"{each.kind} event {each.id}  {each.name}: "
            + (f"led to an execution that is {each.execution.track.state}" if each.execution else "led to nothing")
            for each in self._state.events.values()
        ]
        return [*pipelines, *events]

    def force_state(self, execution_id: str, state: str) -> None:
        self._steering.force(self._state.executions[execution_id], state.upper(), self._state.now)

    def expire_tokens(self) -> None:
        self._tokens.expire_bearers()

    def who(self, call: Call) -> str:
        return self._tokens.user_of(call)

    def image_pushed(self, image: Image) -> None:
        self._triggering.image_pushed(image)
