"""What a client adds to its executions: the system they belong to; and what it takes out: secrets and long texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from airflow_provider.clients.answers import LONGEST_WORD
from airflow_provider.clients.transport import Transport
from airflow_provider.exceptions import Call, ConflictError
from airflow_provider.execution import Execution, Step
from airflow_provider.storable import Kept, kept

LONGEST_REASON = 2000
"""Characters of the message of an execution or a step."""
MOST_STEPS, LONGEST_STEPS = 1000, 200_000
"""Steps of an execution, and their characters in total: every wait keeps its last observation."""
UNFINISHED_PARTS, UNFINISHED_CHARACTERS = 1000, 50_000
"""Limits for the outputs of an execution that has not ended: only those of its end are passed on."""


class Placing:
    """:param place: see :attr:`~airflow_provider.clients.base.ReleaseClient.place`."""

    def __init__(self, system: str, transport: Transport, place: Callable[[], str]) -> None:
        self.system, self.place = system, place
        self.redact = transport.redact

    def check(self, about: Mapping[str, Any]) -> None:
        """Refuse a reference or an intent of another system: a small number means something else there.

        :raises ConflictError: names both.
        """
        if (there := about.get("place")) and there != self.place():
            raise ConflictError(
                f"{about.get('kind')} {about.get('id') or ''} belongs to {there}, but the connection now leads to "
                f"{self.place()}: nothing was requested or canceled there",
                call=Call(system=self.system),
            )

    def placed(self, execution: Execution) -> Execution:
        """The execution as the client returns it: with its place, and with short texts that show no secrets."""
        if execution.revision:
            # It was returned before.
            return execution
        if "place" not in execution.ref:
            execution.ref = {**execution.ref, "place": self.place()}
        execution.status = self.redact(execution.status, LONGEST_WORD)
        if execution.outputs and not isinstance(execution.outputs, Kept):
            limits = () if execution.state.is_terminal else (UNFINISHED_PARTS, UNFINISHED_CHARACTERS)
            execution.outputs = kept(execution.outputs, *limits)
        if execution.message is not None:
            execution.message = self.redact(execution.message, LONGEST_REASON)
        if execution.steps:
            execution.steps = tuple(self._shown_steps(execution.steps[:MOST_STEPS]))
        return execution.revised()

    def _shown_steps(self, steps: Iterable[Step]) -> Iterator[Step]:
        redact, left = self.redact, LONGEST_STEPS
        for step in steps:
            message = None if step.message is None else redact(step.message, LONGEST_REASON)
            shown = Step(redact(step.name, LONGEST_WORD), redact(step.status, LONGEST_WORD), message, step.state)
            left -= sum(len(text or "") for text in shown[:3])
            if left < 0:
                return
            yield shown
