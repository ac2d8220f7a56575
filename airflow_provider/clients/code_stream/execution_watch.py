"""Watches many executions at once: with the list of their updates, and with a slow sweep by id as a safety net."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import msgspec

from airflow_provider.clients.code_stream.execution_document import MAY_BE_ROLLED_BACK, state_of
from airflow_provider.clients.code_stream.execution_lookup import Lookup
from airflow_provider.clients.code_stream.execution_updates import (
    CLOCK_SKEW,
    Excerpt,
    Updates,
    UpdatesReading,
    excerpt_of,
)
from airflow_provider.clients.code_stream.fields import Document, fields_of
from airflow_provider.clients.decoding import loads
from airflow_provider.clients.listing import may_be_kept
from airflow_provider.clients.memory import Recent
from airflow_provider.clients.waitable import Found, Observation
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef

SWEEP = 540.0
"""Seconds after which an execution is polled by its id, whatever that list shows; spread over the second half."""
OVERDUE = 60.0
"""Seconds for which a sweep may wait for others to share its request."""
SOME_PAGES = 2
"""Pages of the list of updates that are worth reading even for few executions."""


class Known(msgspec.Struct):
    """The last observation of an execution that has not ended.

    :param excerpt: of the row or document that it was read from.
    :param known: time (the server's) up to which all its changes are known.
    :param due: when (monotonic) it is to be polled by its id.
    """

    execution: Execution
    excerpt: Excerpt
    known: int | None
    due: float


class Watch:
    """:param read: makes an execution from a document.
    :param newest: finds those of some executions that a list of the newest shows unfinished, for servers without a
        list of updates.
    """

    def __init__(
        self,
        updates: Updates,
        lookup: Lookup,
        read: Callable[[Document], Execution],
        newest: Callable[[Sequence[str]], dict[str, Document]],
    ) -> None:
        self._updates, self._lookup, self._read, self._newest = updates, lookup, read, newest
        self._known: Recent[str, Known] = Recent()

    def __len__(self) -> int:
        """How many executions are remembered."""
        return len(self._known)

    def fetch(self, refs: Sequence[ExecutionRef]) -> list[Found]:
        """For each, the execution, its own error, or a pending observation."""
        asked = Counter(ref["id"] for ref in refs)
        known = dict(zip(asked, self._known.get_all(asked), strict=True))
        # An execution that several ask for is polled once, and right away.
        alone = {execution_id for execution_id, count in asked.items() if count == 1}
        if len(known) < 2:
            # The list of updates would cost as much as polling by id, and say less.
            found = self._poll(known, (), self._updates.known, but_for=())
        elif reading := self._read_updates(known):
            found = self._take_updates(known, reading)
            found |= self._sweep(known, found, reading)
            found |= self._poll(known, alone, reading.known, but_for=found)
        else:
            found = self._take_newest(known)
            found |= self._poll(known, alone, None, but_for=found)
        return [found[ref["id"]] for ref in refs]

    def _read_updates(self, known: Mapping[str, Known | None]) -> UpdatesReading | None:
        def read_if_changed(row_id: str, excerpt: Excerpt, row: msgspec.Raw) -> Execution | None:
            if row_id not in known or ((before := known[row_id]) and before.excerpt == excerpt):
                return None
            document = fields_of(loads(bytes(row)))
            # A list says too little about executions that have ended.
            return None if state_of(document).is_terminal else self._read(document)

        times = [each.known for each in known.values() if each and each.known is not None]
        most_pages = SOME_PAGES + len(known) // self._lookup.at_once
        return self._updates.read(min(times, default=None), most_pages, read_if_changed)

    def _take_updates(self, known: Mapping[str, Known | None], reading: UpdatesReading) -> dict[str, Found]:
        """Those for which the list is enough: they have not changed, or their new state is not terminal."""
        found: dict[str, Found] = {}
        for execution_id, before in known.items():
            row = reading.rows.get(execution_id)
            if row is None:
                is_left_out = execution_id in reading.rows
                # An execution that is not in a list read to its end is gone.
                is_doubtful = is_left_out or reading.read_to == -1
                is_unchanged = before is not None and not is_doubtful and reading.covers(before.known)
            else:
                is_unchanged = before is not None and before.excerpt == row.excerpt
            if before and is_unchanged:
                before.known = reading.known
                found[execution_id] = before.execution
            elif row and row.execution:
                due = before.due if before else _next_sweep()
                now = Known(row.execution, row.excerpt, reading.known, due)
                found[execution_id] = self._note(execution_id, before, now)
        return found

    def _take_newest(self, known: Mapping[str, Known | None]) -> dict[str, Found]:
        found: dict[str, Found] = {}
        for execution_id, document in self._newest(list(known)).items():
            now = Known(self._read(document), excerpt_of(document), None, _next_sweep())
            found[execution_id] = self._note(execution_id, known[execution_id], now)
        return found

    def _sweep(
        self, known: Mapping[str, Known | None], found: Mapping[str, Found], reading: UpdatesReading
    ) -> dict[str, Found]:
        """Poll some by their ids although the list shows no change, a few at a time but never too late."""
        now = time.monotonic()
        due = {
            execution_id: before
            for execution_id, before in known.items()
            if before and before.due <= now and found.get(execution_id) is before.execution
        }
        is_overdue = any(before.due + OVERDUE <= now for before in due.values())
        if len(due) < self._lookup.at_once and not is_overdue:
            return {}
        swept: dict[str, Found] = {}
        for execution_id, listed in self._lookup.documents(list(due)):
            document = listed or self._lookup.one(execution_id)
            seen = swept[execution_id] = self._take(execution_id, due[execution_id], document, reading.known)
            if isinstance(seen, Execution) and seen.status != due[execution_id].execution.status:
                self._doubt_updates(execution_id, excerpt_of(fields_of(document)), reading)
        return swept

    def _doubt_updates(self, execution_id: str, excerpt: Excerpt, reading: UpdatesReading) -> None:
        """Distrust the list if it did not show a change of an execution, unless that was only a moment ago."""
        if not (isinstance(excerpt.updated, int) and excerpt.updated > reading.newest - CLOCK_SKEW):
            self._updates.distrust(f"the list of last changes did not show that execution {execution_id} changed")

    def _poll(
        self, known: Mapping[str, Known | None], alone: Collection[str], up_to: int | None, *, but_for: Collection[str]
    ) -> dict[str, Found]:
        """Poll some by their ids.

        :param alone: if these need requests of their own, they are left to the caller of :meth:`fetch`.
        :param up_to: ``known`` of what is observed now.
        """
        found: dict[str, Found] = {}
        for execution_id, listed in self._lookup.documents([each for each in known if each not in but_for]):
            if listed is None and execution_id in alone:
                found[execution_id] = partial(self._poll_one, execution_id, up_to)
            else:
                document = listed or self._lookup.one(execution_id)
                found[execution_id] = self._take(execution_id, known[execution_id], document, up_to)
        return found

    def _poll_one(self, execution_id: str, up_to: int | None) -> Observation:
        before, document = self._known.get(execution_id), self._lookup.one(execution_id)
        return self._take(execution_id, before, document, up_to)

    def _take(
        self, execution_id: str, before: Known | None, document: Document | ReleasePipelineError, up_to: int | None
    ) -> Observation:
        """Take the document of one execution that was read by its id."""
        if isinstance(document, ReleasePipelineError):
            self._known.drop(execution_id)
            return document
        now = Known(self._read(document), excerpt_of(document), up_to, _next_sweep())
        return self._note(execution_id, before, now)

    def _note(self, execution_id: str, before: Known | None, now: Known) -> Execution:
        if now.execution.state.is_terminal:
            self._known.drop(execution_id)
            return now.execution
        if now.execution.status.upper() == MAY_BE_ROLLED_BACK:
            # Whatever a list shows, it must be polled again.
            now.excerpt, now.known = Excerpt(), None
        elif not may_be_kept(now.excerpt):
            now.excerpt = Excerpt()
        if before and not _has_changed(before.execution, now.execution):
            now.execution = before.execution
        self._known.put(execution_id, now)
        return now.execution


def _has_changed(before: Execution, now: Execution) -> bool:
    """Whether an execution has changed. A list may show stages only, and not their tasks: less detail is no change."""
    if (before.state, before.status, before.message) != (now.state, now.status, now.message):
        return True
    steps_before = {step.name: step for step in before.steps}
    steps_now = {step.name: step for step in now.steps}
    return steps_before.keys() <= steps_now.keys() and steps_before != steps_now


def _next_sweep() -> float:
    return time.monotonic() + random.uniform(SWEEP / 2, SWEEP)  # noqa: S311 - jitter, not security
