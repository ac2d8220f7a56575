"""What a task remembers of a request of its own that needs no more: an answer to an approval, a trigger by hand."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import msgspec

from airflow_provider.core.commands import Save
from airflow_provider.core.generation import Attempt, Relation, ambiguity, relation_since
from airflow_provider.exceptions import Call, ConflictError
from airflow_provider.storable import storable


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


Recalling = Generator[Save, Any, dict[str, Any] | None]
"""A program that writes down at most that a person was told something."""


def recall(stored: Notes, attempt: Attempt, *, system: str, place: str, deed: str) -> Recalling:
    """What an earlier attempt of this generation has noted; ``None`` after a clear.

    :param place: where the connection leads to now.
    :param deed: what the request is about, for people, such as ``answered an approval of release task 'shop'``.
    :raises ConflictError: a retry cannot be told from a clear, or the connection led to another system then.
    """
    related = relation_since(stored.told, stored.attempt, attempt, had_succeeded=stored.is_done)
    if related is Relation.CLEARED:
        return None
    what = f"{'has' if stored.is_done else 'may have'} {deed}"
    call = Call(system=system)
    if related is Relation.AMBIGUOUS:
        # Not by the attempt that writes: the notes stay the word of the one that sent.
        stored.told = attempt
        yield Save(stored)
        raise ConflictError(ambiguity(what, "sent", "send it anew"), call=call)
    if stored.place not in ("", place):
        raise ConflictError(
            f"the connection now leads to {place}, but an earlier attempt {what} at {stored.place}: nothing was sent. "
            "Clear this task to send it to the other system",
            call=call,
        )
    return stored.notes
