"""Which errors are worth a retry, for the argument ``retry_policy`` of tasks and ``default_args``."""

from __future__ import annotations

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from airflow_provider.exceptions import (
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=[ServerUnavailableError, ThrottledError, UnexpectedResponseError]),
        RetryRule(exception=ReleasePipelineError, action=RetryAction.FAIL, reason="the answer of the system is final"),
    ]
)
"""Transport problems are retried, and the retry continues with the execution of the previous attempt. A clear answer is
final: a wrong argument, a missing permission, a failed build. Errors that are not ours are left to ``retries``."""
