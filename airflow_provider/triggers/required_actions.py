"""Airflow's required action of a task, as a triggerer reads and closes it. Nothing here raises.

Each call waits for the triggerer's supervisor, so it is made in a thread of its own: what Airflow's own triggers do in
the one thread of ``sync_to_async`` goes on meanwhile.
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
    """How a required action stands.

    :param is_known: whether Airflow answered.
    :param is_missing: whether there is none, or it has moved to another attempt.
    :param answer: what Airflow hands a task on of a person's answer; ``None`` while there is none.
    :param is_open: whether somebody may still answer.
    """

    is_known: bool = True
    is_missing: bool = False
    answer: dict[str, Any] | None = None
    is_open: bool = False


async def read(ti_id: UUID) -> Seen:
    """Look at the required action of a task instance."""
    try:
        told = await asyncio.to_thread(get_hitl_detail_content_detail, ti_id=ti_id)
    except Exception as error:
        if _status(error) == _NOT_FOUND:
            return Seen(is_missing=True)
        log.warning("Cannot look whether anybody has answered: %s", error)
        return Seen(is_known=False)
    if not told.response_received or not told.chosen_options:
        return Seen(is_open=True)
    person = told.responded_by_user
    if person is None:
        # Closed by us: nobody has answered.
        return Seen()
    return Seen(
        answer={
            "chosen_options": list(told.chosen_options),
            "params_input": told.params_input or {},
            "responded_at": told.responded_at.isoformat() if told.responded_at else None,
            "responded_by_user": {"id": person.id, "name": person.name},
            "timedout": False,
        }
    )


async def close(ti_id: UUID, option: str, why: str, field: str = COMMENT) -> None:
    """Close it, so that nobody answers what is decided.

    :param option: shown as the answer.
    :param field: of the form; it shows why.
    """
    update: Callable[..., Any] = update_hitl_detail_response
    try:
        await asyncio.to_thread(update, ti_id=ti_id, chosen_options=[option], params_input={field: why})
    except Exception as error:
        if _status(error) not in (_NOT_FOUND, _CONFLICT):
            log.warning("The required action stays open, although it is over (%s): %s", why, error)


async def close_if_open(ti_id: UUID, option: str, why: str) -> None:
    """As :func:`close`, if somebody may still answer."""
    if (await read(ti_id)).is_open:
        await close(ti_id, option, why)


def _status(error: Exception) -> int | None:
    detail = error.error.detail if isinstance(error, AirflowRuntimeError) else None
    return (detail or {}).get("status_code")
