"""What the author of a start asked for, and what the system's client knows without a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef


class Policy(msgspec.Struct, frozen=True):
    """:param place: the installation to which the connection leads now.
    :param asked: a text that differs where the task's arguments do.
    :param timeout: seconds for the whole execution, over retries and deferrals.
    :param approve: whether people are asked in Airflow for the approvals that the execution reaches.
    :param request_timeout: seconds that one request may take.
    :param is_marked: whether an execution started with this intent carries its marker.
    :param needs_cancel: whether an execution would continue, or could be made to, unless it is canceled.
    :param settling_of: seconds for which the end of an execution must be observed before it counts, because the system
        may take it back; 0 if at once.
    :param is_busy: whether a refusal only means that the system accepts no start now.
    :param has_log: whether the system has a log of what a reference names.
    :param is_known: whether a reference names the execution itself.
    :param is_rejected: whether people in Airflow have rejected what the start with this marker has started.
    """

    system: str
    place: str
    asked: str = ""
    poll_interval: float = 10.0
    timeout: float | None = None
    wait_for_completion: bool = True
    deferrable: bool = False
    cancel_on_kill: bool = True
    fail_on_waiting: bool = False
    on_canceled: Literal["fail", "retry"] = "fail"
    approve: bool = False
    request_timeout: float = 30.0
    is_marked: Callable[[dict[str, Any]], bool] = lambda intent: False
    needs_cancel: Callable[[Execution], bool] = lambda execution: not execution.state.is_terminal
    settling_of: Callable[[Execution], float] = lambda execution: 0.0
    is_busy: Callable[[ReleasePipelineError], bool] = lambda error: False
    has_log: Callable[[ExecutionRef], bool] = lambda ref: False
    is_known: Callable[[ExecutionRef], bool] = lambda ref: True
    is_rejected: Callable[[str], bool] = lambda marker: False
