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

Seen = TypeVar("Seen")

Intent = Mapping[str, Any]
"""JSON written down before a start, by which the client recognises its own execution later.

Always holds ``kind`` (as in the reference), ``marker`` (a text that no other start has) and ``since`` (epoch seconds
before the start by the system's own clock, or by the worker's where ``clock`` is ``worker``); the rest belongs to the
client. ``place``, as in a reference, tells which system it is of.
"""

Observation = Execution | ReleasePipelineError

Look = Callable[[], Observation]
"""A look at one execution that is still to be made, with a request of its own; returns as ``fetch`` does for it."""

Found = Observation | Look


def start_window(intent: Intent) -> tuple[float, float]:
    """Epoch seconds by the system's clock: what began before the first or after the second is not of this start.

    What began long after an intent was started by somebody else: the worker died between intent and request.
    """
    since = float(intent["since"])
    tolerance = DURATIONS.same_clock if intent.get("clock") == "vendor" else DURATIONS.clock_tolerance
    return since - tolerance, since + DURATIONS.start_window + tolerance


class Waitable(ABC):
    """One kind of execution. The client finds it by the ``kind`` of a reference or an intent, and of these alone."""

    kind: ClassVar[str]

    @abstractmethod
    def observe(self, ref: ExecutionRef) -> Execution:
        """What it is doing now.

        :raises NotFoundError: it is not there, or no longer.
        """

    @abstractmethod
    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        """Ask the system, once, to end exactly this one; ask nothing where it is over or ending already."""

    @abstractmethod
    def find_started(self, intent: Intent) -> list[Execution]:
        """Those that a start with this intent led to, oldest first."""

    def group(self, ref: ExecutionRef) -> str | None:
        """Names the request whose answer tells of this one and of others too; ``None`` if it is observed alone."""
        return None

    def fetch(self, refs: Sequence[ExecutionRef], seen: Sequence[Execution | None]) -> list[Found]:
        """Observe many of one group in as few requests as the API allows.

        What needs a request of its own is a :data:`Look`.

        :param refs: at least one; all of them have the same :meth:`group`.
        :param seen: for each what its wait saw last and is not over, which is returned itself where nothing can have
            changed; ``None`` where it has seen nothing yet.
        """
        return looks_at(refs, self.observe_or_error)

    def needs_cancel(self, execution: Execution) -> bool:
        """Whether it would go on by itself, or could be made to go on, unless it is canceled."""
        return not execution.state.is_terminal

    def settling_of(self, execution: Execution) -> float:
        """Seconds for which its end must be seen, where it was seen going on, until it counts; 0 if at once."""
        return 0.0

    def is_marked(self, intent: Intent) -> bool:
        """Whether what such a start leads to bears its marker: then :meth:`find_started` is right however late."""
        return False

    @property
    def has_log(self) -> bool:
        """Whether the API tells a log of it."""
        return False

    def read_log(self, ref: ExecutionRef, offset: int) -> tuple[list[str], int]:
        """The lines of its log from ``offset`` on, and the offset to go on from."""
        return [], offset

    def observe_or_error(self, ref: ExecutionRef) -> Observation:
        """As :meth:`observe`, within a poll of many."""
        return or_own_error(partial(self.observe, ref))


def or_own_error(observe: Callable[[], Seen]) -> Seen | ReleasePipelineError:
    """What was observed of one execution: an error, too, if it says something about this execution only."""
    try:
        return observe()
    except ReleasePipelineError as error:
        if not concerns_one_execution(error):
            raise
        return error


def looks_at(refs: Sequence[ExecutionRef], observe: Callable[[ExecutionRef], Observation]) -> list[Found]:
    """A look at each; what several of them name is observed once, and at once."""
    keys = [tuple(ref.items()) for ref in refs]
    counts = Counter(keys)
    shared = {key: observe(ref) for key, ref in dict(zip(keys, refs, strict=True)).items() if counts[key] > 1}
    return [shared.get(key) or partial(observe, ref) for key, ref in zip(keys, refs, strict=True)]


def differ(refs: Sequence[ExecutionRef]) -> bool:
    """Whether a list could answer for several of these, and not for one and its equals only."""
    return any(ref != refs[0] for ref in refs)


def concerns_one_execution(error: ReleasePipelineError) -> bool:
    """Whether an error of a read says something about that execution only, and not about the whole connection."""
    return isinstance(error, (NotFoundError, BadRequestError, ConflictError, PermissionDeniedError))
