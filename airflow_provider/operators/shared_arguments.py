"""The arguments that operators and sensors share, for editors and type checkers: no running code needs this.

An operator's ``__init__`` names its own arguments; its ``**kwargs`` are one of these.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Required, TypedDict

from airflow.sdk import DAG, RetryPolicy, TaskGroup

Duration = float | timedelta
"""Seconds, or a ``timedelta``."""


class TaskArguments(TypedDict, total=False):
    """Of every Airflow operator."""

    task_id: Required[str]
    owner: str
    email: str | Sequence[str] | None
    email_on_retry: bool
    email_on_failure: bool
    retries: int | None
    retry_delay: Duration
    retry_exponential_backoff: float
    max_retry_delay: Duration | None
    start_date: datetime | None
    end_date: datetime | None
    depends_on_past: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    wait_for_downstream: bool
    dag: DAG | None
    params: MutableMapping[str, Any] | None
    default_args: dict[str, Any] | None
    priority_weight: int
    weight_rule: Any
    queue: str
    pool: str | None
    pool_slots: int
    sla: timedelta | None
    execution_timeout: timedelta | None
    on_execute_callback: Any
    on_failure_callback: Any
    on_success_callback: Any
    on_retry_callback: Any
    on_skipped_callback: Any
    pre_execute: Any
    post_execute: Any
    trigger_rule: str
    resources: dict[str, Any] | None
    run_as_user: str | None
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    executor: str | None
    executor_config: dict[str, Any] | None
    do_xcom_push: bool
    multiple_outputs: bool
    inlets: Any
    outlets: Any
    task_group: TaskGroup | None
    doc: str | None
    doc_md: str | None
    doc_json: str | None
    doc_yaml: str | None
    doc_rst: str | None
    task_display_name: str | None
    logger_name: str | None
    allow_nested_operators: bool
    render_template_as_native_obj: bool | None


class ReleaseArguments(TaskArguments, total=False):
    """Of :class:`~airflow_provider.operators.base.ReleaseOperator`."""

    retry_policy: RetryPolicy | None


class WaitingArguments(ReleaseArguments, total=False):
    """Of :class:`~airflow_provider.operators.base.WaitingOperator`."""

    wait_for_completion: bool
    deferrable: bool
    poll_interval: Duration
    timeout: Duration | None
    cancel_on_kill: bool
    on_waiting: Literal["wait", "fail"]


class StartArguments(WaitingArguments, total=False):
    """Of :class:`~airflow_provider.operators.starting.StartOperator`."""

    on_canceled: Literal["fail", "retry"]
    finish_in_triggerer: bool


class RulesOfApprovals(TypedDict, total=False):
    """Of :class:`~airflow_provider.operators.people.AsksPeople`."""

    approvers: Sequence[str] | None
    not_requester: bool
    approvals: int
    response_timeout: Duration | None
    on_no_response: Literal["reject", "approve", "fail"]
    notifiers: Sequence[Any] | None


class PeopleArguments(ReleaseArguments, RulesOfApprovals, total=False):
    """Of an operator that asks people and starts nothing."""


class ApprovalArguments(PeopleArguments, total=False):
    """Of :class:`~airflow_provider.operators.approving.ApprovalOperator`."""

    decision: Literal["approve", "reject"] | None
    message: str | None
    poll_interval: Duration


class GatedStartArguments(StartArguments, RulesOfApprovals, total=False):
    """Of :class:`~airflow_provider.operators.gated.GatedStartOperator`."""

    approve: bool


class PokingArguments(ReleaseArguments, total=False):
    """Of every Airflow sensor, except those that ours document."""

    soft_fail: bool
    mode: str
    exponential_backoff: bool
    silent_fail: bool
    never_fail: bool


class SensorArguments(PokingArguments, total=False):
    """Of :class:`~airflow_provider.sensors.base.ReleaseSensor`."""

    deferrable: bool
    finish_in_triggerer: bool
    poke_interval: Duration
    timeout: Duration | None
    max_wait: Duration | None


class KnownSensorArguments(SensorArguments, total=False):
    """Of :class:`~airflow_provider.sensors.base.KnownSensor`."""

    start_from_trigger: bool
