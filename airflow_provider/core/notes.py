"""What a retry knows of a single request that an earlier attempt sent or was about to send."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from airflow_provider.core.commands import Save
from airflow_provider.core.generation import Attempt, Relation, ambiguity, relation_since
from airflow_provider.core.record import RequestRecord
from airflow_provider.exceptions import Call, ConflictError

Recalling = Generator[Save, Any, dict[str, Any] | None]
"""A program whose only command, if any, saves that a person was asked."""


def recall(stored: RequestRecord, attempt: Attempt, *, system: str, place: str, action: str) -> Recalling:
    """The notes of an earlier attempt of this generation; ``None`` after a clear.

    :param place: where the connection leads now.
    :param action: what the request did, for people, such as ``answered an approval of release task 'shop'``.
    :raises ConflictError: it may be a retry or a clear, or the connection led to another system then.
    """
    related = relation_since(stored.escalated_by, stored.attempt, attempt, had_succeeded=stored.is_done)
    if related is Relation.CLEARED:
        return None
    what = f"{'has' if stored.is_done else 'may have'} {action}"
    call = Call(system=system)
    if related is Relation.AMBIGUOUS:
        # stored.attempt stays that of the attempt that sent the request.
        stored.escalated_by = attempt
        yield Save(stored)
        raise ConflictError(ambiguity(what, "sent", "send it anew"), call=call)
    if stored.place not in ("", place):
        raise ConflictError(
            f"the connection now leads to {place}, but an earlier attempt {what} at {stored.place}: nothing was sent. "
            "Clear this task to send it to the other system",
            call=call,
        )
    return stored.notes
