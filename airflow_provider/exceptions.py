"""One tree of errors, by cause. Each names the system, call and answer that it comes from, and never holds a secret."""

from __future__ import annotations

import enum
import math
from typing import Any, NamedTuple

from airflow_provider.storable import storable, storable_text

LONGEST_SUMMARY = 4000
"""Most characters of a summary: it may list names, and Airflow stores the errors of triggers in its database."""


class Effect(enum.StrEnum):
    """What effect a failed request may have had."""

    NONE = "none"
    """Certainly none, and the request may be sent again: it never arrived, or was refused with 401 or 429."""
    REFUSED = "refused"
    """Certainly none, and the same request would be refused again."""
    UNKNOWN = "unknown"
    """It may have taken effect: the answer was lost, broken or a 5xx. The server has finished with it."""
    LATE = "late"
    """It may have taken effect, or still may: the server may be working on it (a timeout, 502, 504)."""

    @property
    def is_open(self) -> bool:
        """Whether the request may have taken effect."""
        return self in (Effect.UNKNOWN, Effect.LATE)


class Call(NamedTuple):
    """The request behind an error, and the vendor's answer.

    :param path: without the host and the query (which may contain secrets).
    :param status: HTTP status, ``None`` if there was no answer.
    :param code: the vendor's own error code.
    :param message: the vendor's own words.
    """

    system: str | None = None
    method: str | None = None
    path: str | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None
    request_id: str | None = None


class ReleasePipelineError(Exception):
    """Base class of all errors of this provider.

    Attributes: ``system``, ``method``, ``path``, ``status``, ``code``, ``message`` (the vendor's), ``request_id``;
    each is ``None`` where it does not apply.
    """

    system: str | None
    method: str | None
    path: str | None
    status: int | None
    code: str | None
    message: str | None
    request_id: str | None

    def __init__(
        self,
        summary: str,
        *,
        call: Call | None = None,
        effect: Effect = Effect.REFUSED,
        retry_after: float | None = None,
    ) -> None:
        # Airflow stores what a trigger raises in its database.
        summary = storable_text(summary if len(summary) <= LONGEST_SUMMARY else f"{summary[: LONGEST_SUMMARY - 3]}...")
        super().__init__(summary)
        self.summary = summary
        self.call = Call(*map(storable, call or Call()))
        self.effect = effect
        self.retry_after = max(0.0, retry_after) if retry_after is not None and math.isfinite(retry_after) else None
        for name, value in self.call._asdict().items():
            setattr(self, name, value)

    def __str__(self) -> str:
        call = self.call
        where = " ".join(str(part) for part in (call.method, call.path) if part)
        answer = ", ".join(
            text
            for text in (
                f"HTTP {call.status}" if call.status else "",
                f"code {call.code}" if call.code else "",
                f"message {call.message!r}" if call.message else "",
                f"request id {call.request_id}" if call.request_id else "",
            )
            if text
        )
        details = "; ".join(part for part in (where, answer) if part)
        prefix = f"{call.system}: " if call.system else ""
        return f"{prefix}{self.summary}" + (f" [{details}]" if details else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.summary, self.call, self.effect, self.retry_after))


def _rebuild(
    cls: type[ReleasePipelineError], summary: str, call: Call, effect: Effect, retry_after: float | None
) -> ReleasePipelineError:
    return cls(summary, call=call, effect=effect, retry_after=retry_after)


class ConnectionConfigError(ReleasePipelineError):
    """A field of the Airflow connection is missing, contradicts another or is malformed."""


class AuthenticationError(ReleasePipelineError):
    """The system does not accept the credentials, or no longer does."""


class PermissionDeniedError(ReleasePipelineError):
    """The credentials are valid, but do not permit this call."""


class NotFoundError(ReleasePipelineError):
    """What the call refers to does not exist."""


class BadRequestError(ReleasePipelineError):
    """An argument is wrong, found by us before anything is sent or by the system."""


class ConflictError(ReleasePipelineError):
    """The state of the system does not allow the call: a build is running, a tag is in use, a name is ambiguous."""


class ThrottledError(ReleasePipelineError):
    """Too many requests. ``retry_after`` is the number of seconds that the system asked for, if it did."""


class ServerUnavailableError(ReleasePipelineError):
    """There was no usable answer: no connection, a timeout, a reset, 5xx."""


class UnexpectedResponseError(ReleasePipelineError):
    """The answer is not one of this API: HTML, broken JSON, a redirect elsewhere, a missing field."""


class ExecutionFailed(ReleasePipelineError):  # noqa: N818
    """The execution failed."""


class ExecutionCanceled(ReleasePipelineError):  # noqa: N818
    """Somebody canceled the execution."""


class ExecutionRejected(ReleasePipelineError):  # noqa: N818
    """An approval of the execution was rejected, or expired."""


class ExecutionTimeout(ReleasePipelineError):  # noqa: N818
    """The execution did not end in time; it was canceled if the operator started it."""


class ExecutionWaiting(ReleasePipelineError):  # noqa: N818
    """The execution is waiting for a person, and ``on_waiting`` is ``fail``."""
