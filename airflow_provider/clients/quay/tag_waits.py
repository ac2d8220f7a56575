"""Waits for a tag of Quay until it exists and, if a digest is given, points to it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from airflow_provider.clients.memory import Recent
from airflow_provider.clients.quay.fields import Document
from airflow_provider.clients.quay.references import TAG
from airflow_provider.clients.quay.tag_execution import execution_of
from airflow_provider.clients.quay.tag_list import TagList, read_tags, tag_pages
from airflow_provider.clients.quay.tags import Tags
from airflow_provider.clients.quay.watched import Watched
from airflow_provider.clients.quay.wire import Wire
from airflow_provider.clients.waitable import (
    Found,
    Observation,
    concerns_one_execution,
    differ,
    observe_separately,
    or_own_error,
)
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef

_WHOLE_EVERY = 600.0
"""Seconds after which a whole list of tags is read again, because rows may shift while its pages are read."""


class _Known(msgspec.Struct):
    """The last observation of a tag, and the time (epoch seconds, Quay's clock) up to which its changes are known."""

    execution: Execution
    known_to: int | None


class TagWaits(Watched):
    """References hold the ``repository``, the ``tag``, and the ``digest`` that it must point to, "" for any."""

    kind: ClassVar[str] = TAG

    def __init__(self, wire: Wire, tags: Tags) -> None:
        self._wire, self._tags = wire, tags
        self._known: Recent[tuple[str, str, str], _Known] = Recent()
        self._read_whole: Recent[str, float] = Recent()
        """By repository, when the list of its tags was last read to its end."""

    def observe(self, ref: ExecutionRef) -> Execution:
        ref = self._wire.with_exact_digest(ref)
        return self._execution(self._tags.find(ref["repository"], ref["tag"]), ref)

    def group(self, ref: ExecutionRef) -> str | None:
        return f"tags of {ref.get('repository')}"

    def fetch(self, refs: Sequence[ExecutionRef], seen: Sequence[Execution | None]) -> list[Found]:
        """One list of a repository's tags for two or more waits, read for as long as it may contain anything new."""
        known = self._known.get_all(map(_key, refs))
        tags = self._listed(refs[0]["repository"], known) if differ(refs) else None
        newest = tags.newest if tags else None
        found: dict[int, Found] = {}
        for index, (ref, before) in enumerate(zip(refs, known, strict=True)):
            if listed := self._from_list(ref, before, tags):
                found[index] = listed
        others = [index for index in range(len(refs)) if index not in found]
        pending = observe_separately(
            [refs[index] for index in others], lambda ref: self._noted(self.observe_or_error(ref), ref, newest)
        )
        found |= zip(others, pending, strict=True)
        return [found[index] for index in range(len(refs))]

    def _listed(self, repository: str, known: Sequence[_Known | None]) -> TagList | None:
        """``None`` if the list cannot be read: each wait then gets an error of its own."""
        now = time.monotonic()
        is_due = now - (self._read_whole.get(repository) or -math.inf) > _WHOLE_EVERY
        pages = tag_pages(self._wire, repository, only_active=True)
        try:
            tags = read_tags(pages, [before.known_to if before and not is_due else None for before in known])
        except ReleasePipelineError as error:
            if not concerns_one_execution(error):
                raise
            return None
        if is_due:
            self._read_whole.put(repository, now)
        return tags

    def _from_list(self, ref: ExecutionRef, before: _Known | None, tags: TagList | None) -> Observation | None:
        """The observation of a tag from the list; ``None`` if the list is not enough."""
        if tags is None:
            return None
        tag = tags.tags.get(ref["tag"])
        if before and tag is None and tags.leaves(before.execution.status, before.known_to):
            before.known_to = tags.newest
            return before.execution
        if tag is None and not tags.complete:
            return None
        seen = or_own_error(lambda: self._execution(tag, self._wire.with_exact_digest(ref)))
        return self._noted(seen, ref, tags.newest)

    def _noted(self, seen: Observation, ref: ExecutionRef, known_to: int | None) -> Observation:
        if isinstance(seen, ReleasePipelineError) or seen.state.is_terminal:
            self._known.drop(_key(ref))
        else:
            self._known.put(_key(seen.ref), _Known(seen, known_to))
        return seen

    def _execution(self, tag: Document | None, ref: ExecutionRef) -> Execution:
        return execution_of(tag, ref, self._wire.registry, self._wire.page(ref))


def _key(ref: ExecutionRef) -> tuple[str, str, str]:
    return ref["repository"], ref["tag"], ref["digest"]
