"""What a task remembers of a request of its own that needs no more: an answer to an approval, a trigger by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider.core.generation import Attempt, Relation, relation
from airflow_provider.operators.attempt import attempt_of
from airflow_provider.storable import storable

if TYPE_CHECKING:
    from airflow.sdk import Context


class Memory:
    """Notes in the task state store, which automatic retries see and a cleared task does not.

    :param key: of the notes.
    """

    def __init__(self, context: Context, key: str) -> None:
        self._context = context
        self._key = key

    def recall(self) -> dict[str, Any] | None:
        """What an earlier attempt of this generation has noted.

        Where a clear cannot be told from a retry, it counts as a retry: what was sent is not sent again.
        """
        stored = self._context["task_state_store"].get(self._key)
        if not isinstance(stored, dict) or "attempt" not in stored:
            return None
        last = Attempt(*stored["attempt"])
        related = relation(last, attempt_of(self._context), had_succeeded=bool(stored.get("is_done")))
        return None if related is Relation.CLEARED else stored["notes"]

    def note(self, notes: dict[str, Any], *, is_done: bool = False) -> None:
        """Write down what is about to be sent.

        :param is_done: the system has taken it.
        """
        attempt = list(attempt_of(self._context))
        stored = storable({"attempt": attempt, "notes": notes, "is_done": is_done})
        self._context["task_state_store"].set(self._key, stored)

    def forget(self) -> None:
        """For a request that certainly had no effect."""
        self._context["task_state_store"].delete(self._key)
