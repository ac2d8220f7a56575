"""The base of the four stand-ins: what the edge, the ticker and the control routes need from each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from starlette.types import ASGIApp

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.environment import Environment, Image
from airflow_provider.sandbox.core.switches import Switches


class System(ABC):
    """One stand-in. A subclass builds its parts from the environment, and passes each what it needs, never itself.

    Everything but ``app`` is called while the lock of the environment is held.

    :ivar actions: the actions of this system for ``POST /_sandbox/actions``, by name
    """

    name: ClassVar[str]
    app: ASGIApp
    switches: Switches
    actions: Mapping[str, Callable[..., Any]]

    @abstractmethod
    def __init__(self, environment: Environment) -> None: ...

    @abstractmethod
    def reset(self) -> None:
        """Empties the system and loads its seed data, after the world has reset the switches to their defaults."""

    @abstractmethod
    def tick(self, now: float) -> None:
        """Does what is due at ``now`` (epoch seconds)."""

    @abstractmethod
    def executions(self) -> list[dict[str, Any]]:
        """Every execution, as ``Track.as_dict`` returns it."""

    @abstractmethod
    def contents(self) -> list[str]:
        """What can be started or waited for, as lines for the banner."""

    @abstractmethod
    def force_state(self, execution_id: str, state: str) -> None:
        """Forces an execution into a state, in the system's own words.

        :raises KeyError: unknown id
        :raises ValueError: unknown state; the text says what it must be
        """

    @abstractmethod
    def who(self, call: Call) -> str:
        """The login behind a request, "" when unknown; never a secret."""

    def expire_tokens(self) -> None:
        """Expires every token issued so far; a no-op for static tokens."""

    def image_pushed(self, image: Image) -> None:
        """An image arrived in the registry."""

    def act(self, action: str, values: Mapping[str, Any]) -> Any:
        """:raises ValueError: names the action, or the value, that is wrong"""
        if action not in self.actions:
            raise ValueError(f"{self.name} has no action {action!r}; it has {', '.join(sorted(self.actions))}")
        try:
            return self.actions[action](**values)
        except TypeError as error:
            raise ValueError(f"action {action!r} of {self.name}: {error}") from None
