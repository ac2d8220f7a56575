"""Sensors for VMware Code Stream: executions, trigger events and approvals."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider.exceptions import ConflictError
from airflow_provider.operators.arguments import Moment, moment_of
from airflow_provider.operators.checking import rule_of
from airflow_provider.sensors.base import KnownSensor, ReleaseSensor

if TYPE_CHECKING:
    from typing import Unpack

    from airflow_provider.clients.code_stream import CodeStreamClient
    from airflow_provider.execution import ExecutionRef
    from airflow_provider.operators.shared_arguments import KnownSensorArguments, SensorArguments


class CodeStreamExecutionSensor(KnownSensor["CodeStreamClient"]):
    """Wait until an execution succeeds; fail if it does not.

    :param execution_id: id of the execution. (templated)
    :param code_stream_conn_id: the Airflow connection. (templated)

    https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/executions/
    """

    system = "code_stream"
    purpose = "wait for execution {execution_id}"
    template_fields = ("execution_id", "ref", "code_stream_conn_id")

    def __init__(
        self,
        *,
        execution_id: str,
        code_stream_conn_id: str = "code_stream_default",
        **kwargs: Unpack[KnownSensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.execution_id = execution_id
        self.code_stream_conn_id = code_stream_conn_id
        self.watch(kind="execution", id=execution_id)


class CodeStreamEventSensor(ReleaseSensor["CodeStreamClient"]):
    """Wait until a matching trigger event arrives; the result's ``outputs`` are the event.

    :param event_type: ``docker``, ``git`` or ``gerrit``. (templated)
    :param filters: fields of the event and their required values, for example
        ``{"repo": "shop", "tag": "1.4"}``. (templated)
    :param since: only events after this moment: aware datetime or ISO 8601 text; default: the start of this wait, by
        Code Stream's clock. For an event that an earlier task causes, and that may come before the sensor starts, give
        ``"{{ dag_run.start_date }}"``. (templated)
    :param code_stream_conn_id: the Airflow connection. (templated)

    https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/triggers/
    """

    system = "code_stream"
    purpose = "wait for a {event_type} event"
    logged_arguments = ("matching", "since")
    template_fields = ("event_type", "filters", "since", "code_stream_conn_id")

    def __init__(
        self,
        *,
        event_type: Literal["docker", "git", "gerrit"],
        filters: Mapping[str, Any] | None = None,
        since: Moment | None = None,
        code_stream_conn_id: str = "code_stream_default",
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.code_stream_conn_id = code_stream_conn_id
        self.event_type = event_type
        self.filters = filters
        self.since = since

    def reference(self, client: CodeStreamClient) -> ExecutionRef:
        from airflow_provider.clients.code_stream.references import event_reference

        filters = {name: str(value) for name, value in (self.filters or {}).items()}
        since = moment_of(self.since) if self.since else self._own_start(client)
        return event_reference(self.event_type, json.dumps(filters), since.isoformat())

    def _own_start(self, client: CodeStreamClient) -> datetime:
        from airflow_provider.core.durations import DURATIONS

        def now() -> float:
            # Any answer shows the vendor's time.
            client.events.list(self.event_type, limit=1)
            by_vendor = client.transport.server_time()
            if by_vendor is None:
                return time.time() - DURATIONS.clock_tolerance
            return by_vendor - DURATIONS.same_clock

        return datetime.fromtimestamp(self.began(now), UTC)

    @property
    def matching(self) -> str:
        """The filters, for the log; they are no secret, because the event shows the same."""
        return ", ".join(f"{name}={value}" for name, value in (self.filters or {}).items())


class CodeStreamApprovalSensor(ReleaseSensor["CodeStreamClient"]):
    """Wait until an approval (user operation) is pending; the result's ``id`` and ``outputs`` are the approval.

    :param execution_id: of this execution; give this or ``pipeline``. (templated)
    :param pipeline: of any execution of the pipeline of this name. (templated)
    :param code_stream_conn_id: the Airflow connection. (templated)

    https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/user-operations/
    """

    system = "code_stream"
    purpose = "wait for an approval"
    logged_arguments = ("execution_id", "pipeline")
    template_fields = ("execution_id", "pipeline", "code_stream_conn_id")

    def __init__(
        self,
        *,
        execution_id: str | None = None,
        pipeline: str | None = None,
        code_stream_conn_id: str = "code_stream_default",
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.code_stream_conn_id = code_stream_conn_id
        self.execution_id = execution_id
        self.pipeline = pipeline

    @rule_of("execution_id", "pipeline")
    def _check_what(self) -> None:
        self.require_exactly_one("execution_id", "pipeline")

    def reference(self, client: CodeStreamClient) -> ExecutionRef:
        from airflow_provider.clients.code_stream.references import pending_approval_reference

        if self.pipeline:
            # Several projects may have a pipeline of this name, or it is disabled: any of their executions may ask.
            with contextlib.suppress(ConflictError):
                client.pipelines.find(self.pipeline)
        return pending_approval_reference(self.execution_id or "", self.pipeline or "")
