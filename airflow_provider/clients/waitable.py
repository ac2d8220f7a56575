"""What can be waited for in a system: one kind of execution, the same for all clients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
)
from airflow_provider.execution import Execution, ExecutionRef

Observed = TypeVar("Observed")

Intent = Mapping[str, Any]
"""JSON that is saved before a start, by which the client recognizes its own execution later.

Always holds ``kind`` (as in the reference), ``marker`` (a text that no other start has) and ``since`` (epoch seconds
before the start by the system's own clock, or by the worker's if ``clock`` is ``worker``); the rest belongs to the
client. ``place``, as in a reference, names the system that it is for. ``held`` are the seconds from ``since`` until the
last request was sent, if the system accepted none for a while.
"""

Observation = Execution | ReleasePipelineError

PendingObservation = Callable[[], Observation]
"""Observes one execution with a request of its own when it is called; returns what ``fetch`` returns for it."""

Found = Observation | PendingObservation


def start_window(intent: Intent) -> tuple[float, float]:
    """Epoch seconds by the system's clock: an execution that began before the first or after the second is not ours.

    One that began long after the last request was about to be sent was started by somebody else: the worker died before
    it was.
    """
    since, held = float(intent["since"]), float(intent.get("held") or 0.0)
    tolerance = DURATIONS.same_clock if intent.get("clock") == "vendor" else DURATIONS.clock_tolerance
    return since - tolerance, since + held + DURATIONS.start_window + tolerance


class Waitable(ABC):
    """One kind of execution. The client selects it by the ``kind`` of a reference or an intent, and by nothing else."""

    kind: ClassVar[str]

    @abstractmethod
    def observe(self, ref: ExecutionRef) -> Execution:
        """Its current state.

        :raises NotFoundError: it does not exist, or was deleted.
        """

    @abstractmethod
    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        """Ask the system, once, to cancel exactly this one; send nothing if it has ended or is already ending."""

    @abstractmethod
    def find_started(self, intent: Intent) -> list[Execution]:
        """The executions that a start with this intent has started, oldest first."""

    def group(self, ref: ExecutionRef) -> str | None:
        """Names the request that observes this one together with others; ``None`` if it is observed alone."""
        return None

    def fetch(self, refs: Sequence[ExecutionRef], seen: Sequence[Execution | None]) -> list[Found]:
        """Observe many of one group in as few requests as the API allows.

        An execution that needs a request of its own gets a :data:`PendingObservation`.

        :param refs: at least one; all of them have the same :meth:`group`.
        :param seen: for each its last observation if it was not terminal, which is returned itself if nothing can have
            changed; ``None`` if there is none.
        """
        return observe_separately(refs, self.observe_or_error)

    def needs_cancel(self, execution: Execution) -> bool:
        """Whether it would continue, or could be made to continue, unless it is canceled."""
        return not execution.state.is_terminal

    def settling_of(self, execution: Execution) -> float:
        """Seconds for which its end must be observed before it counts, if it was seen unfinished; 0 if at once."""
        return 0.0

    def note_unfinished(self, ref: ExecutionRef) -> None:
        """Record that another process observed it unfinished, if the system may revoke its end."""

    def is_marked(self, intent: Intent) -> bool:
        """Whether executions of such a start carry its marker: then :meth:`find_started` is reliable at any time."""
        return False

    @property
    def has_log(self) -> bool:
        """Whether the API has a log of it."""
        return False

    def read_log(self, ref: ExecutionRef, offset: int) -> tuple[list[str], int]:
        """The lines of its log from ``offset`` on, and the offset of the next ones."""
        return [], offset

    def observe_or_error(self, ref: ExecutionRef) -> Observation:
        """As :meth:`observe`, within a poll of many."""
        return or_own_error(partial(self.observe, ref))


def or_own_error(observe: Callable[[], Observed]) -> Observed | ReleasePipelineError:
    """An observation, or its error if that concerns this execution only; any other error is raised."""
    try:
        return observe()
    except ReleasePipelineError as error:
        if not concerns_one_execution(error):
            raise
        return error


def observe_separately(refs: Sequence[ExecutionRef], observe: Callable[[ExecutionRef], Observation]) -> list[Found]:
    """A pending observation for each; one that several references name is observed once, and right away."""
    keys = [tuple(ref.items()) for ref in refs]
    counts = Counter(keys)
    shared = {key: observe(ref) for key, ref in dict(zip(keys, refs, strict=True)).items() if counts[key] > 1}
    return [shared.get(key) or partial(observe, ref) for key, ref in zip(keys, refs, strict=True)]


def differ(refs: Sequence[ExecutionRef]) -> bool:
    """Whether these are different references, so that a list request may be worth it."""
    return any(ref != refs[0] for ref in refs)


def concerns_one_execution(error: ReleasePipelineError) -> bool:
    """Whether an error of a read concerns that execution only, and not the whole connection."""
    return isinstance(error, (NotFoundError, BadRequestError, ConflictError, PermissionDeniedError))
