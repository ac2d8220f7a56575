"""Many executions watched at once: the feed of changes, and as its safety net a slow sweep by id."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from airflow_provider.clients.code_stream.execution_document import MAY_BE_ROLLED_BACK, state_of
from airflow_provider.clients.code_stream.execution_feed import CLOCK_SKEW, Feed, Glance, Reading, glance_of
from airflow_provider.clients.code_stream.execution_lookup import Lookup
from airflow_provider.clients.code_stream.fields import Json, fields_of
from airflow_provider.clients.decoding import loads
from airflow_provider.clients.memory import Receipts, is_news
from airflow_provider.clients.waitable import Found, Observation
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef

SWEEP = 540.0
"""Seconds after which an execution is looked at by its id whatever the feed says; spread over the second half."""
OVERDUE = 60.0
"""Seconds for which a sweep may wait for others to share its request."""
SOME_PAGES = 2
"""Pages of the feed that are worth reading however few are watched."""


class Told(msgspec.Struct):
    """What a wait was told of an execution.

    :param glance: of the row or document that told it.
    :param known: up to which time (the server's) all changes of it are known.
    :param due: when (monotonic) it is to be looked at by its id.
    """

    execution: Execution
    glance: Glance
    known: int | None
    due: float


class _Wait(msgspec.Struct):
    """One wait within one fetch; ``seen`` is what it is to be told."""

    ref: ExecutionRef
    told: Told | None
    seen: Found = None


class Watch:
    """:param read: makes an execution of a document.
    :param newest: what a list of the newest executions shows going on of some of them, for servers without a feed.
    """

    def __init__(
        self,
        feed: Feed,
        lookup: Lookup,
        receipts: Receipts[Told],
        read: Callable[[Json], Execution],
        newest: Callable[[Sequence[str]], dict[str, Json]],
    ) -> None:
        self._feed, self._lookup, self._receipts = feed, lookup, receipts
        self._read, self._newest = read, newest

    def fetch(self, refs: Sequence[ExecutionRef]) -> list[Found]:
        """For each the execution, its own error, ``None`` for one that is as it was told, or a look to be made."""
        waits = [_Wait(*pair) for pair in zip(refs, self._receipts.values_of(refs), strict=True)]
        if len(waits) < 2:
            # The feed would cost as much as the look, and tell less.
            self._ask(waits, self._feed.known)
        elif reading := self._read_feed(waits):
            unsettled, settled = self._take_from_feed(waits, reading)
            self._ask(unsettled, reading.known, apart=True)
            self._sweep(settled, reading)
        else:
            self._ask(self._take_newest(waits), None, apart=True)
        return [wait.seen for wait in waits]

    def _read_feed(self, waits: Sequence[_Wait]) -> Reading | None:
        known = [wait.told.known for wait in waits if wait.told and wait.told.known is not None]
        told: dict[str, list[Told | None]] = {}
        for wait in waits:
            told.setdefault(wait.ref["id"], []).append(wait.told)

        def read_if_it_moved(row_id: str, glance: Glance, row: msgspec.Raw) -> Execution | None:
            if all(each and each.glance == glance for each in told.get(row_id, ())):
                return None
            document = fields_of(loads(bytes(row)))
            # A list tells too little of those that ended.
            return None if state_of(document).is_terminal else self._read(document)

        most_pages = SOME_PAGES + len(waits) // self._lookup.at_once
        return self._feed.read(min(known, default=None), most_pages, read_if_it_moved)

    def _take_from_feed(self, waits: Sequence[_Wait], reading: Reading) -> tuple[list[_Wait], list[_Wait]]:
        """Those of which the feed does not tell enough, and those that are as they were told."""
        unsettled, settled = [], []
        for wait in waits:
            told = wait.told
            row = reading.rows.get(wait.ref["id"])
            if row is None:
                is_left_out = wait.ref["id"] in reading.rows
                # One that a list read to its end does not hold is gone.
                is_doubtful = is_left_out or reading.read_to == -1
                is_as_told = told is not None and not is_doubtful and reading.covers(told.known)
            else:
                is_as_told = told is not None and told.glance == row.glance
            if told and is_as_told:
                told.known = reading.known
                settled.append(wait)
            elif row and row.execution:
                self._tell(wait, row.execution, row.glance, reading.known)
            else:
                unsettled.append(wait)
        return unsettled, settled

    def _take_newest(self, waits: Sequence[_Wait]) -> list[_Wait]:
        found = self._newest([wait.ref["id"] for wait in waits])
        for wait in waits:
            if document := found.get(wait.ref["id"]):
                self._tell(wait, self._read(document), glance_of(document), None)
        return [wait for wait in waits if wait.ref["id"] not in found]

    def _sweep(self, settled: Sequence[_Wait], reading: Reading) -> None:
        """Look at some by their ids although the feed shows no change, a few at a time but never too late."""
        now = time.monotonic()
        due = [wait for wait in settled if wait.told and wait.told.due <= now]
        is_overdue = any(wait.told and wait.told.due + OVERDUE <= now for wait in due)
        if len(due) < self._lookup.at_once and not is_overdue:
            return
        before = [wait.told.execution.status for wait in due if wait.told]
        found = self._ask(due, reading.known)
        for wait, status in zip(due, before, strict=True):
            updated = found[wait.ref["id"]].updated if wait.ref["id"] in found else None
            has_moved = isinstance(wait.seen, Execution) and wait.seen.status != status
            if has_moved and not (isinstance(updated, int) and updated > reading.newest - CLOCK_SKEW):
                self._feed.distrust(f"the list of last changes did not show that execution {wait.ref['id']} moved")

    def _ask(self, waits: Sequence[_Wait], known: int | None, *, apart: bool = False) -> dict[str, Glance]:
        """Look at some by their ids; returns what a row would have shown of those that are there.

        :param apart: leave it to the caller of :meth:`fetch` to look at those that need a request of their own.
        """
        by_id: dict[str, list[_Wait]] = {}
        for wait in waits:
            by_id.setdefault(wait.ref["id"], []).append(wait)
        glances: dict[str, Glance] = {}
        for execution_id, document in self._lookup.documents(list(by_id)):
            sharing = by_id[execution_id]
            if document is None and apart and len(sharing) == 1:
                sharing[0].seen = partial(self._look_now, sharing[0], known)
                continue
            if glance := self._take(sharing, document or self._lookup.one(execution_id), known):
                glances[execution_id] = glance
        return glances

    def _look_now(self, wait: _Wait, known: int | None) -> Observation | None:
        wait.seen = None
        self._take([wait], self._lookup.one(wait.ref["id"]), known)
        return wait.seen

    def _take(self, waits: Sequence[_Wait], document: Json | ReleasePipelineError, known: int | None) -> Glance | None:
        """Tell these waits of the execution that all of them wait for; returns what a row would have shown of it."""
        if isinstance(document, ReleasePipelineError):
            for wait in waits:
                wait.seen = document
            return None
        glance, execution = glance_of(document), self._read(document)
        for wait in waits:
            self._tell(wait, execution, glance, known, due=_next_sweep())
        return glance

    def _tell(self, wait: _Wait, seen: Execution, glance: Glance, known: int | None, due: float | None = None) -> None:
        """:param due: when it is to be looked at by its id, if it was now."""
        told = wait.told
        if seen.status.upper() == MAY_BE_ROLLED_BACK and not seen.state.is_terminal:
            # Whatever a list shows: it is to be looked at again.
            glance, known = Glance(), None
        due = due or (told.due if told else _next_sweep())
        if told and not is_news(told.execution, seen):
            told.glance, told.known, told.due = glance, known, due
        else:
            wait.seen = self._receipts.hand_out(seen, Told(seen, glance, known, due))


def _next_sweep() -> float:
    return time.monotonic() + random.uniform(SWEEP / 2, SWEEP)  # noqa: S311 - spreads looks, protects nothing
