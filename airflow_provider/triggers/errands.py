"""Which waits share a request, how they are made in a thread, what an error means for the rest. No loop here."""

from __future__ import annotations

import random
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
    from airflow_provider.clients.waitable import Found, Look
    from airflow_provider.core.waiting import Wait

LOOK = "A look"

MOVED = 1000
"""As how many waits one counts whose execution is known to have moved, but not yet how."""


class Errand:
    """A request that is made again and again, and the waits that it answers for.

    :param name: as the client's ``shared_request`` has it; ``None`` for a request that answers for one wait only.
    :param now: when it is made first.
    """

    def __init__(self, name: str | None, now: float) -> None:
        self.name = name
        self.waits: dict[Wait, None] = {}
        self.apart: dict[Wait, MovedErrand] = {}
        """Those of the waits that are being looked at by themselves."""
        self.fresh: dict[Wait, None] = {}
        """Those of the waits that no request was made for yet."""
        self.asked = self.due = now
        self.is_running = False
        self._is_new = True
        self._soonest: float | None = None
        self._is_soonest_known = True
        """Thousands of waits join one after the other: none of them goes through all that are there already."""

    @property
    def weight(self) -> int:
        """For how many waits it answers."""
        return len(self.waits)

    @property
    def deadline(self) -> float | None:
        """The soonest of its waits' deadlines, in epoch seconds, but for those that are looked at by themselves."""
        if not self._is_soonest_known:
            waits = (wait for wait in self.waits if wait not in self.apart)
            self._soonest = min((wait.deadline for wait in waits if wait.deadline is not None), default=None)
            self._is_soonest_known = True
        return self._soonest

    def add(self, wait: Wait) -> None:
        self.waits[wait] = None
        if wait.deadline is not None and (self._soonest is None or wait.deadline < self._soonest):
            self._soonest = wait.deadline

    def remove(self, wait: Wait) -> MovedErrand | None:
        """Returns the look at this one by itself, if there is one."""
        self._is_soonest_known = False
        del self.waits[wait]
        self.fresh.pop(wait, None)
        return self.apart.pop(wait, None)

    def set_apart(self, wait: Wait, moved: MovedErrand) -> None:
        """Do not make it for this one until it is :meth:`back` from a look by itself."""
        self._is_soonest_known = False
        self.apart[wait] = moved

    def back(self, wait: Wait) -> None:
        self._is_soonest_known = False
        self.apart.pop(wait, None)

    @property
    def interval(self) -> float:
        """The shortest that one of its waits asks for."""
        return min((wait.interval_now for wait in self.waits), default=0.0)

    def next_at(self, now: float, deadline: float | None) -> float:
        """When it is to be made. :param deadline: that of its waits, on the clock of ``now``."""
        if deadline is not None:
            self.due = min(self.due, deadline)
        return now if self.fresh else self.due

    def take(self, now: float, interval: float) -> list[Wait]:
        """For whom it is made now: newcomers are looked at out of turn, and the others keep their rhythm."""
        is_whole = now >= self.due
        chosen = self.waits if is_whole else self.fresh
        if is_whole:
            # Requests that began together are spread over the interval.
            least, most = (0.2, 1.0) if self._is_new else (0.9, 1.1)
            self.due = now + interval * random.uniform(least, most)  # noqa: S311 - spreads looks, protects nothing
            self._is_new = False
        self.asked, self.fresh = now, {}
        waits = [wait for wait in chosen if wait not in self.apart]
        self.is_running = bool(waits)
        return waits

    def request(self, waits: list[Wait]) -> Request:
        """The request for these waits, to be made in a thread."""
        known = [wait.last or wait.ref for wait in waits]
        return lambda client: client.fetch_apart(known) if len(known) > 1 else [*client.fetch(known)]


class MovedErrand(Errand):
    """One look at an execution of which the request for many tells too little."""

    def __init__(self, wait: Wait, look: Look, now: float) -> None:
        super().__init__(None, now)
        self.add(wait)
        self._look = look

    @property
    def weight(self) -> int:
        return MOVED

    def request(self, waits: list[Wait]) -> Request:
        return lambda _: [self._look()]


class Errands:
    """All waits of a connection, by the request that answers for each."""

    def __init__(self) -> None:
        self._of: dict[Wait, Errand] = {}
        self._named: dict[str, Errand] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def of(self, wait: Wait) -> Errand | None:
        return self._of.get(wait)

    def join(self, wait: Wait, name: str | None, due: float) -> Errand:
        """Let this request answer for a wait, too.

        :param due: when it is made first, if it is a new one.
        """
        errand = self._named.get(name) if name else None
        if errand is None:
            errand = Errand(name, due)
            self._count += 1
            if name:
                self._named[name] = errand
        self._of[wait] = errand
        errand.add(wait)
        return errand

    def leave(self, wait: Wait) -> list[Errand]:
        """Forget a wait; returns the errands that are not needed any more."""
        errand = self._of.pop(wait, None)
        if errand is None:
            return []
        moved = errand.remove(wait)
        gone: list[Errand] = [moved] if moved else []
        if not errand.waits:
            gone.append(errand)
            self._count -= 1
            if errand.name:
                del self._named[errand.name]
        return gone


Request = Callable[["ReleaseClient"], list["Found"]]
Answer = list["Found"] | ReleasePipelineError


class Batch:
    """Requests that one thread makes one after the other.

    :param started: when.
    :param asked: each with the waits that it is made for.
    """

    def __init__(self, started: float, asked: list[tuple[Errand, list[Wait]]]) -> None:
        self.started, self.asked = started, asked
        self._requests = [errand.request(waits) for errand, waits in asked]
        self._left = deque(range(len(asked)))
        self._answers: deque[tuple[int, Answer]] = deque()

    def make(self, client: ReleaseClient) -> None:
        """Make those that are left; after an error that concerns all, nothing more is asked. Runs in the thread."""
        error: ReleasePipelineError | None = None
        while (place := _next(self._left)) is not None:
            answer = error or _answer(client, self._requests[place], len(self.asked[place][1]))
            if isinstance(answer, ReleasePipelineError) and concerns_all(answer):
                error = answer
            self._answers.append((place, answer))

    def fail(self, error: ReleasePipelineError) -> None:
        """None of those that are left can be made."""
        while (place := _next(self._left)) is not None:
            self._answers.append((place, error))

    def give_back(self) -> list[Errand]:
        """Those that the thread has not come to yet, and will not any more."""
        given_back = []
        while (place := _next(self._left)) is not None:
            given_back.append(self.asked[place][0])
        return given_back

    def answers(self) -> list[tuple[Errand, list[Wait], Answer]]:
        """What has been answered since this was last asked."""
        found = []
        while (each := _next(self._answers)) is not None:
            place, answer = each
            found.append((*self.asked[place], answer))
        return found


def _next(queue: deque[Any]) -> Any:
    # Two threads take from it: whether it is empty shows only when one takes.
    try:
        return queue.popleft()
    except IndexError:
        return None


def _answer(client: ReleaseClient, request: Request, count: int) -> Answer:
    """:param count: of the waits that must be answered."""
    try:
        answer = request(client)
        if len(answer) != count:
            raise ValueError(f"{len(answer)} answers for {count} waits")
        return answer
    except ReleasePipelineError as error:
        return error
    except Exception as error:
        return unforeseen(error, LOOK)


def concerns_all(error: ReleasePipelineError) -> bool:
    """Whether any other request would end with it, too."""
    is_out_of_reach = isinstance(error, ServerUnavailableError) and error.status is None
    asks_to_wait = isinstance(error, ThrottledError) or error.retry_after is not None
    return is_out_of_reach or asks_to_wait or isinstance(error, AuthenticationError)
