"""How a tag of Quay is waited for until it is there and, if a digest is given, points to it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from airflow_provider.clients.memory import Receipts, Recent, is_news
from airflow_provider.clients.quay.fields import Json
from airflow_provider.clients.quay.looks import Looks, Seen, differ, found_by, places_by_repository
from airflow_provider.clients.quay.references import TAG
from airflow_provider.clients.quay.tag_execution import execution_of
from airflow_provider.clients.quay.tag_list import TagList, Told, read_tags, tag_pages
from airflow_provider.clients.quay.tags import Tags
from airflow_provider.clients.quay.watched import Watched
from airflow_provider.clients.quay.wire import Wire
from airflow_provider.clients.waitable import Found, Observation, concerns_one_execution
from airflow_provider.exceptions import BadRequestError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef

_WHOLE_EVERY = 600.0
"""Seconds after which a list of tags is read from its newest to its oldest again: rows shift while pages are read."""


class TagWaits(Watched):
    """References hold the ``repository``, the ``tag``, and the ``digest`` that it must point to, "" for any."""

    kind: ClassVar[str] = TAG

    def __init__(self, receipts: Receipts[Any], wire: Wire, tags: Tags) -> None:
        super().__init__(receipts)
        self._wire, self._tags = wire, tags
        self._read_whole: Recent[str, float] = Recent()
        """By repository, when the list of its tags was last read to its end."""

    def observe(self, ref: ExecutionRef) -> Execution:
        ref = self._wire.with_exact_digest(ref)
        return self._execution(self._tags.find(ref["repository"], ref["tag"]), ref)

    def group(self, ref: ExecutionRef) -> str | None:
        return f"tags of {ref.get('repository')}"

    def fetch(self, refs: Sequence[ExecutionRef]) -> list[Found]:
        """One list a repository for two tags and more; what is asked one by one is asked once for equals."""
        told: list[Told | None] = self.receipts.values_of(refs)
        looks = Looks(refs, self.observe)
        found: list[Found] = [None] * len(refs)
        for repository, places in places_by_repository(refs).items():
            shares_list = differ([refs[place] for place in places])
            tags = self._listed(repository, [told[place] for place in places]) if shares_list else None
            for place in places:
                ref, before = refs[place], told[place]
                if before and tags and tags.is_unchanged(ref, before):
                    continue
                seen: Seen = (self._from_list(ref, tags) if tags else None) or looks.at(ref)
                found[place] = found_by(seen, partial(self._news_now, before, tags))
        return found

    def _news_now(self, told: Told | None, tags: TagList | None, seen: Observation) -> Observation | None:
        if isinstance(seen, ReleasePipelineError):
            return seen
        known = tags.newest if tags else None
        if told and not is_news(told.execution, seen):
            told.known = known
            return None
        return self.receipts.hand_out(seen, Told(seen, known))

    def _listed(self, repository: str, told: Sequence[Told | None]) -> TagList | None:
        """``None`` where the list cannot be read: each wait then has an error of its own."""
        now = time.monotonic()
        is_due = now - (self._read_whole.get(repository) or -math.inf) > _WHOLE_EVERY
        pages = tag_pages(self._wire, repository, only_active=True)
        try:
            tags = read_tags(pages, [before.known if before and not is_due else None for before in told])
        except ReleasePipelineError as error:
            if not concerns_one_execution(error):
                raise
            return None
        if is_due:
            self._read_whole.put(repository, now)
        return tags

    def _from_list(self, ref: ExecutionRef, tags: TagList) -> Observation | None:
        tag = tags.tags.get(ref["tag"])
        if tag is None and not tags.complete:
            return None
        try:
            return self._execution(tag, self._wire.with_exact_digest(ref))
        except BadRequestError as error:
            return error

    def _execution(self, tag: Json | None, ref: ExecutionRef) -> Execution:
        return execution_of(tag, ref, self._wire.registry, self._wire.page(ref["repository"]))
