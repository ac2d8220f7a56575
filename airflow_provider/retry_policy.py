"""Which errors are worth another try, for the argument ``retry_policy`` of tasks and ``default_args``."""

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
        RetryRule(exception=ReleasePipelineError, action=RetryAction.FAIL, reason="what the system said is final"),
    ]
)
"""Trouble on the way is tried again, and the retry goes on with the execution of the attempt before. What a system said
clearly is final: a wrong argument, a missing permission, a failed build. What is not ours is left to ``retries``."""
