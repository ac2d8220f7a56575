"""The base class of operators with a connection to one of the systems, and that of operators that wait."""

from __future__ import annotations

import string
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NoReturn, TypeVar, cast

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf

from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.identifiers import seconds_of
from airflow_provider.links import COLORS, LINKS, URL_XCOM, xcoms_of
from airflow_provider.operators.arguments import Seconds
from airflow_provider.operators.checking import CheckedArguments
from airflow_provider.operators.retrying import DEFAULT_RETRY_POLICY
from airflow_provider.settings import POLL_INTERVAL
from airflow_provider.storable import storable_text

if TYPE_CHECKING:
    from typing import Unpack

    from airflow.sdk import Context, RetryPolicy

    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.core.lines import LogLine
    from airflow_provider.execution import ExecutionRef
    from airflow_provider.operators.memory import Memory
    from airflow_provider.operators.rendering import Rendering
    from airflow_provider.operators.shared_arguments import ReleaseArguments, TaskArguments
    from airflow_provider.triggers.execution import ExecutionTrigger

ClientT = TypeVar("ClientT", bound="ReleaseClient")
"""The client of the operator's system."""

DEFAULT_DEFERRABLE = conf.getboolean("operators", "default_deferrable", fallback=False)
DEFAULT_POLL_INTERVAL = POLL_INTERVAL.value()

DEFERRAL_MARGIN = 120.0
"""Seconds by which Airflow's own timeout of a deferral exceeds our deadline."""


NOTICE_MARGIN = 2.0
"""Seconds that the executor and the scheduler may take to report that a process has ended."""


def in_dag_test() -> bool:
    """Whether this runs in ``dag.test()``, which has neither a worker process nor a triggerer."""
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    supervisor = sys.modules.get("airflow.sdk.execution_time.supervisor")
    channel = getattr(runner, "SUPERVISOR_COMMS", None)
    return supervisor is not None and isinstance(channel, supervisor.InProcessSupervisorComms)


def noticed_within() -> float:
    """Seconds after which Airflow knows that the process which defers now has ended.

    The scheduler of 3.3.2 fails a task that is deferred, resumed and queued again before it learns that the first
    process has ended, which a supervisor may report one heartbeat late. A wait that ends sooner is delayed until then.
    """
    if in_dag_test():
        return 0.0
    heartbeat: float = conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0)
    return heartbeat + NOTICE_MARGIN


def waiting_for(ref: ExecutionRef) -> dict[str, Any]:
    """The argument of a deferral that waits for this reference."""
    from airflow_provider.core.waiting import WAITED_FOR, named_exactly

    return {WAITED_FOR: named_exactly(ref)}


def event_or_mismatch(next_kwargs: dict[str, Any] | None) -> tuple[dict[str, Any], str]:
    """The arguments with which a task is resumed, and what is wrong with their event: it may be another task's.

    A database may reuse the id of a trigger, as SQLite does: a late event of the old trigger then resumes the task that
    has the id now. In ``dag.test()`` there is nothing to compare with.
    """
    from airflow_provider.core.waiting import WAITED_FOR

    arguments = dict(next_kwargs or {})
    waited_for, event = arguments.pop(WAITED_FOR, None), arguments.get("event")
    event_of = event.get(WAITED_FOR) if isinstance(event, dict) else None
    is_ours = event_of or (isinstance(event, dict) and not {"ending", "chosen_options"}.isdisjoint(event))
    if waited_for and "event" in arguments and (not is_ours or event_of not in (None, waited_for)):
        return arguments, f"Airflow delivered the event of another wait ({event_of or 'not of an execution'})"
    return arguments, ""


class ReleaseOperator(CheckedArguments, BaseOperator, Generic[ClientT]):
    """An operator with a connection to one of the systems.

    :param retry_policy: which failures use another of the ``retries``. Default: all but a wrong argument, connection,
        login or permission while nothing has been started; ``None``: all, as for Airflow's own operators.
    """

    system: ClassVar[str]
    purpose: ClassVar[str] = ""
    """What it does, for the first line of its log; ``{name}`` is replaced by an argument that cannot be secret."""
    logged_arguments: ClassVar[tuple[str, ...]] = ()
    """Arguments that the first line shows as well: only those that cannot be secret. Of a mapping it shows the keys."""
    finish_in_triggerer = False
    _text_problems: dict[str, str] = {}
    _rendering: Rendering | None = None
    published_url: str | None = None
    """The link that this process pushed as an XCom, "" if the system has no page; ``None``: it pushed none."""

    def __init__(
        self, *, retry_policy: RetryPolicy | None = DEFAULT_RETRY_POLICY, **kwargs: Unpack[TaskArguments]
    ) -> None:
        super().__init__(retry_policy=retry_policy, **kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "system" not in vars(cls):
            return
        cls.ui_color, cls.ui_fgcolor = COLORS[cls.system]
        if "operator_extra_links" not in vars(cls):
            cls.operator_extra_links = (LINKS[cls.system],)

    @property
    def conn_id(self) -> str:
        return str(getattr(self, f"{self.system}_conn_id"))

    def get_client(self, context: Context) -> ClientT:
        """A new client, a context manager. Once this attempt is over, it sends nothing that has an effect."""
        from airflow_provider.hooks.base import hook_class
        from airflow_provider.operators.attempt import require_standing

        self._hook = hook_class(self.system)(self.conn_id)
        # Each concrete class names its system twice: as a word for this, and as a type for its reader.
        client = cast("ClientT", self._hook.get_conn())
        client.transport.guard = partial(require_standing, context)
        return self._with_secrets(client)

    def renew(self, client: ClientT) -> ClientT:
        """After the system has refused the credentials: the same client, or one for the connection as it is now.

        Somebody may fix the connection while a worker waits.
        """
        try:
            changed = cast("ClientT | None", self._hook.get_changed_conn())
        except Exception as error:
            # Airflow's own text may quote the connection.
            why = (
                error
                if isinstance(error, ReleasePipelineError)
                else f"could not read it from Airflow ({type(error).__name__})"
            )
            self.log.warning("Could not read the connection again, continuing with the one read earlier: %s", why)
            return client
        if changed is None:
            return client
        self.log.info("Connection %s has changed, using it as it is now", self.conn_id)
        changed.transport.guard = client.transport.guard
        changed.transport.give_up_at = client.transport.give_up_at
        client.close()
        return self._with_secrets(changed)

    def _with_secrets(self, client: ClientT) -> ClientT:
        for secret in self.hidden():
            # The system may repeat them in its errors and logs.
            client.transport.redact.add_other(secret)
        return client

    def memory(self, context: Context, client: ReleaseClient, key: str, action: str) -> Memory:
        """What earlier attempts noted about a request; the arguments are those of ``Memory``."""
        from airflow_provider.operators.memory import Memory

        return Memory(context, client, key, action)

    def how_to_finish(self) -> str:
        """How the trigger ends the task itself; empty if it cannot, or should not."""
        if not self.finish_in_triggerer or in_dag_test() or self.has_more_to_do() or self.expanded_over_result():
            return ""
        return "task" if self.do_xcom_push else "task without result"

    def has_more_to_do(self) -> bool:
        """Whether a success must return to the worker, to be verified or because Airflow has more to do there."""
        return bool(self.outlets or self.multiple_outputs)

    def expanded_over_result(self) -> list[str]:
        """The tasks and task groups that are expanded over this task's result.

        In 3.3.2 only a worker records the length of a result; without it, they fail before they begin.
        """
        if not self.has_dag():  # type: ignore[no-untyped-call]
            return []
        return sorted(str(each.node_id) for each in self.iter_mapped_dependants())

    def log_who_finishes(self) -> None:
        """Log why a worker ends the task, although ``finish_in_triggerer`` asks the triggerer to."""
        if self.finish_in_triggerer and (expanded := self.expanded_over_result()):
            names = ", ".join(expanded)
            self.log.warning("Not finishing in the triggerer, because %s is expanded over this task's result", names)

    def check_arguments(self) -> None:
        """Refuse bad arguments, after templating and before any request."""
        for name, problem in self._text_problems.items():
            raise self.bad_argument(name, problem)
        super().check_arguments()

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Context, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        """Called for plain and mapped tasks, before Airflow stores the rendered fields."""
        if parent is not self:
            super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
            return
        from airflow.sdk.exceptions import XComNotFound

        from airflow_provider.operators.arguments import whole_numbers_as_text
        from airflow_provider.operators.rendering import MissingXCom, Rendering

        hints = self.hints()
        self._text_problems = {}
        self._hide()
        try:
            for name in template_fields:
                self._rendering = Rendering(getattr(parent, name, None))
                try:
                    super()._do_render_template_fields(parent, (name,), context, jinja_env, seen_oids)
                except XComNotFound as error:
                    raise MissingXCom(name, error) from None
                if problem := self._rendering.problem_of(getattr(parent, name)):
                    self._text_problems[name] = problem
                setattr(parent, name, whole_numbers_as_text(hints.get(name), getattr(parent, name)))
        finally:
            # A template that the author's own code renders afterwards is no argument.
            self._rendering = None
        self._hide()

    def hidden(self) -> Iterable[str]:
        """Secrets: arguments, or parts of them."""
        return ()

    def _hide(self) -> None:
        """Have Airflow mask them before it stores rendered fields, or logs a template that fails to render."""
        from airflow.sdk.log import mask_secret

        for secret in self.hidden():
            mask_secret(secret)

    def _render(self, template: Any, context: Context, dag: Any = None) -> Any:
        value = super()._render(template, context, dag)
        if self._rendering:
            self._rendering.note_value(value, template, context)
        return value

    def render_template(
        self, content: Any, context: Context, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """As Airflow's own, for each string of an argument; also notes what is missing in one."""
        value = super().render_template(content, context, jinja_env, seen_oids)
        if self._rendering and isinstance(content, str) and value is not content:
            environment = jinja_env or self.get_template_env()
            if self._rendering.may_lack_parts(value, environment):
                self._rendering.note_parts(self._parts_of(content, context, environment))
        return value

    def _parts_of(self, content: str, context: Context, environment: Any) -> list[object]:
        """What the expressions of a template render to, each by itself."""
        from airflow_provider.missing_parts import noting_parts

        parts: list[object] = []
        super()._render(noting_parts(environment, parts).from_string(content), context)
        return parts

    def publish(self, context: Context, execution: Mapping[str, Any]) -> None:
        """Push the id and URL of an execution as XComs, where the UI and other tasks can see them at once."""
        xcoms = xcoms_of(execution)
        for key, value in xcoms.items():
            context["ti"].xcom_push(key, value)
        self.published_url = xcoms[URL_XCOM]

    @contextmanager
    def begin(self, context: Context) -> Iterator[ClientT]:
        """Begin a run of the task: check the arguments, open a client, log the first line.

        :return: a client, as from :meth:`get_client`.
        """
        with self.logging_failure():
            self.check_arguments()
            with self.get_client(context) as client:
                self.log_beginning(client)
                yield client

    @contextmanager
    def logging_failure(self, seconds: float | Callable[[], float] | None = None) -> Iterator[None]:
        """Log the last line of a task that fails: why, after how long, and the link.

        :param seconds: how long it took, or a function that returns it at that moment; ``None`` if it is unknown.
        """
        try:
            yield
        except ReleasePipelineError as error:
            took = seconds() if callable(seconds) else seconds
            self.log_lines([self.lines.failed(error, took, self.published_url or None)])
            raise

    def log_beginning(self, client: ReleaseClient) -> None:
        """Log the first line: what the task does, with which arguments and as whom."""
        from airflow_provider.clients.urls import place_of

        values = {name: getattr(self, name) for name in self.logged_arguments}
        arguments = {name.replace("_", " "): value for name, value in values.items()}
        place = place_of(client.transport.base_url)
        line = self.lines.begins(self.rendered_purpose, self.system, arguments, client.who, self.conn_id, place)
        self.log.info("%s", storable_text(client.transport.redact(line.text)))

    @property
    def rendered_purpose(self) -> str:
        """:attr:`purpose` with the arguments that it names."""
        names = [name for _, name, _, _ in string.Formatter().parse(self.purpose) if name]
        named = {name: self.lines.shortened(str(getattr(self, name))) for name in names if hasattr(self, name)}
        return self.purpose.format_map(named) or type(self).__name__

    if TYPE_CHECKING:
        from airflow_provider.core import lines
    else:

        @property
        def lines(self):
            """The wording of lines."""
            from airflow_provider.core import lines

            return lines

    def log_lines(self, lines: Iterable[LogLine]) -> None:
        for line in lines:
            getattr(self.log, line.level)("%s", storable_text(line.text))


class WaitingOperator(ReleaseOperator[ClientT]):
    """An operator that can wait for an execution, in the worker or in the triggerer.

    :param wait_for_completion: wait for the end (default), or return as soon as the request is accepted.
    :param deferrable: wait in the triggerer; default: ``[operators] default_deferrable``.
    :param poll_interval: seconds or timedelta between polls; default: ``[release_pipelines] poll_interval`` (10).
    :param timeout: seconds or timedelta for the whole execution. Default: none.
    :param cancel_on_kill: cancel what this task started when a person marks it failed or success, or clears it. An
        operator that starts nothing cancels nothing.
    :param on_waiting: what to do while the execution is waiting for a person: ``wait`` (default), or ``fail`` with
        ``ExecutionWaiting``.
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
        **kwargs: Unpack[ReleaseArguments],
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
        return None if self.timeout is None else seconds_of(self.timeout)

    def defer_wait(self, ref: ExecutionRef, deadline: float | None, **trigger: Any) -> NoReturn:
        """Continue the wait in the triggerer, which resumes the task in ``execute_complete``."""
        safety_net = None
        if deadline is not None:
            safety_net = timedelta(seconds=max(0.0, deadline - time.time()) + self.poll_interval + DEFERRAL_MARGIN)
        self.defer(
            trigger=self.trigger(ref, deadline, **trigger),
            method_name="execute_complete",
            kwargs=waiting_for(ref),
            timeout=safety_net,
        )

    def trigger(self, ref: ExecutionRef, deadline: float | None, **trigger: Any) -> ExecutionTrigger:
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
        """Find an argument that cannot be serialized for the triggerer before anything is started."""
        from airflow.sdk.serde import serialize

        serialize(self.trigger({}, None, **trigger).serialize()[1])
