"""A client that waits for all its kinds of executions itself; goes when the last one is made of nouns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.memory import has_changed
from airflow_provider.clients.waitable import Found, Intent, Observation, concerns_one_execution
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef


class OnePieceClient(ReleaseClient):
    """See :class:`~airflow_provider.clients.base.ReleaseClient`."""

    def shared_request(self, ref: ExecutionRef) -> str | None:
        return None

    def needs_cancel(self, execution: Execution) -> bool:
        return not execution.state.is_terminal

    def is_marked(self, intent: Intent) -> bool:
        return False

    def has_log(self, ref: ExecutionRef) -> bool:
        return False

    @abstractmethod
    def _observe(self, ref: ExecutionRef) -> Execution:
        """What :meth:`look` returns."""

    @abstractmethod
    def _cancel(self, ref: ExecutionRef, reason: str) -> None:
        """What :meth:`cancel` does."""

    @abstractmethod
    def _find_started(self, intent: Intent) -> list[Execution]:
        """What :meth:`find_started` returns."""

    def _read_log(self, ref: ExecutionRef, offset: int) -> tuple[list[str], int]:
        return [], offset

    def _fetch(self, refs: Sequence[ExecutionRef]) -> list[Found]:
        def look(ref: ExecutionRef, told: Execution | None) -> Observation | None:
            return self._news(told, self._look_or_error(ref))

        return [partial(look, ref, told) for ref, told in zip(refs, self._receipts.values_of(refs), strict=True)]

    def _news(self, told: Execution | None, seen: Observation) -> Observation | None:
        """What a wait that was told ``told`` is to be told now, where the client remembers nothing else of it."""
        if isinstance(seen, ReleasePipelineError):
            return seen
        if told and not seen.state.is_terminal and not has_changed(told, seen):
            return None
        return self._receipts.hand_out(seen, seen)

    def _look_or_error(self, ref: ExecutionRef, look: Callable[[ExecutionRef], Execution] | None = None) -> Observation:
        """:param look: instead of :meth:`look`."""
        try:
            return (look or self.look)(ref)
        except ReleasePipelineError as error:
            if not concerns_one_execution(error):
                raise
            return error
