"""The one trigger: waits in the triggerer until an execution is over, and cancels it when a person ends the task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import ExecutionRef
from airflow_provider.killing import CANCEL_REASON, ENDED_BY_A_PERSON, MARKER_XCOM, NO_STATE, cancel_surely, task_state
from airflow_provider.links import xcoms_of
from airflow_provider.triggers.poller import shared_poller
from airflow_provider.triggers.templates import pulling_one_xcom
from airflow_provider.core.waiting import Wait

if TYPE_CHECKING:
    from airflow.sdk import Context

KILL_LIMIT = 20.0
"""Seconds that a cancellation may take."""

UNDECIDED_LIMIT = 10.0
"""Seconds in which a task that waits to be run may show whether it was cleared; then it counts as cleared."""

_cancellations: set[asyncio.Task[None]] = set()
"""Keeps running cancellations alive: the event loop itself holds only weak references."""


class ExecutionTrigger(BaseTrigger):
    """Waits for one execution; ends with one event, an :class:`~airflow_provider.core.waiting.Outcome` as JSON.

    :param system: which of the four systems.
    :param conn_id: the Airflow connection; credentials never enter a trigger's arguments.
    :param ref: what is waited for.
    :param poll_interval: seconds between looks; below one second is raised to one.
    :param deadline: epoch seconds, ``None`` for no limit. Wall clock, because the wait may move between machines.
    :param not_before: epoch seconds before which the task is not sent back to a worker.
    :param fail_on_waiting: whether waiting for a person ends the wait.
    :param until: states that end the wait although the execution goes on.
    :param slowest: seconds to which the interval may grow while nothing changes.
    :param finish: end the task here when the execution ended well, with or without the XCom of its result.
    :param marker: of the start that the task made; ``None`` for what somebody else started, which is never canceled.
    """

    def __init__(
        self,
        *,
        system: str,
        conn_id: str,
        ref: ExecutionRef,
        poll_interval: float,
        deadline: float | None = None,
        not_before: float | None = None,
        fail_on_waiting: bool = False,
        until: Collection[str] = (),
        slowest: float | None = None,
        finish: Literal["", "task", "task without result"] = "",
        marker: str | None = None,
    ) -> None:
        super().__init__()
        self.system = system
        self.conn_id = conn_id
        self.ref = ref
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.not_before = not_before
        self.fail_on_waiting = fail_on_waiting
        self.until = until
        self.slowest = slowest
        self.finish = finish
        self.marker = marker
        self._wait: Wait | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "airflow_provider.triggers.execution.ExecutionTrigger",
            {
                "system": self.system,
                "conn_id": self.conn_id,
                "ref": self.ref,
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "not_before": self.not_before,
                "fail_on_waiting": self.fail_on_waiting,
                "until": list(self.until),
                "slowest": self.slowest,
                "finish": self.finish,
                "marker": self.marker,
            },
        )

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Called where a sensor starts in the triggerer."""
        super().render_template_fields(pulling_one_xcom(context), jinja_env)
        self.ref = {name: str(value) for name, value in self.ref.items()}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        self._wait = Wait(
            self.ref,
            self.poll_interval,
            self.deadline,
            self.fail_on_waiting,
            until=frozenset(self.until),
            slowest=self.slowest,
        )
        outcome = await shared_poller(self.system, self.conn_id).wait(self._wait)
        # A failure goes through the worker: only there it honours retries and tells its cause.
        if self.finish and outcome.is_success and await self._push(outcome.execution or {}):
            yield TaskSuccessEvent()
            return
        if self.not_before:
            await asyncio.sleep(self.not_before - time.time())
        yield TriggerEvent(outcome.to_event())

    async def _push(self, execution: dict[str, Any]) -> bool:
        """Push what a worker would push; ``False`` if a worker must, because Airflow's API server is away.

        Airflow 3.3.2 would store the XComs of the event as text that holds JSON, and the next task would get that.
        """
        xcoms = xcoms_of(execution) | ({"return_value": execution} if self.finish == "task" else {})
        where = self._where()
        if where is None:
            return False
        try:
            for key, value in xcoms.items():
                await XCom.aset(key, value, **where)
        except Exception as error:
            self.log.warning("Cannot end the task here, a worker will: %s", error)
            return False
        return True

    def _where(self) -> dict[str, Any] | None:
        ti = self.task_instance
        if ti is None:
            return None
        return {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}

    async def on_kill(self) -> None:
        """Cancel the execution, once, if a person ended the task that started it."""
        if not self.marker:
            return
        cancellation = asyncio.create_task(self._cancel_if_a_person_acted(self.marker))
        _cancellations.add(cancellation)
        cancellation.add_done_callback(_cancellations.discard)
        loop = asyncio.get_running_loop()
        end = loop.time() + KILL_LIMIT
        # Airflow 3.3.2 cancels the call that it awaits about once a second: the work goes on in a task of its own.
        while not cancellation.done() and loop.time() < end:
            with suppress(asyncio.CancelledError):
                await asyncio.wait({cancellation}, timeout=end - loop.time())

    async def _cancel_if_a_person_acted(self, marker: str) -> None:
        ref = self._wait.ref if self._wait else self.ref
        if not await self._a_person_acted(marker):
            self.log.info("Not canceling %s %s: the wait moved to another triggerer", self.system, ref["id"])
            return
        try:
            await shared_poller(self.system, self.conn_id).call(
                lambda client: cancel_surely(client, ref, CANCEL_REASON, KILL_LIMIT)
            )
            self.log.info("Canceled %s %s", self.system, ref["id"])
        except ReleasePipelineError as error:
            self.log.error("Could not cancel %s %s: %s", self.system, ref["id"], error)

    async def _a_person_acted(self, marker: str) -> bool:
        """Airflow also calls :meth:`on_kill` in a triggerer that stalled, for waits that another one took over.

        There the task is deferred still, or has resumed already, and stands for the start that this wait is of. After a
        clear it stands for none, or for a newer one; until the scheduler runs it again, both look the same.
        """
        where = self._where()
        if where is None:
            return False
        end = time.monotonic() + UNDECIDED_LIMIT
        while True:
            state, stands_for = await self._told(where)
            if state == NO_STATE or state in ENDED_BY_A_PERSON:
                return True
            if state == "deferred":
                return stands_for not in (None, marker)
            if state is not None and stands_for != marker:
                return True
            if state in ("running", "up_for_retry"):
                return False
            if time.monotonic() > end:
                return state is not None
            await asyncio.sleep(0.3)

    async def _told(self, where: dict[str, Any]) -> tuple[str | None, str | None]:
        """State of the task instance and for which start it stands; no state while Airflow's API server is away."""
        try:
            return await sync_to_async(task_state)(**where), await XCom.aget_one(key=MARKER_XCOM, **where)
        except Exception as error:
            self.log.warning("Cannot ask who ended the task: %s", error)
            return None, None
