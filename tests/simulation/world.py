"""Virtual time: an event queue, machines whose clocks differ, and processes that can be killed, frozen and held.

Knows neither Airflow nor vendors. Everything random comes from one seed, so that a life can be lived again.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from tests.simulation.plan import Incident, Plan

Result = TypeVar("Result")

Steps = Generator[float, None, Result]
"""A process, or a part of one: yields the seconds for which it does something or waits."""

HORIZON = 3 * 86400.0
"""Seconds after which a life that is not over waits forever."""
EVENING = 6 * 3600.0
"""Seconds after which a colleague ends whatever is paused."""
MOST_EVENTS = 40_000


class Machine:
    """A worker's, a triggerer's or a vendor's machine.

    :param skew: seconds by which its clock is ahead of true time.
    """

    def __init__(self, world: World, name: str, skew: float = 0.0) -> None:
        self.world = world
        self.name = name
        self.skew = skew
        self.is_dead = False
        self.is_frozen = False
        self.processes: list[Process] = []
        self._frozen_since = 0.0
        self._freezes: list[tuple[float, float]] = []

    @property
    def now(self) -> float:
        """Epoch seconds by its own clock."""
        return self.world.now + self.skew

    def freeze(self, seconds: float) -> None:
        if self.is_frozen or self.is_dead:
            return
        self.is_frozen, self._frozen_since = True, self.world.now
        self.world.after(seconds, self._thaw)

    def _thaw(self) -> None:
        if not self.is_frozen:
            return
        self.is_frozen = False
        self._freezes.append((self.world.now, self.world.now - self._frozen_since))
        self.world.note(self.name, "thaws")
        self.processes = [each for each in self.processes if not each.is_over]
        for process in self.processes:
            process.proceed()

    def frozen_for(self, within: float) -> float:
        """Seconds of the longest freeze that ended within the last so many seconds."""
        return max((seconds for end, seconds in self._freezes if end >= self.world.now - within), default=0.0)

    def die(self) -> None:
        self.is_dead, self.is_frozen = True, False
        for process in self.processes:
            process.kill()


class Process:
    """Something that runs on a machine, step by step."""

    __slots__ = ("_is_due", "_steps", "is_held", "is_over", "machine", "then")

    def __init__(self, machine: Machine, steps: Steps[Any], then: Callable[[], None] | None = None) -> None:
        self.machine = machine
        self.then = then
        self.is_over = False
        self.is_held = False
        self._is_due = False
        self._steps = steps
        machine.processes.append(self)
        machine.world.after(0.0, self._step)

    def kill(self) -> None:
        """As ``kill -9``; what it has sent is on its way all the same."""
        self.is_over = True

    def proceed(self) -> None:
        """Called when it is no longer held."""
        if self._is_due and not self.is_held:
            self._is_due = False
            self.machine.world.after(0.0, self._step)

    def _step(self) -> None:
        if self.is_over:
            return
        if self.is_held or self.machine.is_frozen:
            self._is_due = True
            return
        try:
            seconds = next(self._steps)
        except StopIteration:
            self.is_over = True
            if self.then:
                self.then()
            return
        self.machine.world.after(seconds, self._step)


class World:
    """One life: its time, its chance, its story and what is counted of it."""

    def __init__(self, plan: Plan, *, keeps_story: bool = False) -> None:
        self.plan = plan
        self.now = 1_700_000_000.0
        self.begun = self.now
        self.random = random.Random(plan.seed ^ 0x5EED)
        self.keeps_story = keeps_story
        self.story: list[tuple[float, str, str]] = []
        self.moves: Counter[Any] = Counter()
        self.relations: Counter[Any] = Counter()
        self.counted: Counter[str] = Counter()
        self.violations: list[str] = []
        self.perform: Callable[[Incident, Any], None] = lambda incident, subject: None
        self.at_evening: Callable[[], None] | None = None
        self.judge: Any = None
        """Compares what is done with the truth; see ``invariants.py``."""
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()
        self._reached: Counter[str] = Counter()
        self._incidents: dict[str, list[tuple[int, Incident]]] = {}
        for place, incident in enumerate(plan.incidents):
            if incident.on:
                self._incidents.setdefault(incident.on, []).append((place, incident))

    def after(self, seconds: float, action: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._queue, (self.now + seconds, next(self._numbers), action, arguments))

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.random.random()

    def run(self) -> None:
        """Until nothing is left to happen."""
        queue, events, evening, end = self._queue, 0, self.begun + EVENING, self.begun + HORIZON
        self.point("start", None)
        while queue and not self.violations:
            when, _, action, arguments = heapq.heappop(queue)
            events += 1
            if when > end or events > MOST_EVENTS:
                self.violate(f"no end: something waits forever ({events} events)")
                return
            self.now = when
            if when > evening and (at_evening := self.at_evening):
                self.at_evening = None
                at_evening()
            action(*arguments)
        self.counted["events"] += events

    def point(self, name: str, subject: Any) -> None:
        """A point has been reached; the plan may have incidents for it."""
        incidents = self._incidents.get(name)
        if incidents is None:
            return
        self._reached[name] += 1
        for place, incident in incidents:
            if incident.nth == self._reached[name]:
                self.after(incident.after, self._perform, place, incident, subject)

    def _perform(self, place: int, incident: Incident, subject: Any) -> None:
        self.perform(incident, subject)
        self.point(f"incident {place}", subject)

    def note(self, who: str, what: str) -> None:
        if self.keeps_story:
            self.story.append((self.now - self.begun, who, what))

    def violate(self, what: str) -> None:
        self.note("VIOLATION", what)
        self.violations.append(what)
