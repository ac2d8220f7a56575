"""The world: the clock, journal, faults, outbox and the four systems, and how one system affects another."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from airflow_provider.sandbox.core.clock import Clock
from airflow_provider.sandbox.core.environment import Environment, Image
from airflow_provider.sandbox.core.faults import Faults
from airflow_provider.sandbox.core.journal import Journal
from airflow_provider.sandbox.core.outbox import Outbox
from airflow_provider.sandbox.core.system import System


class World:
    """Holds everything; ``lock`` is held while state is read or changed.

    :param kinds: the classes of the systems
    :param speed: how many times faster than their nominal pace executions run
    """

    def __init__(self, kinds: Iterable[type[System]], speed: float = 1.0) -> None:
        self.lock = threading.RLock()
        self.clock = Clock(speed)
        self.journal = Journal()
        self.faults = Faults()
        self.outbox = Outbox(self.clock)
        self._initial_speed = speed
        environment = Environment(self.clock, self.lock, self.outbox, self.push)
        self.systems: dict[str, System] = {kind.name: kind(environment) for kind in kinds}
        self.reset()

    def reset(self, speed: float | None = None) -> None:
        """Empties everything and loads the seed data; ``speed`` defaults to the one given at the start."""
        with self.lock:
            self.clock.reset(speed or self._initial_speed)
            self.journal.clear()
            self.faults.clear()
            self.outbox.reset()
            for system in self.systems.values():
                system.switches.reset()
                system.reset()

    def tick(self) -> None:
        """Advances every system to now."""
        with self.lock:
            now = self.clock.now()
            for system in self.systems.values():
                system.tick(now)

    def push(self, image: Image) -> None:
        """An image arrived in the registry: Quay stores it, Code Stream gets a Docker registry webhook for it."""
        with self.lock:
            for system in self.systems.values():
                system.image_pushed(image)
