"""Is it the same start? Distinguishes an automatic retry from a clear by a person.

Airflow 3.3.2 counts ``max_tries``, ``try_number`` and the run's ``clear_number``, and no single one is enough:

- ``max_tries`` stays the same over automatic retries. A clear sets it to ``try_number + retries``, which is the same
  number if somebody has lowered ``retries``, and does not change it if the worker had died before Airflow noticed.
- ``clear_number`` grows with each clear of any task of the run (unless the caller leaves the run as it is).
- ``try_number`` exceeds ``max_tries + 1`` after a clear of a task whose worker had died, and after a new scheduler
  resets the tasks of an earlier one (if its executor cannot adopt them, such as ``LocalExecutor``). Both give the task
  instance another id and drop how it would have resumed. An attempt cannot see or query any other difference: the
  history of tries, ``queued_by_job_id`` and the event log are for people and schedulers only.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Attempt(NamedTuple):
    """Airflow's numbers for one attempt of a task.

    :param clear_number: of the DAG run; -1 in records of the first version, which do not have it.
    :param retries: of the task in its current version; a deploy may have changed it.
    """

    try_number: int
    max_tries: int
    clear_number: int
    retries: int = 0


class Relation(enum.StrEnum):
    """How an attempt relates to the one that last wrote the record."""

    SAME = "same"
    """The same attempt after a deferral, or an automatic retry."""
    CLEARED = "cleared"
    """A person has cleared the task since."""
    AMBIGUOUS = "ambiguous"
    """One or the other: something in the run was cleared since, perhaps this task, or a new scheduler has reset it."""


def relation(last: Attempt, now: Attempt, *, had_succeeded: bool) -> Relation:
    """How ``now`` relates to ``last``, the attempt that wrote the record.

    :param had_succeeded: whether that attempt was about to succeed: then only a crash at the very end leads to an
        automatic retry, and a clear is the likely cause of another attempt.
    """
    if now.max_tries != last.max_tries:
        return Relation.CLEARED
    if now.try_number == last.try_number:
        return Relation.SAME
    if now.try_number > now.max_tries + 1:
        # The run's clear_number does not help: it may have grown by a clear of another task.
        return Relation.AMBIGUOUS
    # A clear would have set max_tries to this very number.
    would_look_alike = last.try_number + now.retries == now.max_tries
    if last.clear_number in (now.clear_number, -1):
        return Relation.AMBIGUOUS if had_succeeded and would_look_alike else Relation.SAME
    if had_succeeded and would_look_alike:
        return Relation.CLEARED
    return Relation.AMBIGUOUS


def was_resolved(escalated_by: Attempt | None, now: Attempt) -> bool:
    """Whether a person has cleared the task since an attempt asked for that.

    A clear of a finished task sets ``max_tries`` again. Only if that may be the same number, because ``retries`` were
    lowered, is the run's ``clear_number`` used: otherwise any other task may have been cleared.

    :param escalated_by: the attempt that asked a person to resolve something and clear the task, if there is one.
    """
    if escalated_by is None:
        return False
    if now.max_tries != escalated_by.max_tries:
        return True
    cleared_at = now.max_tries - now.retries
    would_look_alike = escalated_by.try_number <= cleared_at < now.try_number
    return would_look_alike and now.clear_number != escalated_by.clear_number


def relation_since(escalated_by: Attempt | None, last: Attempt, now: Attempt, *, had_succeeded: bool) -> Relation:
    """As :func:`relation`, if an attempt after ``last`` may have asked a person to clear the task.

    :param escalated_by: that attempt.
    """
    related = relation(last, now, had_succeeded=had_succeeded)
    if escalated_by and had_succeeded and not was_resolved(escalated_by, now):
        # A person was already asked, and the numbers may look different since then.
        return Relation.AMBIGUOUS
    if related is Relation.AMBIGUOUS and was_resolved(escalated_by, now):
        return Relation.CLEARED
    return related


def ambiguity(what: str, undone: str, anew: str) -> str:
    """Explains an ambiguous relation to a person, and what to do about it.

    :param what: what an earlier attempt did or may have done.
    :param undone: what was not done this time.
    :param anew: what a clear would do.
    """
    return (
        f"ambiguous: an earlier attempt {what}. Airflow does not say whether this task was cleared since, or is being "
        f"retried after a clear of another task or by a new scheduler, so nothing was {undone}. Resolve it manually: "
        f"clear this task (again) to {anew}"
    )
