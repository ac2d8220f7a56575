"""What a task remembers of the approval that it answers: a retry must neither answer the next one nor miss its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider.operators.start_record import generation_of

if TYPE_CHECKING:
    from airflow.sdk import Context

KEY = "approval_answer"


def remembered(context: Context) -> dict[str, Any] | None:
    """What an earlier attempt of this generation was about to answer."""
    stored = context["task_state_store"].get(KEY)
    is_own = isinstance(stored, dict) and stored.get("generation") == generation_of(context)
    return stored["asked"] if is_own else None


def remember(context: Context, asked: Mapping[str, Any]) -> None:
    """Write down what is about to be answered."""
    context["task_state_store"].set(KEY, {"generation": generation_of(context), "asked": dict(asked)})


def forget(context: Context) -> None:
    """For an answer that certainly was not taken."""
    context["task_state_store"].delete(KEY)
