"""What a task remembers of a request of its own that needs no more: an answer to an approval, a trigger by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider.core.generation import Attempt, Relation, ambiguity, relation_since
from airflow_provider.exceptions import Call, ConflictError
from airflow_provider.operators.attempt import attempt_of
from airflow_provider.storable import storable

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.clients.base import ReleaseClient


class Notes(msgspec.Struct, kw_only=True):
    """What is written down.

    :param place: which installation of the system the request was for.
    :param attempt: the attempt that wrote this last.
    :param notes: of the operator.
    :param is_done: whether what came of the request was told as the task's success.
    :param told: the attempt that has failed with words on what a person must resolve; a clear after it is the answer.
    """

    attempt: Attempt
    notes: dict[str, Any]
    place: str = ""
    is_done: bool = False
    told: Attempt | None = None

    @property
    def is_over(self) -> bool:
        return self.is_done

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = storable(msgspec.to_builtins(self))
        return body


class Memory:
    """Notes in the task state store, which automatic retries see and a cleared task does not.

    :param key: of the notes.
    :param deed: what it is about, for people, such as ``answered an approval of release task 'shop'``.
    """

    def __init__(self, context: Context, client: ReleaseClient, key: str, deed: str) -> None:
        self._context = context
        self._client = client
        self._key = key
        self._deed = deed

    def recall(self) -> dict[str, Any] | None:
        """What an earlier attempt of this generation has noted.

        :raises ConflictError: a retry cannot be told from a clear, or the connection led to another system then.
        """
        stored = self._read()
        if stored is None:
            return None
        now = attempt_of(self._context)
        related = relation_since(stored.told, stored.attempt, now, had_succeeded=stored.is_done)
        if related is Relation.CLEARED:
            return None
        what = f"{'has' if stored.is_done else 'may have'} {self._deed}"
        if related is Relation.AMBIGUOUS:
            # Not by the attempt that writes: the notes stay the word of the one that sent.
            stored.told = now
            self._save(stored)
            raise self._conflict(ambiguity(what, "sent", "send it anew"))
        if stored.place not in ("", self._client.place):
            raise self._conflict(
                f"the connection now leads to {self._client.place}, but an earlier attempt {what} at {stored.place}: "
                "nothing was sent. Clear this task to send it to the other system"
            )
        return stored.notes

    def note(self, notes: dict[str, Any], *, is_done: bool = False) -> None:
        """Write down what is about to be sent.

        :param is_done: what came of it is about to be the task's success.
        """
        attempt, place = attempt_of(self._context), self._client.place
        stored = Notes(attempt=attempt, notes=notes, place=place, is_done=is_done)
        self._save(stored)

    def forget(self) -> None:
        """For a request that certainly had no effect."""
        self._context["task_state_store"].delete(self._key)

    def _read(self) -> Notes | None:
        stored = self._context["task_state_store"].get(self._key)
        try:
            return None if stored is None else msgspec.convert(stored, Notes)
        except msgspec.ValidationError as error:
            raise self._conflict(
                f"cannot read what an earlier attempt has noted; it may have {self._deed}: {error}. Resolve it "
                "manually and run the task in a new DAG run"
            ) from None

    def _conflict(self, summary: str) -> ConflictError:
        return ConflictError(summary, call=Call(system=self._client.system))

    def _save(self, stored: Notes) -> None:
        # Not at the top: no parsing of a DAG file needs it.
        from airflow_provider.operators.carrying_out import save_record

        save_record(self._context, self._key, stored)
