"""The base of all four clients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Self

from airflow_provider.clients.placing import Placing
from airflow_provider.clients.transport import Transport
from airflow_provider.clients.urls import place_of
from airflow_provider.clients.waits import Waits
from airflow_provider.execution import Execution, ExecutionRef


class ReleaseClient(ABC):
    """A client of one system: built from plain values, no I/O in its constructor, safe to use from several threads."""

    system: ClassVar[str]
    waits: Waits

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.who = ""
        """The user as which it acts, for people: ``as user release-bot``. Never a secret."""
        self._placing = Placing(self.system, transport, lambda: self.place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        self.transport.close()

    @abstractmethod
    def check(self) -> str:
        """Make a harmless call that needs the credentials; returns one line about the system that answered.

        :raises ReleasePipelineError: by cause.
        """

    @property
    def place(self) -> str:
        """Identifies the system, for people and for comparison: its base URL, and the project if it has several.

        Never contains credentials.

        :raises ReleasePipelineError: the project had to be requested, and that failed.
        """
        return place_of(self.transport.base_url)

    def observe(self, ref: ExecutionRef) -> Execution:
        """The current state of an execution.

        :raises NotFoundError: it does not exist, or was deleted.
        :raises ConflictError: ``ref`` is of another system than this client's connection.
        """
        return self.waits.observe(ref)

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        """Ask the system, once, to cancel exactly this execution; sends nothing if it has ended or is already ending.

        :raises ConflictError: ``ref`` is of another system than this client's connection.
        """
        self.waits.cancel(ref, reason)
