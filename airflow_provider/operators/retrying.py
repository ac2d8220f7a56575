"""The retry policy that operators and sensors have unless an author gives another one."""

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
"""What another try is told, too, until a person has changed the DAG, the connection or the rights."""


class DefaultRetryPolicy:
    """Fails at once where another try would be told the same; all else is left to ``retries``.

    But for what has started something that is not over: there the next attempt may find all well again, and go on.

    It is what :class:`airflow.sdk.RetryPolicy` asks for without being one: importing that takes a good part of what
    the parsing of a DAG file may take in all.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        from airflow.sdk import RetryAction, RetryDecision

        if isinstance(exception, SAME_AGAIN) and not _is_under_way(context):
            reason = f"not tried again: until somebody has mended it, every try ends in {type(exception).__name__}"
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
