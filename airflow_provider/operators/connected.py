"""An operator with a connection to one of the systems, and what all waiting operators do alike."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf

from airflow_provider.core.waiting import News, Wait
from airflow_provider.exceptions import BadRequestError, Call
from airflow_provider.links import ExecutionLink, xcoms_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.execution import ExecutionRef

DEFAULT_DEFERRABLE = conf.getboolean("operators", "default_deferrable", fallback=False)

DEFERRAL_MARGIN = 120.0
"""Seconds that Airflow's own time-out of a deferral comes after our deadline."""


NOTICE_MARGIN = 2.0
"""Seconds that the executor and the scheduler take to pass on that a process has ended."""


def in_dag_test() -> bool:
    """Whether ``dag.test()`` runs this, which has neither a worker's process nor a triggerer."""
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    supervisor = sys.modules.get("airflow.sdk.execution_time.supervisor")
    channel = getattr(runner, "SUPERVISOR_COMMS", None)
    return supervisor is not None and isinstance(channel, supervisor.InProcessSupervisorComms)


def worker_is_noticed_by() -> float | None:
    """Epoch seconds at which Airflow will have noticed that the process ended that defers now.

    The scheduler of 3.3.2 fails a task that was deferred, resumed and queued again before it heard of the end of its
    first process, which a supervisor may tell one heartbeat late. A wait that ends sooner is held back until then.
    """
    if in_dag_test():
        return None
    return time.time() + conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0) + NOTICE_MARGIN


class ReleaseOperator(BaseOperator):
    """An operator with a connection to one of the systems."""

    system: ClassVar[str]
    operator_extra_links = (ExecutionLink(),)

    @property
    def conn_id(self) -> str:
        return str(getattr(self, f"{self.system}_conn_id"))

    def get_client(self) -> Any:
        """A new client; a context manager."""
        from airflow_provider.hooks.base import hook_class

        return hook_class(self.system)(self.conn_id).get_conn()

    def how_to_finish(self) -> str:
        """What the trigger needs to know to end the task itself; nothing where it cannot."""
        if in_dag_test() or next(self.iter_mapped_dependants(), None):
            # Only a worker tells Airflow how many tasks come of a result over which another task is expanded.
            return ""
        return "task" if self.do_xcom_push else "task without result"

    def check(self) -> None:
        """Refuse bad arguments, after templating and before any request; see :meth:`bad_argument`."""

    def bad_argument(self, name: str, problem: str) -> BadRequestError:
        return BadRequestError(f"task {self.task_id!r}: {name} {problem}", call=Call(system=self.system))

    def require(self, *names: str) -> None:
        """Refuse arguments that are empty after templating."""
        for name in names:
            if getattr(self, name) in (None, "", [], {}):
                raise self.bad_argument(name, "must not be empty")

    def require_one_of(self, name: str, *values: str) -> None:
        """Refuse an argument that is none of the values."""
        if getattr(self, name) not in values:
            raise self.bad_argument(name, f"must be one of {', '.join(values)}, but is {getattr(self, name)!r}")

    def publish(self, context: Context, execution: Mapping[str, Any]) -> None:
        """Push id and URL of an execution where the UI and other tasks can see them at once."""
        for key, value in xcoms_of(execution).items():
            context["ti"].xcom_push(key, value)

    def log_news(self, wait: Wait) -> bool:
        """Tell the task's log what changed; returns whether anything did."""
        news = wait.news()
        self.log_lines(news)
        return bool(news)

    def log_lines(self, news: list[News]) -> None:
        for line in news:
            (self.log.warning if line.is_warning else self.log.info)("%s", line.text)


class WaitingOperator(ReleaseOperator):
    """An operator that can wait for an execution, in the worker or in the triggerer.

    :param wait_for_completion: wait for the end (default), or return as soon as the request was accepted.
    :param deferrable: wait in the triggerer; default: ``[operators] default_deferrable``.
    :param poll_interval: seconds between looks (default 10).
    :param timeout: seconds or timedelta for the whole execution. Default: none.
    :param cancel_on_kill: cancel what this task has started when a person marks it failed or success, or clears it. An
        operator that starts nothing cancels nothing.
    :param on_waiting: ``wait`` (default) while the execution waits for a person, or ``fail`` with ``ExecutionWaiting``.
    """

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        deferrable: bool = DEFAULT_DEFERRABLE,
        poll_interval: float = 10.0,
        timeout: float | timedelta | None = None,
        cancel_on_kill: bool = True,
        on_waiting: Literal["wait", "fail"] = "wait",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.cancel_on_kill = cancel_on_kill
        self.on_waiting = on_waiting
        self.require_one_of("on_waiting", "wait", "fail")
        if not poll_interval > 0:
            raise self.bad_argument("poll_interval", f"must be more than 0 seconds, but is {poll_interval!r}")
        if self.timeout_seconds is not None and self.timeout_seconds <= 0:
            raise self.bad_argument("timeout", f"must be more than 0 seconds, but is {timeout!r}")

    @property
    def timeout_seconds(self) -> float | None:
        return self.timeout.total_seconds() if isinstance(self.timeout, timedelta) else self.timeout

    def defer_wait(self, ref: ExecutionRef, deadline: float | None, **trigger: Any) -> NoReturn:
        """Go on waiting in the triggerer; it comes back to ``execute_complete``."""
        safety_net = None
        if deadline is not None:
            safety_net = timedelta(seconds=max(0.0, deadline - time.time()) + self.poll_interval + DEFERRAL_MARGIN)
        self.defer(trigger=self.trigger(ref, deadline, **trigger), method_name="execute_complete", timeout=safety_net)

    def trigger(self, ref: ExecutionRef, deadline: float | None, **trigger: Any) -> Any:
        from airflow_provider.triggers.execution import ExecutionTrigger

        return ExecutionTrigger(
            system=self.system,
            conn_id=self.conn_id,
            ref=ref,
            poll_interval=self.poll_interval,
            deadline=deadline,
            not_before=worker_is_noticed_by(),
            fail_on_waiting=self.on_waiting == "fail",
            **trigger,
        )

    def rehearse_deferral(self, **trigger: Any) -> None:
        """An argument that cannot travel to the triggerer must not be found out after the start."""
        from airflow.sdk.serde import serialize

        serialize(self.trigger({}, None, **trigger).serialize()[1])
