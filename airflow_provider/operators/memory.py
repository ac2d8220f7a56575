"""Notes about a request that starts nothing, in Airflow's task state store; ``core/notes.py`` interprets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider.core.commands import Saved
from airflow_provider.core.notes import recall
from airflow_provider.core.record import RequestRecord
from airflow_provider.exceptions import Call, ConflictError
from airflow_provider.operators.attempt import attempt_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.clients.base import ReleaseClient


class Memory:
    """Notes in the task state store, which automatic retries see and a cleared task does not.

    :param key: of the notes.
    :param action: what the request did, for people, such as ``answered an approval of release task 'shop'``.
    """

    def __init__(self, context: Context, client: ReleaseClient, key: str, action: str) -> None:
        self._context = context
        self._client = client
        self._key = key
        self._action = action

    def recall(self) -> dict[str, Any] | None:
        """What an earlier attempt of this generation noted; see :func:`airflow_provider.core.notes.recall`."""
        stored = self._read()
        if stored is None:
            return None
        attempt, place = attempt_of(self._context), self._client.place
        program = recall(stored, attempt, system=self._client.system, place=place, action=self._action)
        try:
            while True:
                self._save(next(program).record)
        except StopIteration as stop:
            notes: dict[str, Any] | None = stop.value
            return notes

    def note(self, notes: dict[str, Any], *, is_done: bool = False) -> None:
        """Save what is about to be sent.

        :param is_done: whether the request is complete and the task is about to succeed.
        """
        attempt, place = attempt_of(self._context), self._client.place
        stored = RequestRecord(attempt=attempt, notes=notes, place=place, is_done=is_done)
        self._save(stored)

    def forget(self) -> None:
        """For a request that certainly had no effect."""
        self._context["task_state_store"].delete(self._key)

    def _read(self) -> RequestRecord | None:
        stored = self._context["task_state_store"].get(self._key)
        try:
            return None if stored is None else msgspec.convert(stored, RequestRecord)
        except msgspec.ValidationError as error:
            raise self._conflict(
                f"could not read the notes of an earlier attempt, which may have {self._action}: {error}. Resolve it "
                "manually and run the task in a new DAG run"
            ) from None

    def _conflict(self, summary: str) -> ConflictError:
        return ConflictError(summary, call=Call(system=self._client.system))

    def _save(self, stored: Saved) -> None:
        from airflow_provider.operators.carrying_out import save_record

        save_record(self._context, self._key, stored)
