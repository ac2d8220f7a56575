"""Traces of an action whose answer was lost, distinguished from the actions of other people. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from airflow_provider.clients.service_stage.release_states import (
    ALLOWED_WHEN,
    IN_PROGRESS,
    WORDS,
    is_number,
    status_of,
    text_of,
    triggered_at,
)
from airflow_provider.clients.waitable import start_window

Document = Mapping[str, Any]


class StartWindow(msgspec.Struct, frozen=True):
    """:param begin: epoch seconds, like ``end``.
    :param now: by the clock of the intent; ``None`` if that clock cannot be read.
    """

    begin: float
    end: float
    now: float | None

    @classmethod
    def of(cls, intent: Document, *, vendor_now: float | None, worker_now: float) -> StartWindow:
        """:param intent: holds ``since`` and the ``clock`` that it is from."""
        by_vendor = intent.get("clock") == "vendor"
        begin, end = start_window(intent)
        return cls(begin, end, vendor_now if by_vendor else worker_now)

    @property
    def is_over(self) -> bool:
        return self.now is not None and self.now > self.end

    @property
    def is_open(self) -> bool:
        """Whether everything since the intent happened within the window."""
        return self.now is not None and self.now <= self.end

    def holds(self, milliseconds: str) -> bool | None:
        """Whether something new was triggered within the window; ``None`` if that is not known.

        :param milliseconds: its trigger time, "" if unknown: then it was, as long as the window is open.
        """
        if is_number(milliseconds):
            return self.begin <= int(milliseconds) / 1000 <= self.end
        return True if self.is_open else None


class Traces(msgspec.Struct, frozen=True):
    """What is observed of a release task now, and what was observed just before the action.

    :param item: its list item.
    :param same: the record that was the last one before the action; empty if there was none.
    :param later: the records after that, oldest first.
    :param are_complete: whether the region publishes records.
    """

    action: str
    status_before: str
    triggered_before: str
    item: Document
    same: Document
    later: Sequence[Document]
    are_complete: bool

    def candidates(self, window: StartWindow) -> list[Document] | None:
        """The records that this action may have caused; ``None`` if it is not known whether there are any."""
        if self.later:
            return self._of_later(window)
        return self._of_start(window) if self.action == "start" else self._of_continuation(window)

    def __str__(self) -> str:
        later = ", ".join(text_of(record, "id") for record in self.later) or "none"
        status = self._status_now
        return f"is now in status {status} ({WORDS.get(status, 'unknown')}), and has these later executions: {later}"

    @property
    def _status_now(self) -> str:
        return (status_of(self.same) if self.action != "start" else "") or status_of(self.item)

    @property
    def _triggered_since(self) -> str:
        """When it was last triggered, if that was not before the action; "" otherwise, or if the list does not say."""
        triggered = triggered_at(self.item)
        return "" if triggered == self.triggered_before else triggered

    def _of_later(self, window: StartWindow) -> list[Document] | None:
        if self.action in ("stop", "approval"):
            return None
        are_within = [window.holds(triggered_at(record)) for record in self.later]
        if not triggered_at(self.later[-1]) and triggered_at(self.item):
            # The list has the time of the last one, unless it lags.
            are_within[-1] = window.holds(self._triggered_since) if self._triggered_since else None
        if None in are_within:
            return None
        found = [record for record, is_within in zip(self.later, are_within, strict=True) if is_within]
        # A start always creates a record; the other actions may have continued with the previous one.
        return found if found or self.action == "start" else None

    def _of_start(self, window: StartWindow) -> list[Document] | None:
        is_running = self._status_now != self.status_before and self._status_now in IN_PROGRESS
        if not self._triggered_since and not is_running:
            # Without a new record, a terminal status is that of the previous execution.
            return []
        is_anothers = self._triggered_since != "" and window.holds(self._triggered_since) is False
        return [] if self.are_complete and (is_anothers or window.is_over) else None

    def _of_continuation(self, window: StartWindow) -> list[Document] | None:
        has_changed = self._status_now not in (self.status_before, *ALLOWED_WHEN.get(self.action, ()))
        if not has_changed and not self._triggered_since:
            return []
        return [self.same] if self.same and has_changed and window.holds(self._triggered_since) else None
