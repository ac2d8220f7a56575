"""Cocktail Cloud's build API: assembles its parts, and implements what the sandbox needs from a system."""

from __future__ import annotations

from typing import Any

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.cocktail import switches
from airflow_provider.sandbox.cocktail.actions import actions_of
from airflow_provider.sandbox.cocktail.builds import Builds
from airflow_provider.sandbox.cocktail.delivering import Delivering
from airflow_provider.sandbox.cocktail.gate import Gate, check_modes, prefix_of
from airflow_provider.sandbox.cocktail.logs import Logs
from airflow_provider.sandbox.cocktail.running import Runner
from airflow_provider.sandbox.cocktail.runs import Runs
from airflow_provider.sandbox.cocktail.state import State
from airflow_provider.sandbox.cocktail.tokens import Tokens
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.environment import Environment
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.core.switches import Switches
from airflow_provider.sandbox.core.system import System


class CocktailSystem(System):
    """Cocktail Cloud's builds, behind its gateway."""

    name = "cocktail"

    def __init__(self, environment: Environment) -> None:
        self.switches = Switches(self.name, switches.DEFAULTS, switches.CHOICES, self._check_switch)
        self._tokens = Tokens(self.switches, {seed.COCKTAIL_TOKEN: seed.COCKTAIL_TOKEN_NAME})
        self._state = State(environment.clock)
        self._delivering = Delivering(environment, self.switches)
        self._runner = Runner(
            self._state, environment.clock, self.switches, self._delivering.announce, environment.push
        )
        self.actions = actions_of(self._state, self._tokens)
        self._router = Router(
            environment, self.switches, Gate(self._tokens).admit, prefix=lambda: prefix_of(self.switches)
        )
        # Literal paths come first: /build/run/latest is not the number of a run.
        for noun in (
            Logs(self._state),
            Runs(self._state, self._runner, self._delivering),
            Builds(self._state, self._runner, self._delivering),
        ):
            noun.add_routes(self._router)
        self.app = self._router

    def reset(self) -> None:
        self._tokens.clear()
        self._state.clear()
        self._delivering.clear()

    def tick(self, now: float) -> None:
        self._runner.tick(now)
        self._delivering.tick(now)

    def executions(self) -> list[dict[str, Any]]:
        """Build runs only: a cancel or a removal is an action on one."""
        return [run.execution() for run in self._state.all_runs.values() if run.run_type == "BUILD"]

    def contents(self) -> list[str]:
        return [f"build {each.build_seq}  {each.build_name}  image {each.image_name}" for each in self._state.builds]

    def force_state(self, execution_id: str, state: str) -> None:
        if not execution_id.isdecimal():
            raise KeyError(execution_id)
        self._runner.force(self._state.all_runs[int(execution_id)], state)

    def who(self, call: Call) -> str:
        token = self._tokens.of(call)
        return token.name if token else ""

    def _check_switch(self, name: str, value: Any) -> None:
        if name == "routes":
            check_modes(value, self._router.rules)
