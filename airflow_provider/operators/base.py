"""An operator with a connection to one of the systems, and what all waiting operators do alike."""

from __future__ import annotations

import string
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.definitions.context import render_template_to_string

from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.links import LINKS, xcoms_of
from airflow_provider.operators.arguments import CHANGED, Seconds, is_number, seconds_of, text_problem
from airflow_provider.operators.checking import CheckedArguments
from airflow_provider.operators.retrying import DEFAULT_RETRY_POLICY
from airflow_provider.settings import POLL_INTERVAL
from airflow_provider.storable import storable_text

if TYPE_CHECKING:
    from airflow.sdk import Context, RetryPolicy

    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.core.lines import News
    from airflow_provider.execution import ExecutionRef
    from airflow_provider.operators.memory import Memory

DEFAULT_DEFERRABLE = conf.getboolean("operators", "default_deferrable", fallback=False)
DEFAULT_POLL_INTERVAL = POLL_INTERVAL.value()

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


def noticed_within() -> float:
    """Seconds in which Airflow will have noticed that the process ended that defers now.

    The scheduler of 3.3.2 fails a task that was deferred, resumed and queued again before it heard of the end of its
    first process, which a supervisor may tell one heartbeat late. A wait that ends sooner is held back until then.
    """
    if in_dag_test():
        return 0.0
    return conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0) + NOTICE_MARGIN


def waiting_for(ref: ExecutionRef) -> dict[str, Any]:
    """The argument of a deferral that waits for this."""
    # Not at the top: no parsing of a DAG file needs it.
    from airflow_provider.core.waiting import WAITED_FOR, named_exactly

    return {WAITED_FOR: named_exactly(ref)}


def event_or_stranger(next_kwargs: dict[str, Any] | None) -> tuple[dict[str, Any], str]:
    """What a task is resumed with, and what is wrong with it: the event may be that of another task's wait.

    A database may use the number of a trigger again, as SQLite does: the late event of an old one resumes whoever has
    the number now. ``dag.test()`` loses the argument.
    """
    # Not at the top: no parsing of a DAG file needs it.
    from airflow_provider.core.waiting import WAITED_FOR

    arguments = dict(next_kwargs or {})
    waited_for, event = arguments.pop(WAITED_FOR, None), arguments.get("event")
    told = event.get(WAITED_FOR) if isinstance(event, dict) else None
    if waited_for and told and told != waited_for:
        return arguments, f"Airflow brought the event of another wait ({told})"
    return arguments, ""


class ReleaseOperator(CheckedArguments, BaseOperator):
    """An operator with a connection to one of the systems.

    :param retry_policy: which failures are worth another of the ``retries``. Default: not a wrong argument, connection,
        login or permission, while nothing is started; ``None``: all, as Airflow's own operators.
    """

    system: ClassVar[str]
    deed: ClassVar[str] = ""
    """What it does, for the first line of its log; ``{name}`` stands for an argument that cannot be secret."""
    told: ClassVar[tuple[str, ...]] = ()
    """Arguments that the first line tells, too: only such as cannot be secret. Of a mapping it tells the names."""
    finish_in_triggerer = False
    _text_problems: dict[str, str] = {}
    _rendering = ""
    _link: str | None = None

    def __init__(self, *, retry_policy: RetryPolicy | None = DEFAULT_RETRY_POLICY, **kwargs: Any) -> None:
        super().__init__(retry_policy=retry_policy, **kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "system" in vars(cls) and "operator_extra_links" not in vars(cls):
            cls.operator_extra_links = (LINKS[cls.system],)

    @property
    def conn_id(self) -> str:
        return str(getattr(self, f"{self.system}_conn_id"))

    def get_client(self, context: Context) -> Any:
        """A new client, which sends nothing with an effect once this attempt is over; a context manager."""
        from airflow_provider.hooks.base import hook_class
        from airflow_provider.operators.attempt import require_standing

        self._hook = hook_class(self.system)(self.conn_id)
        client = self._hook.get_conn()
        client.transport.guard = partial(require_standing, context)
        return self._knowing_secrets(client)

    def renew(self, client: Any) -> Any:
        """After the system has refused the credentials: the same client, or one of the connection as it is now.

        Somebody may mend the connection while a worker waits.
        """
        try:
            changed = self._hook.get_changed_conn()
        except ReleasePipelineError as error:
            self.log.warning("Going on with the connection as it was read before: %s", error)
            return client
        if changed is None:
            return client
        self.log.info("Connection %s was changed: going on with it as it is now", self.conn_id)
        changed.transport.guard = client.transport.guard
        client.close()
        return self._knowing_secrets(changed)

    def _knowing_secrets(self, client: Any) -> Any:
        for secret in self.hidden():
            # The system may repeat them in its errors and logs.
            client.transport.redact.add_other(secret)
        return client

    def memory(self, context: Context, client: ReleaseClient, key: str, deed: str) -> Memory:
        """What earlier attempts have noted of a request; the arguments are those of ``Memory``."""
        # Not at the top: no parsing of a DAG file needs it.
        from airflow_provider.operators.memory import Memory

        return Memory(context, client, key, deed)

    def how_to_finish(self) -> str:
        """What the trigger needs to know to end the task itself; nothing where it cannot, or is not to."""
        if not self.finish_in_triggerer or in_dag_test() or self.has_more_to_do() or self.expanded_over_result():
            return ""
        return "task" if self.do_xcom_push else "task without result"

    def has_more_to_do(self) -> bool:
        """Whether a success must come back to the worker: to be verified, or because Airflow does more there."""
        return bool(self.outlets or self.multiple_outputs)

    def expanded_over_result(self) -> list[str]:
        """The tasks and task groups that are expanded over this task's result.

        Only a worker of 3.3.2 tells Airflow how long a result is; without that, they fail before they begin.
        """
        if not self.has_dag():
            return []
        return sorted(str(each.node_id) for each in self.iter_mapped_dependants())

    def tell_who_finishes(self) -> None:
        """Say in the log why a worker ends the task, although its author wants that done in the triggerer."""
        if self.finish_in_triggerer and (expanded := self.expanded_over_result()):
            names = ", ".join(expanded)
            self.log.warning("Not finishing in the triggerer, because %s is expanded over the result", names)

    def check_arguments(self) -> None:
        """Refuse bad arguments, after templating and before any request."""
        for name, problem in self._text_problems.items():
            raise self.bad_argument(name, problem)
        super().check_arguments()

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Context, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        """Called for plain and for mapped tasks, and before Airflow stores what was rendered."""
        if parent is not self:
            super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
            return
        self._text_problems = {}
        self._hide()
        for name in template_fields:
            given, self._rendering = getattr(parent, name, None), name
            super()._do_render_template_fields(parent, (name,), context, jinja_env, seen_oids)
            if problem := text_problem(given, getattr(parent, name)):
                self._text_problems.setdefault(name, problem)
        self._hide()

    def hidden(self) -> Iterable[str]:
        """Arguments, or parts of them, that nobody may read."""
        return ()

    def _hide(self) -> None:
        """Let Airflow mask them, before it stores rendered fields or logs a template that cannot be rendered."""
        from airflow.sdk.log import mask_secret

        for secret in self.hidden():
            mask_secret(secret)

    def _render(self, template: Any, context: Context, dag: Any = None) -> Any:
        value = super()._render(template, context, dag)
        if is_number(value):
            # A template that yields a number, and no text that looks like one, cannot be joined to a text.
            with suppress(TypeError):
                text = render_template_to_string(template, context).strip()
                if str(value) != text:
                    self._text_problems.setdefault(self._rendering, CHANGED.format(text=text, value=value))
        return value

    def publish(self, context: Context, execution: Mapping[str, Any]) -> None:
        """Push id and URL of an execution where the UI and other tasks can see them at once."""
        self._link = execution["url"]
        for key, value in xcoms_of(execution).items():
            context["ti"].xcom_push(key, value)

    @contextmanager
    def begin(self, context: Context) -> Iterator[Any]:
        """What every execution of a task begins with: its arguments are checked, and its log told what it is about.

        :return: a client, as of :meth:`get_client`.
        """
        with self.telling_failure():
            self.check_arguments()
            with self.get_client(context) as client:
                self.tell_beginning(client)
                yield client

    @contextmanager
    def telling_failure(self, seconds: float | Callable[[], float] | None = None) -> Iterator[None]:
        """The last line of a log whose task fails: how, after how long, and where to look.

        :param seconds: for which it went on, or what tells them then; nothing where that says nothing.
        """
        try:
            yield
        except ReleasePipelineError as error:
            took = seconds() if callable(seconds) else seconds
            self.log_lines([self.lines.failed(error, took, self._link)])
            raise

    def tell_beginning(self, client: ReleaseClient) -> None:
        """The first line of the log: what is done, with which arguments, as whom."""
        # Not at the top: no parsing of a DAG file needs it.
        from airflow_provider.clients.urls import place_of

        values = {name: getattr(self, name) for name in self.told}
        arguments = {name.replace("_", " "): value for name, value in values.items()}
        place = place_of(client.transport.base_url)
        line = self.lines.begins(self.deed_now, self.system, arguments, client.who, self.conn_id, place)
        self.log.info("%s", storable_text(client.transport.redact(line.text)))

    @property
    def deed_now(self) -> str:
        """:attr:`deed` with the arguments that it names."""
        names = [name for _, name, _, _ in string.Formatter().parse(self.deed) if name]
        named = {name: self.lines.shortened(str(getattr(self, name))) for name in names if hasattr(self, name)}
        return self.deed.format_map(named) or type(self).__name__

    @property
    def lines(self) -> Any:
        """The wording of lines, for the leaves: no parsing of a DAG file needs it."""
        from airflow_provider.core import lines

        return lines

    def log_lines(self, news: Iterable[News]) -> None:
        for line in news:
            getattr(self.log, line.level)("%s", storable_text(line.text))


class WaitingOperator(ReleaseOperator):
    """An operator that can wait for an execution, in the worker or in the triggerer.

    :param wait_for_completion: wait for the end (default), or return as soon as the request was accepted.
    :param deferrable: wait in the triggerer; default: ``[operators] default_deferrable``.
    :param poll_interval: seconds or timedelta between looks; default: ``[release_pipelines] poll_interval`` (10).
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
        poll_interval: Seconds = DEFAULT_POLL_INTERVAL,
        timeout: Seconds | None = None,
        cancel_on_kill: bool = True,
        on_waiting: Literal["wait", "fail"] = "wait",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = seconds_of(poll_interval)
        self.timeout = timeout
        self.cancel_on_kill = cancel_on_kill
        self.on_waiting = on_waiting

    @property
    def timeout_seconds(self) -> float | None:
        return self.timeout.total_seconds() if isinstance(self.timeout, timedelta) else self.timeout

    def defer_wait(self, ref: ExecutionRef, deadline: float | None, **trigger: Any) -> NoReturn:
        """Go on waiting in the triggerer; it comes back to ``execute_complete``."""
        safety_net = None
        if deadline is not None:
            safety_net = timedelta(seconds=max(0.0, deadline - time.time()) + self.poll_interval + DEFERRAL_MARGIN)
        self.defer(
            trigger=self.trigger(ref, deadline, **trigger),
            method_name="execute_complete",
            kwargs=waiting_for(ref),
            timeout=safety_net,
        )

    def trigger(self, ref: ExecutionRef, deadline: float | None, **trigger: Any) -> Any:
        from airflow_provider.triggers.execution import ExecutionTrigger

        return ExecutionTrigger(
            system=self.system,
            conn_id=self.conn_id,
            ref=ref,
            poll_interval=self.poll_interval,
            deadline=deadline,
            hold_back=noticed_within(),
            fail_on_waiting=self.on_waiting == "fail",
            **trigger,
        )

    def rehearse_deferral(self, **trigger: Any) -> None:
        """An argument that cannot travel to the triggerer must not be found out after the start."""
        from airflow.sdk.serde import serialize

        serialize(self.trigger({}, None, **trigger).serialize()[1])
