"""The trigger that waits for an execution to finish, and cancels it when a person ends the task."""

from __future__ import annotations

import asyncio
import functools
import math
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow.sdk.configuration import conf
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent
from asgiref.sync import sync_to_async
from msgspec.structs import replace

from airflow_provider.clients.urls import place_of
from airflow_provider.core import lines
from airflow_provider.core.canceling import (
    CANCEL_REASON,
    RESUMED,
    TaskSeen,
    Verdict,
    cancel,
    judge_trigger_kill,
    not_canceled,
)
from airflow_provider.core.commands import Cancel, Log, Pause
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.lines import LogLine, name_of
from airflow_provider.core.waiting import Begun, Wait, named_exactly
from airflow_provider.exceptions import BadRequestError, Call, ReleasePipelineError
from airflow_provider.execution import ExecutionRef
from airflow_provider.freeze_watch import FreezeWatch
from airflow_provider.links import MARKER_XCOM, xcoms_of
from airflow_provider.missing_parts import MISSING, noting_parts, problem_of_parts
from airflow_provider.storable import storable, storable_text
from airflow_provider.task_instances import identity_of, task_state
from airflow_provider.triggers.asked import Asked
from airflow_provider.triggers.kills import shielded
from airflow_provider.triggers.poller import shared_poller
from airflow_provider.triggers.shared_client import shared_client
from airflow_provider.triggers.templates import pulling_one_xcom
from airflow_provider.triggers.xcoms import pull_xcom, push_xcom
from airflow_provider.unforeseen import unforeseen

if TYPE_CHECKING:
    from airflow.sdk import Context


@functools.cache
def freeze_watch() -> FreezeWatch:
    """One for the triggerer's process, created with its first wait."""
    return FreezeWatch()


def given_up_after() -> float:
    """Seconds without a heartbeat after which Airflow gives a triggerer's waits to another one."""
    seconds: float = conf.getfloat("triggerer", "triggerer_health_check_threshold", fallback=math.inf)
    return seconds


class ExecutionTrigger(BaseTrigger):
    """Waits for one execution; fires one event, an :class:`~airflow_provider.core.waiting.Outcome` as JSON.

    :param system: which of the four systems.
    :param conn_id: the Airflow connection; credentials never enter a trigger's arguments.
    :param ref: the execution to wait for.
    :param poll_interval: seconds between polls; raised to one second if it is shorter.
    :param deadline: epoch seconds, ``None`` for no limit. Wall clock, because the wait may move between machines.
    :param hold_back: seconds, from the trigger's start, for which the task is not sent back to a worker. Measured by
        the triggerer's clock: a worker's may be hours ahead.
    :param fail_on_waiting: whether the wait ends if the execution waits for a person.
    :param until: states that end the wait although the execution continues.
    :param slowest: seconds to which the interval may grow while nothing changes.
    :param net: seconds between polls after ``hold_back``, because the system reports the end to a webhook, which then
        ends the wait; ``None``: it does not.
    :param finish: end the task here if the execution succeeds, with or without the XCom of its result.
    :param marker: marker of the task's own start; ``None`` for what somebody else started, which is never canceled.
    :param has_asked: whether an earlier attempt of the task may have asked people: a question that it left open is
        closed.
    :param begun: a :class:`~airflow_provider.core.waiting.Begun` as JSON, if the wait began in a worker.
    """

    def __init__(
        self,
        *,
        system: str,
        conn_id: str,
        ref: ExecutionRef,
        poll_interval: float,
        deadline: float | None = None,
        hold_back: float = 0.0,
        fail_on_waiting: bool = False,
        until: Collection[str] = (),
        slowest: float | None = None,
        net: float | None = None,
        finish: Literal["", "task", "task without result"] = "",
        marker: str | None = None,
        has_asked: bool = False,
        begun: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.system = system
        self.conn_id = conn_id
        self.ref = ref
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.hold_back = hold_back
        self.fail_on_waiting = fail_on_waiting
        self.until = until
        self.slowest = slowest
        self.net = net
        self.finish = finish
        self.marker = marker
        self.has_asked = has_asked
        self.begun = dict(begun or {})
        self.current_wait: Wait | None = None
        self._continues = False
        """Whether the task continues without this wait."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "airflow_provider.triggers.execution.ExecutionTrigger",
            {
                "system": self.system,
                "conn_id": self.conn_id,
                "ref": storable(self.ref),
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "hold_back": self.hold_back,
                "fail_on_waiting": self.fail_on_waiting,
                "until": list(self.until),
                "slowest": self.slowest,
                "net": self.net,
                "finish": self.finish,
                "marker": self.marker,
                "has_asked": self.has_asked,
                "begun": self.begun,
            },
        )

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Called for a sensor that starts in the triggerer."""
        context, environment = pulling_one_xcom(context), jinja_env or self.get_template_env()
        rendered: dict[str, str] = {}
        for name, given in self.ref.items():
            parts: list[object] = []
            self.ref = {name: given}
            super().render_template_fields(context, noting_parts(environment, parts))
            rendered[name] = value = str(self.ref[name])
            if problem := MISSING if value == "None" != given else problem_of_parts(parts):
                # The task now goes to a worker, which reports the error by the name of its argument.
                raise BadRequestError(f"{name} {problem}", call=Call(system=self.system))
        self.ref = rendered

    async def run(self) -> AsyncIterator[TriggerEvent]:
        begun = Begun.from_json(self.begun)
        self.current_wait = Wait(
            self.ref,
            self.poll_interval,
            self.deadline,
            self.fail_on_waiting,
            until=frozenset(self.until),
            slowest=self.slowest,
            begun=begun,
            net=self.net,
            # A webhook does not end it earlier.
            net_from=time.time() + self.hold_back,
        )
        freeze_watch()
        running_since = time.monotonic()
        if self.has_asked and self.task_instance:
            await Asked(self.task_instance, asked_as="").close_if_open("the question is no longer asked")
        if begun.since is None:
            await self._log_beginning()
        outcome = await shared_poller(self.system, self.conn_id).wait(self.current_wait)
        # Failures go through the worker: only there are retries honored and the cause reported.
        if self.current_wait.since is not None:
            outcome = outcome._replace(seconds=max(0.0, time.time() - self.current_wait.since))
        if self.finish and outcome.is_success and await self._push(outcome.execution or {}):
            self._log_lines(lines.ended(outcome.execution or {}, outcome.seconds))
            yield TaskSuccessEvent()
            return
        await asyncio.sleep(self.hold_back - (time.monotonic() - running_since))
        yield TriggerEvent(outcome._replace(waited_for=named_exactly(self.ref)).to_event())

    async def _log_beginning(self) -> None:
        """Write the first line of the task's log, if no worker ran before."""
        who, place = "", ""
        with suppress(Exception):
            # If something is wrong with the connection, the polls report it.
            client = await shared_client(self.system, self.conn_id).get()
            who, place = client.who, place_of(client.transport.base_url)
        action = f"wait for {name_of(self.ref)}"
        self._log_lines(lines.begins(action, self.system, {}, who, self.conn_id, place))

    async def _push(self, execution: dict[str, Any]) -> bool:
        """Push what a worker would push; ``False`` if a worker must, because Airflow's API server is unreachable.

        XComs in the event are no alternative: Airflow 3.3.2 would store them as text that holds JSON, and the next task
        would get that.
        """
        xcoms = xcoms_of(execution) | ({"return_value": execution} if self.finish == "task" else {})
        where = self._where()
        if where is None:
            return False
        try:
            for key, value in xcoms.items():
                await push_xcom(key, value, where)
        except Exception as error:
            self.log.warning("Could not finish the task in the triggerer, a worker will: %s", error)
            return False
        return True

    def _where(self) -> dict[str, Any] | None:
        return identity_of(self.task_instance) if self.task_instance else None

    async def on_kill(self) -> None:
        """Cancel the execution, once, if a person ended the task that started it."""
        if not self.marker:
            return
        await shielded(self._cancel_if_a_person_acted(self.marker), DURATIONS.trigger_kill_limit)

    async def _cancel_if_a_person_acted(self, marker: str) -> None:
        ref = self.current_wait.ref if self.current_wait else self.ref
        name = name_of(ref)
        try:
            verdict, reason = await self._judge(marker)
            if verdict is not Verdict.CANCEL:
                self._log_lines(not_canceled(verdict, name, reason))
                await self._log_end()
                return
            # Logged first: the triggerer may end before the answer comes.
            self._log_lines(lines.canceling(name, reason))
            problem = await self._cancel(ref)
        except Exception as error:
            # Nothing reads the exceptions of this asyncio task.
            problem = unforeseen(error, f"Canceling {name}", self.system)
        self._log_lines(lines.cancel_failed(name, problem) if problem else lines.cancel_taken(name))

    async def _log_end(self) -> None:
        """After a webhook has ended the wait: log the end of the execution, and the last lines of its own log."""
        if self.net is None or self.current_wait is None or not self._continues:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(DURATIONS.trigger_kill_limit):
                outcome = await shared_poller(self.system, self.conn_id).wait(self.current_wait)
                if self.finish and outcome.is_success:
                    self._log_lines(lines.ended(outcome.execution or {}, outcome.seconds))

    def _log_lines(self, *news: LogLine) -> None:
        for line in news:
            getattr(self.log, line.level)("%s", storable_text(line.text))

    async def _cancel(self, ref: ExecutionRef) -> ReleasePipelineError | None:
        """Cancel, and retry while the system does not answer; returns the error if it failed."""
        clock = SimpleNamespace(now=time.time())
        program = cancel(clock, ref, CANCEL_REASON, DURATIONS.trigger_kill_limit)
        poller = shared_poller(self.system, self.conn_id)
        try:
            command = next(program)
            while True:
                problem = None
                match command:
                    case Cancel():
                        try:
                            await poller.call(lambda client: client.cancel(ref, CANCEL_REASON))
                        except ReleasePipelineError as error:
                            problem = error
                        except Exception as error:
                            problem = unforeseen(error, "A cancel", self.system)
                    case Pause(seconds):
                        await asyncio.sleep(seconds)
                    case Log(news):
                        self._log_lines(*news)
                clock.now = time.time()
                command = program.throw(problem) if problem else program.send(None)
        except StopIteration as stop:
            return cast("ReleasePipelineError | None", stop.value)

    async def _judge(self, marker: str) -> tuple[Verdict, str]:
        """Decide whether a person ended the task, or the wait continues elsewhere."""
        where = self._where()
        if where is None:
            return Verdict.LEAVE, "this trigger belongs to no task"
        begun, was_retrying = time.monotonic(), False
        while True:
            seen = replace(await self._read_task(where), was_retrying=was_retrying)
            was_retrying = was_retrying or seen.state == "up_for_retry"
            self._continues = seen.waits_as == RESUMED + marker
            waited, frozen_for = time.monotonic() - begun, freeze_watch().frozen_for()
            verdict, reason = await self._judge_seen(seen, marker, waited, frozen_for)
            if verdict is not Verdict.ASK_AGAIN:
                return verdict, reason
            await asyncio.sleep(DURATIONS.undecided_pause)

    async def _judge_seen(self, seen: TaskSeen, marker: str, waited: float, frozen_for: float) -> tuple[Verdict, str]:
        return judge_trigger_kill(seen, marker, waited, frozen_for, given_up_after=given_up_after())

    async def _read_task(self, where: dict[str, Any]) -> TaskSeen:
        """Read the task instance from Airflow; without a state while its API server is unreachable."""
        try:
            state = await sync_to_async(task_state)(**where)
            waits_as = await pull_xcom(MARKER_XCOM, where)
            return TaskSeen(state, waits_as)
        except Exception as error:
            self.log.warning("Could not read from Airflow who ended the task: %s", error)
            return TaskSeen(None)
