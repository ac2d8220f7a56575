"""Ends the waits for an execution that has finished: in Airflow's database, as a triggerer would.

Nothing else is fast enough: a triggerer of 3.3.2 exchanges messages once a second in each direction, and a read of
Airflow's database once a second costs more than the polls that it would save. See ``docs/webhooks.md`` for the figures.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select, update

from airflow_provider.clients.unforeseen import place_of_error
from airflow_provider.core.canceling import RESUMED
from airflow_provider.core.waiting import WAITED_FOR, Begun, Outcome, Wait, named_exactly
from airflow_provider.execution import Execution
from airflow_provider.links import MARKER_XCOM, xcoms_of
from airflow_provider.triggers.execution import ExecutionTrigger

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from airflow_provider.clients.base import ReleaseClient

log = logging.getLogger(__name__)

CLASSPATH = f"{ExecutionTrigger.__module__}.{ExecutionTrigger.__qualname__}"
"""Of triggers that only wait for an execution. A trigger that also asks people polls."""


class Deferred(NamedTuple):
    """A deferred task that waits for an execution, by the ids of its task instance and of its trigger."""

    key: Any
    trigger_id: int


def end_waits(client: ReleaseClient, finished: Execution) -> int:
    """End the waits for an execution; returns how many.

    Each result has been read from the system just now, nothing of it comes from a message.

    :param finished: as the client has just observed it.
    :raises Exception: the database's.
    """
    ended = 0
    for each in waiting_for(finished):
        try:
            ended += _end_wait(client, each, finished)
        except Exception as error:
            log.warning("Could not end a wait, it will poll: %s", place_of_error(error))
    return ended


def waiting_for(execution: Execution) -> list[Deferred]:
    with create_session() as session:
        rows = session.execute(
            select(TaskInstance.id, Trigger.id)
            .join(Trigger, Trigger.id == TaskInstance.trigger_id)
            .where(
                TaskInstance.state == TaskInstanceState.DEFERRED,
                TaskInstance.next_kwargs[WAITED_FOR].as_string() == named_exactly(execution.ref),
                Trigger.classpath == CLASSPATH,
            )
        ).all()
    return [Deferred(key, trigger_id) for key, trigger_id in rows]


def _end_wait(client: ReleaseClient, waiting: Deferred, finished: Execution) -> bool:
    with create_session() as session:
        row = session.get(Trigger, waiting.trigger_id)
        if row is None:
            return False
        trigger, since = ExecutionTrigger(**row.kwargs), row.created_date
    # The reference of a wait may hold more than that of a message.
    seen = finished if trigger.ref == finished.ref else client.observe(trigger.ref)
    outcome = _outcome(trigger, seen, client)
    if outcome is None:
        return False
    is_finished = bool(trigger.finish) and outcome.is_success and XCom is BaseXCom
    waited = (datetime.now(UTC) - since).total_seconds()
    if not is_finished and waited < trigger.hold_back:
        # Airflow may not know yet that the process that deferred has ended. The trigger polls when it does.
        return False
    with create_session() as session:
        return _end(waiting, trigger, outcome, is_finished, session)


def _outcome(trigger: ExecutionTrigger, seen: Execution, client: ReleaseClient) -> Outcome | None:
    """The outcome of a wait, as its trigger would return it; ``None`` if it continues."""
    if not seen.state.is_terminal or client.waits.settling_of(seen):
        return None
    now = time.time()
    begun = Begun.from_json(trigger.begun)
    outcome = Wait(trigger.ref, trigger.poll_interval, begun=begun).update(seen, now)
    if outcome is None:
        return None
    seconds = None if begun.since is None else max(0.0, now - begun.since)
    return outcome._replace(seconds=seconds, waited_for=named_exactly(trigger.ref))


def _end(waiting: Deferred, trigger: ExecutionTrigger, outcome: Outcome, is_finished: bool, session: Session) -> bool:
    """Let the task continue, unless something else has ended its wait since.

    :param is_finished: whether nothing is left to do in a worker.
    """
    # Changes nothing but locks the row, first of all: SQLite has no row locks, and no transaction may read, then write.
    mine = (
        update(TaskInstance)
        .where(
            TaskInstance.id == waiting.key,
            TaskInstance.trigger_id == waiting.trigger_id,
            TaskInstance.state == TaskInstanceState.DEFERRED,
        )
        .values(trigger_id=TaskInstance.trigger_id)
    )
    if session.execute(mine, execution_options={"synchronize_session": False}).rowcount != 1:  # type: ignore[attr-defined]
        return False
    ti = session.scalars(select(TaskInstance).where(TaskInstance.id == waiting.key)).one()
    if trigger.marker:
        # The triggerer now ends the trigger, which asks who ended the task.
        _push(ti, MARKER_XCOM, RESUMED + trigger.marker, session)
    if is_finished:
        execution = outcome.execution or {}
        result = {"return_value": execution} if trigger.finish == "task" else {}
        for key, value in (xcoms_of(execution) | result).items():
            _push(ti, key, value, session)
    event = TaskSuccessEvent() if is_finished else TriggerEvent(outcome.to_event())
    Trigger.submit_event(waiting.trigger_id, event, session=session)
    return True


def _push(ti: TaskInstance, key: str, value: Any, session: Session) -> None:
    XComModel.set(
        key,
        BaseXCom.serialize_value(value),
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=ti.map_index,
        serialize=False,
        session=session,
    )
