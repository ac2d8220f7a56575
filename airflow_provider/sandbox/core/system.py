"""The base of the four stand-ins: what the edge, the ticker and the control routes ask of each."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.requests import Request
from starlette.types import ASGIApp

if TYPE_CHECKING:
    from airflow_provider.sandbox.core.world import World

EXPIRED = "sandbox.expired"


class System(ABC):
    """One stand-in. Subclasses set ``name``, ``SWITCHES`` (name -> default), ``CHOICES`` (its values) and ``self.app``.

    Everything but ``app`` is called while ``world.lock`` is held.
    """

    name: ClassVar[str]
    SWITCHES: ClassVar[dict[str, Any]] = {}
    CHOICES: ClassVar[dict[str, tuple[Any, ...]]] = {}
    app: ASGIApp

    def __init__(self, world: World) -> None:
        self.world = world
        self.switches: dict[str, Any] = copy.deepcopy(self.SWITCHES)

    @abstractmethod
    def reset(self) -> None:
        """Empties the system and loads its seed. The world has put the switches back to their defaults before."""

    @abstractmethod
    def tick(self, now: float) -> None:
        """Advances what is due at ``now`` (epoch seconds)."""

    @abstractmethod
    def executions(self) -> list[dict[str, Any]]:
        """Every execution in the form of ``Track.as_dict``."""

    @abstractmethod
    def offers(self) -> list[str]:
        """What there is to be started or waited for, in lines for the person who starts the sandbox."""

    @abstractmethod
    def force_state(self, execution_id: str, state: str) -> None:
        """Puts an execution into a state of the system's own words; KeyError unknown id, ValueError unknown state."""

    @abstractmethod
    def expire_tokens(self) -> None:
        """From now on every token handed out so far is answered like an expired one; no-op for static tokens."""

    @abstractmethod
    def who(self, request: Request) -> str:
        """The login behind a request, "" when unknown; never a secret."""

    def image_pushed(self, repository: str, tag: str, digest: str, size: int) -> None:
        """An image arrived in the registry; ``repository`` is ``namespace/name``, ``size`` is in bytes."""

    def act(self, action: str, values: dict[str, Any]) -> Any:
        """An action of this system alone, asked for by ``POST /_sandbox/actions``; ValueError when unknown."""
        raise ValueError(f"{self.name} has no action {action!r}")

    def set_switches(self, values: dict[str, Any]) -> None:
        """Sets documented switches; ValueError names the one that is unknown or has a wrong value."""
        for name, value in values.items():
            self._check_switch(name, value)
        self.switches.update(values)

    def reset_switches(self) -> None:
        self.switches.clear()
        self.switches.update(copy.deepcopy(self.SWITCHES))

    def _check_switch(self, name: str, value: Any) -> None:
        if name not in self.SWITCHES:
            raise ValueError(f"{self.name} has no switch {name!r}; it has {', '.join(sorted(self.SWITCHES)) or 'none'}")
        if name in self.CHOICES and value not in self.CHOICES[name]:
            raise ValueError(f"switch {name!r} of {self.name} must be one of {list(self.CHOICES[name])}, not {value!r}")
        default = self.SWITCHES[name]
        numbers = (int, float)
        if isinstance(default, bool) or isinstance(value, bool):
            fits = isinstance(default, bool) and isinstance(value, bool)
        elif isinstance(default, numbers):
            fits = isinstance(value, numbers)
        else:
            fits = default is None or value is None or isinstance(value, type(default))
        if not fits and default is not None and name not in self.CHOICES:
            raise ValueError(f"switch {name!r} of {self.name} must be a {type(default).__name__}, not {value!r}")

    @staticmethod
    def is_expired(request: Request) -> bool:
        """Whether a fault says that this very request carries an expired token (for systems with static tokens)."""
        return bool(request.scope.get(EXPIRED))
