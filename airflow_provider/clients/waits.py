"""How executions of one system are observed, many at once, canceled, and found after a start whose answer was lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from airflow_provider.clients.placing import Placing
from airflow_provider.clients.redaction import without_keys
from airflow_provider.clients.unforeseen import answers_of
from airflow_provider.clients.waitable import (
    Found,
    Intent,
    Observation,
    PendingObservation,
    Waitable,
    observe_separately,
)
from airflow_provider.exceptions import BadRequestError, Call, ConflictError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef

MOST_LOG_LINES = 10_000


class Waits:
    """What operators, sensors and triggers need of a client, beside its nouns, whatever they wait for."""

    def __init__(self, placing: Placing, *waitables: Waitable) -> None:
        self._placing, self._system = placing, placing.system
        self._waitables = {each.kind: each for each in waitables}

    def observe(self, ref: ExecutionRef) -> Execution:
        """As :meth:`airflow_provider.clients.base.ReleaseClient.observe`."""
        self.check_place(ref)
        with answers_of(self._system):
            return self._placing.placed(self._waitable(ref).observe(ref))

    def shared_request(self, ref: ExecutionRef) -> str | None:
        """Names the request that observes ``ref`` together with others; ``None`` if it needs one of its own.

        No I/O. References with the same name should be passed to :meth:`fetch` together.
        """
        return self._waitable(ref).group(ref)

    def fetch(self, known: Sequence[ExecutionRef | Execution]) -> list[Observation]:
        """Observe many in as few requests as the API allows: for each, in order, the execution or its own error.

        :param known: the last observation of each, or its reference if there is none. The same object is returned if
            its ``revision`` has not changed; one that was terminal is never returned.

        :raises ReleasePipelineError: an error that concerns all of them (credentials, network, throttling).
        """
        return [each() if callable(each) else each for each in self.fetch_shared(known)]

    def fetch_shared(self, known: Sequence[ExecutionRef | Execution]) -> list[Found]:
        """As :meth:`fetch`, but makes only the requests that observe several executions.

        An execution that needs a request of its own gets a :data:`PendingObservation`, which the caller may call at any
        time and in any thread.
        """
        refs = [each.ref if isinstance(each, Execution) else each for each in known]
        seen = [each if isinstance(each, Execution) and not each.state.is_terminal else None for each in known]
        found: dict[int, Found] = {**self._errors_of_other_systems(refs)}
        with answers_of(self._system):
            for (waitable, group), places in self._grouped(refs, found).items():
                some, last = [refs[place] for place in places], [seen[place] for place in places]
                is_shared = group is not None
                answers = (
                    waitable.fetch(some, last) if is_shared else observe_separately(some, waitable.observe_or_error)
                )
                found.update(zip(places, answers, strict=True))
        # Most have not changed: they are returned without another call.
        in_order = ((found[place], last) for place, last in enumerate(seen))
        return [now if now is last else self._compared_or_pending(now, last) for now, last in in_order]

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        """As :meth:`airflow_provider.clients.base.ReleaseClient.cancel`."""
        self.check_place(ref)
        with answers_of(self._system):
            self._waitable(ref).cancel(ref, reason)

    def needs_cancel(self, execution: Execution) -> bool:
        """Whether it would continue, or could be made to continue, unless it is canceled."""
        return self._waitable(execution.ref).needs_cancel(execution)

    def settling_of(self, execution: Execution) -> float:
        """Seconds for which the end of an execution that was seen unfinished must be observed before it counts; 0 if at
        once.

        A client that has itself seen it unfinished takes care of this; callers that use a new client each time must.
        """
        return self._waitable(execution.ref).settling_of(execution)

    def note_unfinished(self, ref: ExecutionRef) -> None:
        """Record that another process observed it unfinished, so that its end must settle before it counts; no I/O."""
        self._waitable(ref).note_unfinished(ref)

    def find_started(self, intent: Intent) -> list[Execution]:
        """The executions that a start with this intent has started, oldest first.

        If :meth:`is_marked`, all of them are ours: more than one if a request was duplicated on its way. Otherwise they
        are all that could be ours.

        :raises ConflictError: something happened, but not certainly by this start; or the intent is of another system.
        """
        self.check_place(intent)
        with answers_of(self._system):
            return [self._placing.placed(each) for each in self._waitable(intent).find_started(intent)]

    def check_place(self, about: Mapping[str, Any]) -> None:
        """As :meth:`airflow_provider.clients.placing.Placing.check`."""
        self._placing.check(about)

    def is_marked(self, intent: Intent) -> bool:
        """Whether executions of such a start carry its marker: then :meth:`find_started` is reliable at any time."""
        return self._waitable(intent).is_marked(intent)

    def has_log(self, ref: ExecutionRef) -> bool:
        """Whether the API has a log of what ``ref`` names."""
        return self._waitable(ref).has_log

    def read_log(self, ref: ExecutionRef, offset: int) -> tuple[list[str], int]:
        """The lines of the log from ``offset`` on, and the offset of the next ones; no lines if there is no log.

        No line is longer than :data:`~airflow_provider.clients.redaction.LONGEST_TEXT`, and none shows a secret. If
        there are more than :data:`MOST_LOG_LINES`, the last ones are returned.
        """
        with answers_of(self._system):
            lines, offset = self._waitable(ref).read_log(ref, offset)
            return [self._placing.redact(line) for line in without_keys(lines[-MOST_LOG_LINES:])], offset

    def _grouped(
        self, refs: Sequence[ExecutionRef], found: dict[int, Found]
    ) -> dict[tuple[Waitable, str | None], list[int]]:
        """The indexes of references that one request can observe.

        :param found: by index, what is already known; the errors of invalid references are added.
        """
        groups: defaultdict[tuple[Waitable, str | None], list[int]] = defaultdict(list)
        for index, ref in enumerate(refs):
            if found and index in found:
                continue
            try:
                waitable = self._waitable(ref)
            except BadRequestError as error:
                found[index] = error
            else:
                groups[waitable, waitable.group(ref)].append(index)
        return groups

    def _waitable(self, about: Mapping[str, Any]) -> Waitable:
        """:param about: a reference or an intent."""
        waitable = self._waitables.get(str(about.get("kind")))
        if waitable is None:
            known = " or ".join(map(repr, self._waitables))
            raise BadRequestError(f"kind must be {known}, got {about.get('kind')!r}", call=Call(system=self._system))
        return waitable

    def _compared_or_pending(self, found: Found, seen: Execution | None) -> Found:
        return partial(self._observe_alone, found, seen) if callable(found) else self._compared(found, seen)

    def _observe_alone(self, pending: PendingObservation, seen: Execution | None) -> Observation:
        with answers_of(self._system):
            found = pending()
        return self._compared(found, seen)

    def _compared(self, found: Observation, seen: Execution | None) -> Observation:
        """What a wait gets whose last observation is ``seen``: the same object if nothing has changed."""
        if found is seen or isinstance(found, ReleasePipelineError):
            return found
        placed = self._placing.placed(found)
        return seen if seen and seen.revision == placed.revision else placed

    def _errors_of_other_systems(self, refs: Sequence[ExecutionRef]) -> dict[int, ConflictError]:
        """By index, the errors of references of other systems."""
        named = {named for ref in refs if (named := ref.get("place"))}
        if not named or named == {self._placing.place()}:
            return {}
        errors = {}
        for index, ref in enumerate(refs):
            try:
                self.check_place(ref)
            except ConflictError as error:
                errors[index] = error
        return errors
