"""How a poll of many asks Quay: one list a repository, and for equal references once what is asked one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from airflow_provider.clients.waitable import Found, Observation, concerns_one_execution
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef

Seen = Observation | Callable[[], Observation]
"""What was observed of an execution, or how to observe it with a request of its own."""


class Looks:
    """:param refs: of the whole poll.
    :param observe: looks at one of them.
    """

    def __init__(self, refs: Sequence[ExecutionRef], observe: Callable[[ExecutionRef], Execution]) -> None:
        self._observe = observe
        self._equals = Counter(map(_key, refs))
        self._seen: dict[tuple[tuple[str, str], ...], Observation] = {}

    def at(self, ref: ExecutionRef) -> Seen:
        """What has others equal to it is observed at once."""
        key = _key(ref)
        if self._equals[key] == 1:
            return partial(self._observe_or_error, ref)
        if key not in self._seen:
            self._seen[key] = self._observe_or_error(ref)
        return self._seen[key]

    def _observe_or_error(self, ref: ExecutionRef) -> Observation:
        try:
            return self._observe(ref)
        except ReleasePipelineError as error:
            if not concerns_one_execution(error):
                raise
            return error


def places_by_repository(refs: Sequence[ExecutionRef]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, ref in enumerate(refs):
        places.setdefault(ref.get("repository", ""), []).append(place)
    return places


def differ(refs: Sequence[ExecutionRef]) -> bool:
    """Whether a list could answer for several of these, and not for one and its equals only."""
    return any(ref != refs[0] for ref in refs)


def found_by(seen: Seen, news: Callable[[Observation], Observation | None]) -> Found:
    """:param news: what of an observation is new to the wait."""
    if not callable(seen):
        return news(seen)
    return lambda: news(seen())


def _key(ref: ExecutionRef) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(ref.items()))
