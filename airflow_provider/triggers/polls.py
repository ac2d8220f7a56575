"""Which waits share a poll, how a thread makes a batch of them, what an error means for the rest. No event loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider.exceptions import (
    AuthenticationError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
)
from airflow_provider.unforeseen import unforeseen

if TYPE_CHECKING:
    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.clients.waitable import Found, PendingObservation
    from airflow_provider.core.waiting import Wait

POLL = "A poll"

CHANGED_WEIGHT = 1000
"""How many waits a wait counts for whose execution is known to have changed, but not yet how."""

EARLY = 0.1
"""How much earlier than due a poll may go with a batch that has room for it, as a share of its interval."""


class Poll:
    """A request that is repeated, and the waits that it answers.

    :param name: the client's ``shared_request`` name for it; ``None`` for a request that answers one wait only.
    :param now: when it is first due.
    """

    def __init__(self, name: str | None, now: float) -> None:
        self.name = name
        self.waits: dict[Wait, None] = {}
        self.alone: dict[Wait, SinglePoll] = {}
        """Those of the waits that are being polled on their own."""
        self.fresh: dict[Wait, None] = {}
        """Those of the waits that have not been polled yet."""
        self.polled_at = self.due = now
        self.is_running = False
        self._is_new = True
        self._earliest: float | None = None
        self._is_earliest_known = True
        """Thousands of waits join one after another: none of them goes through all that are there already."""

    @property
    def weight(self) -> int:
        """How many waits it answers."""
        return len(self.waits)

    @property
    def deadline(self) -> float | None:
        """The earliest of its waits' deadlines, in epoch seconds, except for those that are polled on their own."""
        if not self._is_earliest_known:
            waits = (wait for wait in self.waits if wait not in self.alone)
            self._earliest = min((wait.deadline for wait in waits if wait.deadline is not None), default=None)
            self._is_earliest_known = True
        return self._earliest

    def add(self, wait: Wait) -> None:
        self.waits[wait] = None
        if wait.deadline is not None and (self._earliest is None or wait.deadline < self._earliest):
            self._earliest = wait.deadline

    def remove(self, wait: Wait) -> SinglePoll | None:
        """Returns the poll of this wait alone, if there is one."""
        self._is_earliest_known = False
        del self.waits[wait]
        self.fresh.pop(wait, None)
        return self.alone.pop(wait, None)

    def leave_out(self, wait: Wait, single: SinglePoll) -> None:
        """Do not poll this one until it is :meth:`back` from a poll on its own."""
        self._is_earliest_known = False
        self.alone[wait] = single

    def back(self, wait: Wait) -> None:
        self._is_earliest_known = False
        self.alone.pop(wait, None)

    @property
    def interval(self) -> float:
        """The shortest interval that any of its waits asks for."""
        return min((wait.interval_now for wait in self.waits), default=0.0)

    def next_at(self, now: float, deadline: float | None) -> float:
        """When it is due next. :param deadline: that of its waits, on the clock of ``now``."""
        if deadline is not None:
            self.due = min(self.due, deadline)
        return now if self.fresh else self.due

    def take(self, now: float, interval: float, jitter: float) -> list[Wait]:
        """The waits to poll now: new ones out of turn, while the others keep their rhythm.

        :param jitter: from 0 to 1, for when it is due next.
        """
        is_due = now >= self.due - EARLY * interval
        chosen = self.waits if is_due else self.fresh
        if is_due:
            # Spread polls that began together over the interval.
            least, most = (0.2, 1.0) if self._is_new else (0.9, 1.1)
            self.due = now + interval * (least + (most - least) * jitter)
            self._is_new = False
        self.polled_at, self.fresh = now, {}
        waits = [wait for wait in chosen if wait not in self.alone]
        self.is_running = bool(waits)
        return waits

    def request(self, waits: list[Wait]) -> Request:
        """The request for these waits, for a thread to make."""
        known = [wait.last or wait.ref for wait in waits]
        return lambda client: client.waits.fetch_shared(known) if len(known) > 1 else [*client.waits.fetch(known)]


class SinglePoll(Poll):
    """One poll of a single execution, about which the shared request says too little."""

    def __init__(self, wait: Wait, pending: PendingObservation, now: float) -> None:
        super().__init__(None, now)
        self.add(wait)
        self._pending = pending

    @property
    def weight(self) -> int:
        return CHANGED_WEIGHT

    def request(self, waits: list[Wait]) -> Request:
        return lambda _: [self._pending()]


class Polls:
    """The polls of a connection, and which of them answers each wait."""

    def __init__(self) -> None:
        self._of: dict[Wait, Poll] = {}
        self._named: dict[str, Poll] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def of(self, wait: Wait) -> Poll | None:
        return self._of.get(wait)

    def join(self, wait: Wait, name: str | None, due: float) -> Poll:
        """Let the poll of this name answer a wait, too.

        :param due: when it is first due, if it is new.
        """
        poll = self._named.get(name) if name else None
        if poll is None:
            poll = Poll(name, due)
            self._count += 1
            if name:
                self._named[name] = poll
        self._of[wait] = poll
        poll.add(wait)
        return poll

    def leave(self, wait: Wait) -> list[Poll]:
        """Forget a wait; returns the polls that are no longer needed."""
        poll = self._of.pop(wait, None)
        if poll is None:
            return []
        single = poll.remove(wait)
        unneeded: list[Poll] = [single] if single else []
        if not poll.waits:
            unneeded.append(poll)
            self._count -= 1
            if poll.name:
                del self._named[poll.name]
        return unneeded


Request = Callable[["ReleaseClient"], list["Found"]]
PollAnswer = list["Found"] | ReleasePipelineError


class Batch:
    """Polls that one thread makes one after another.

    :param started: when the thread started.
    :param polls: each with the waits that it polls this time.
    """

    def __init__(self, started: float, polls: list[tuple[Poll, list[Wait]]]) -> None:
        self.started, self.polls = started, polls
        self._requests = [poll.request(waits) for poll, waits in polls]
        self._left = deque(range(len(polls)))
        self._answers: deque[tuple[int, PollAnswer]] = deque()

    def make(self, client: ReleaseClient) -> None:
        """Make the remaining polls, but send nothing more after an error that concerns all. Runs in the thread."""
        error: ReleasePipelineError | None = None
        while (index := _next(self._left)) is not None:
            answer = error or _answer(client, self._requests[index], len(self.polls[index][1]))
            if isinstance(answer, ReleasePipelineError) and concerns_all(answer):
                error = answer
            self._answers.append((index, answer))

    def fail(self, error: ReleasePipelineError) -> None:
        """Let all remaining polls fail with this error."""
        while (index := _next(self._left)) is not None:
            self._answers.append((index, error))

    def withdraw(self) -> list[Poll]:
        """Take away the polls that the thread has not reached yet."""
        withdrawn = []
        while (index := _next(self._left)) is not None:
            withdrawn.append(self.polls[index][0])
        return withdrawn

    def answers(self) -> list[tuple[Poll, list[Wait], PollAnswer]]:
        """The answers that have arrived since the last call."""
        found = []
        while (each := _next(self._answers)) is not None:
            index, answer = each
            found.append((*self.polls[index], answer))
        return found


def _next(queue: deque[Any]) -> Any:
    # Two threads pop from it, so that only popping shows whether it is empty.
    try:
        return queue.popleft()
    except IndexError:
        return None


def _answer(client: ReleaseClient, request: Request, count: int) -> PollAnswer:
    """:param count: how many waits must be answered."""
    try:
        answer = request(client)
        if len(answer) != count:
            raise ValueError(f"{len(answer)} answers for {count} waits")
        return answer
    except ReleasePipelineError as error:
        return error
    except Exception as error:
        return unforeseen(error, POLL)


def concerns_all(error: ReleasePipelineError) -> bool:
    """Whether any other request would fail with it, too."""
    is_unreachable = isinstance(error, ServerUnavailableError) and error.status is None
    asks_to_wait = isinstance(error, ThrottledError) or error.retry_after is not None
    return is_unreachable or asks_to_wait or isinstance(error, AuthenticationError)
