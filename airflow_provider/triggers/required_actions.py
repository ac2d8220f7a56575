"""Reads and closes a task's required action from a triggerer. Nothing here raises.

Each call waits for the triggerer's supervisor, so it is made in a thread of its own: Airflow's own triggers share the
one thread of ``sync_to_async``, which must not be blocked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.hitl import get_hitl_detail_content_detail, update_hitl_detail_response
from msgspec import Struct

from airflow_provider.core.approving import COMMENT

if TYPE_CHECKING:
    from uuid import UUID

log = structlog.get_logger(logger_name=__name__)

_NOT_FOUND, _CONFLICT = 404, 409


class Seen(Struct):
    """The state of a required action.

    :param is_known: whether Airflow answered.
    :param is_missing: whether there is none, or it has moved to another attempt.
    :param answer: a person's answer as Airflow passes it to the task; ``None`` while there is none.
    :param is_open: whether somebody may still answer.
    """

    is_known: bool = True
    is_missing: bool = False
    answer: dict[str, Any] | None = None
    is_open: bool = False


async def read(ti_id: UUID) -> Seen:
    """Read the required action of a task instance."""
    try:
        detail = await asyncio.to_thread(get_hitl_detail_content_detail, ti_id=ti_id)
    except Exception as error:
        if _status(error) == _NOT_FOUND:
            return Seen(is_missing=True)
        log.warning("Could not read from Airflow whether anybody has answered: %s", error)
        return Seen(is_known=False)
    if not detail.response_received or not detail.chosen_options:
        return Seen(is_open=True)
    person = detail.responded_by_user
    if person is None:
        # Closed by us: nobody has answered.
        return Seen()
    return Seen(
        answer={
            "chosen_options": list(detail.chosen_options),
            "params_input": detail.params_input or {},
            "responded_at": detail.responded_at.isoformat() if detail.responded_at else None,
            "responded_by_user": {"id": person.id, "name": person.name},
            "timedout": False,
        }
    )


async def close(ti_id: UUID, option: str, why: str, field: str = COMMENT) -> None:
    """Close it, so that nobody answers what is already decided.

    :param option: shown as the answer.
    :param field: the form field that shows why.
    """
    update: Callable[..., Any] = update_hitl_detail_response
    try:
        await asyncio.to_thread(update, ti_id=ti_id, chosen_options=[option], params_input={field: why})
    except Exception as error:
        if _status(error) not in (_NOT_FOUND, _CONFLICT):
            log.warning("Could not close the required action (%s): %s", why, error)


def _status(error: Exception) -> int | None:
    detail = error.error.detail if isinstance(error, AirflowRuntimeError) else None
    return (detail or {}).get("status_code")
