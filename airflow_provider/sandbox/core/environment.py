"""What every stand-in needs from the sandbox: the clock, the lock, the outbox, and a way to push images."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from airflow_provider.sandbox.core.clock import Clock
from airflow_provider.sandbox.core.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Image:
    """An image that was pushed.

    :param repository: ``namespace/name``
    :param size: in bytes
    """

    repository: str
    tag: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Environment:
    """:param lock: is held while state is read or changed
    :param push: announces an image in the registry to all systems
    """

    clock: Clock
    lock: AbstractContextManager[Any]
    outbox: Outbox
    push: Callable[[Image], None]
