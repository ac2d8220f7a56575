"""The default retry policy of operators and sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConnectionConfigError,
    PermissionDeniedError,
)

if TYPE_CHECKING:
    from airflow.sdk import Context, RetryDecision

SAME_AGAIN = (BadRequestError, ConnectionConfigError, AuthenticationError, PermissionDeniedError)
"""Errors that every retry would get too, until a person changes the DAG, the connection or the permissions."""


class DefaultRetryPolicy:
    """Fails at once if a retry would get the same error; leaves everything else to ``retries``.

    While something that the task started is still running, it never fails at once: the next attempt may find the
    problem solved, and continue the wait.

    It has the methods of :class:`airflow.sdk.RetryPolicy` without inheriting from it: that import takes a large part of
    the time allowed for parsing a DAG file.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        from airflow.sdk import RetryAction, RetryDecision

        if isinstance(exception, SAME_AGAIN) and not _is_under_way(context):
            reason = f"not retried: every retry would fail with {type(exception).__name__} until the cause is fixed"
            return RetryDecision(action=RetryAction.FAIL, reason=reason)
        return RetryDecision(action=RetryAction.DEFAULT)

    def serialize(self) -> dict[str, Any]:
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        return cls()


def _is_under_way(context: Context | None) -> bool:
    from airflow_provider.core.record import Phase
    from airflow_provider.operators.starting import KEY

    record = context["task_state_store"].get(KEY) if context else None
    return isinstance(record, dict) and record.get("phase") not in (Phase.ENDED, Phase.LEFT)


DEFAULT_RETRY_POLICY: Any = DefaultRetryPolicy()
