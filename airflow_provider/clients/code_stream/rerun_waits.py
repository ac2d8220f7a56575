"""How a rerun of a trigger event is waited for, until it has led to an execution; that is another wait from then on."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

from airflow_provider.clients.code_stream.event_list import EVENT_PATHS, NEWEST_EVENT_FIRST
from airflow_provider.clients.code_stream.events import Events
from airflow_provider.clients.code_stream.execution_waits import ExecutionWaits
from airflow_provider.clients.code_stream.fields import Json
from airflow_provider.clients.code_stream.lists import Decode, Page
from airflow_provider.clients.code_stream.references import RERUN
from airflow_provider.clients.code_stream.rerun_search import RerunSearch
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.decoding import decoder
from airflow_provider.clients.memory import Receipts
from airflow_provider.clients.waitable import Found, Intent, Waitable, concerns_one_execution
from airflow_provider.exceptions import ConflictError, Effect, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef

_EVENTS: Decode[dict[str, Any]] = decoder(Page[dict[str, Any]])


class RerunWaits(Waitable):
    """References hold the event's ``id`` and what was there before; see :mod:`.rerun_reference`.

    :param search: finds what a rerun has led to.
    :param executions: cancels what it has led to.
    """

    kind: ClassVar[str] = RERUN

    def __init__(
        self, receipts: Receipts[Any], wire: Wire, events: Events, search: RerunSearch, executions: ExecutionWaits
    ) -> None:
        super().__init__(receipts)
        self._wire, self._events, self._search, self._executions = wire, events, search, executions

    def observe(self, ref: ExecutionRef) -> Execution:
        event = self._events.get(ref["event_type"], ref["id"])
        return self._search.observe(ref, event, self._search.events_since([ref]))

    def group(self, ref: ExecutionRef) -> str | None:
        return f"rerun: {ref.get('event_type')} events"

    def fetch(self, refs: Sequence[ExecutionRef]) -> list[Found]:
        """One list of events for those that it reaches, and one for the events that came since."""
        seen: list[Found] = []
        events: dict[str, Json] = {}
        for event_type, root in EVENT_PATHS.items():
            wanted = [ref["id"] for ref in refs if ref["event_type"] == event_type]
            events |= self._wire.newest(root, NEWEST_EVENT_FIRST, wanted, _EVENTS)
        younger = functools.cache(self._search.events_since(refs))
        for ref, told in zip(refs, self.receipts.values_of(refs), strict=True):
            try:
                event = events.get(ref["id"]) or self._events.get(ref["event_type"], ref["id"])
                found = self._search.observe(ref, event, younger)
                # What it led to is another wait from now on.
                seen.append(found if found.ref["kind"] != RERUN else self.news(told, found))
            except ReleasePipelineError as error:
                if not concerns_one_execution(error) and not isinstance(error, ConflictError):
                    raise
                seen.append(error)
        return seen

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        seen = self.observe(ref)
        if seen.ref["kind"] == RERUN:
            # It may show in a moment: whoever cancels should try again then.
            raise self._wire.conflict(
                f"nothing to cancel: event {ref['id']} has not led to an execution yet", Effect.NONE
            )
        self._executions.cancel(seen.ref, reason)

    def find_started(self, intent: Intent) -> list[Execution]:
        return self._search.find(intent)
