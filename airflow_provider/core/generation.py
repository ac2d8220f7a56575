"""Is it the same start? What tells an automatic retry from a person's clear.

Airflow 3.3.2 counts ``max_tries``, ``try_number`` and the run's ``clear_number``, and none of them tells alone:

- ``max_tries`` stays the same over automatic retries. A clear sets it to ``try_number + retries``, which is the same
  number where somebody has lowered ``retries``, and leaves it alone where the worker had died before Airflow noticed.
- ``clear_number`` grows with each clear of any task of the run (unless the caller left the run alone).
- ``try_number`` goes beyond ``max_tries + 1`` after a clear of a task whose worker had died, and where a new scheduler
  resets what one before it ran (its executor cannot adopt, such as ``LocalExecutor``). Both give the task instance
  another id and drop how it would have resumed, and nothing else that an attempt is told or may ask differs: the
  history of tries, ``queued_by_job_id`` and the event log are for people and schedulers only.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Attempt(NamedTuple):
    """What Airflow says of one attempt of a task.

    :param clear_number: of the DAG run; -1 where a record of the first version does not tell it.
    :param retries: of the task as it is now; a deploy may have changed it.
    """

    try_number: int
    max_tries: int
    clear_number: int
    retries: int = 0


class Relation(enum.StrEnum):
    """What an attempt is to the one that wrote the record last."""

    SAME = "same"
    """The same, resumed, or an automatic retry."""
    CLEARED = "cleared"
    """A person has cleared the task since."""
    AMBIGUOUS = "ambiguous"
    """Either: something in the run was cleared since, perhaps this task; or a new scheduler has reset it."""


def relation(last: Attempt, now: Attempt, *, had_succeeded: bool) -> Relation:
    """What ``now`` is to ``last``, the attempt that wrote the record.

    :param had_succeeded: whether that attempt was about to end well; then only a crash in its last moment leads to an
        automatic retry, and a clear is the likely cause of another attempt.
    """
    if now.max_tries != last.max_tries:
        return Relation.CLEARED
    if now.try_number == last.try_number:
        return Relation.SAME
    if now.try_number > now.max_tries + 1:
        # Nor does the run's number tell: it may have grown by a clear of another task.
        return Relation.AMBIGUOUS
    # A clear would have set max_tries to this very number.
    would_look_alike = last.try_number + now.retries == now.max_tries
    if last.clear_number in (now.clear_number, -1):
        return Relation.AMBIGUOUS if had_succeeded and would_look_alike else Relation.SAME
    if had_succeeded and would_look_alike:
        return Relation.CLEARED
    return Relation.AMBIGUOUS


def was_answered(told: Attempt | None, now: Attempt) -> bool:
    """Whether a person has cleared the task since one was told to resolve something and do so.

    A clear of a task that is over sets ``max_tries`` anew. Only where that can be the same number, because ``retries``
    were lowered, does the run's number tell: else it may have been any other task that was cleared.

    :param told: the attempt that told it, if any has.
    """
    if told is None:
        return False
    if now.max_tries != told.max_tries:
        return True
    cleared_at = now.max_tries - now.retries
    would_look_alike = told.try_number <= cleared_at < now.try_number
    return would_look_alike and now.clear_number != told.clear_number


def relation_since(told: Attempt | None, last: Attempt, now: Attempt, *, had_succeeded: bool) -> Relation:
    """As :func:`relation`, where an attempt after ``last`` may have asked a person to clear the task.

    :param told: that attempt.
    """
    related = relation(last, now, had_succeeded=had_succeeded)
    if told and had_succeeded and not was_answered(told, now):
        # A person was asked already; what makes numbers look alike may have changed since.
        return Relation.AMBIGUOUS
    if related is Relation.AMBIGUOUS and was_answered(told, now):
        return Relation.CLEARED
    return related


def ambiguity(what: str, undone: str, anew: str) -> str:
    """What a person is told of an ambiguous relation, and what to do about it.

    :param what: an earlier attempt did, or may have done.
    :param undone: what was not done now.
    :param anew: what a clear does.
    """
    return (
        f"ambiguous: an earlier attempt {what}. Airflow does not say whether this task was cleared since, or is tried "
        f"again after a clear of another task or by a new scheduler, so nothing was {undone}. Resolve it manually: "
        f"clear this task (again) to {anew}"
    )
