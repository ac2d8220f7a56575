"""The base of what is only waited for: nothing here starts or cancels it."""

from __future__ import annotations

from airflow_provider.clients.quay.references import BUILD, SYSTEM
from airflow_provider.clients.waitable import Intent, Waitable
from airflow_provider.exceptions import BadRequestError, Call
from airflow_provider.execution import Execution, ExecutionRef


class Watched(Waitable):
    """See :class:`~airflow_provider.clients.waitable.Waitable`."""

    def needs_cancel(self, execution: Execution) -> bool:
        return False

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        raise BadRequestError(f"a {self.kind} cannot be canceled", call=Call(system=SYSTEM))

    def find_started(self, intent: Intent) -> list[Execution]:
        raise BadRequestError(f"kind must be {BUILD!r}, got {self.kind!r}", call=Call(system=SYSTEM))
