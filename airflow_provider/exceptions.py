"""One tree of errors, by cause. Each says which system, call and answer it comes from, and never holds a secret."""

from __future__ import annotations

import enum
import math
from typing import Any, NamedTuple

from airflow_provider.storable import storable, storable_text

LONGEST_SUMMARY = 4000
"""Characters. Names that a system lists may stand in it, and Airflow keeps the errors of triggers in its database."""


class Effect(enum.StrEnum):
    """What a failed request can have done to the system it was sent to."""

    NONE = "none"
    """Certainly nothing, and the same request may be sent again: it never arrived, or 401 or 429 refused it."""
    REFUSED = "refused"
    """Certainly nothing, and the same request would be refused again."""
    UNKNOWN = "unknown"
    """It may have taken effect: the answer was lost, broken or a 5xx. The server is done with it."""
    LATE = "late"
    """It may have taken effect, or may yet: the server may still be at work (a time-out, 502, 504)."""

    @property
    def is_open(self) -> bool:
        """Whether the request may have taken effect."""
        return self in (Effect.UNKNOWN, Effect.LATE)


class Call(NamedTuple):
    """The request behind an error, and the vendor's answer to it.

    :param path: below the host, without the query (which may hold secrets).
    :param status: HTTP status, ``None`` when no answer came.
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
    """Above all errors of this provider.

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
        # Airflow keeps what a trigger raises in its database.
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
    """A field of the Airflow connection is missing, contradictory or of the wrong form."""


class AuthenticationError(ReleasePipelineError):
    """The system does not accept the credentials, or no longer."""


class PermissionDeniedError(ReleasePipelineError):
    """The credentials are good, but do not allow this call."""


class NotFoundError(ReleasePipelineError):
    """What the call names is not there."""


class BadRequestError(ReleasePipelineError):
    """An argument is wrong, said by us before sending anything or by the system."""


class ConflictError(ReleasePipelineError):
    """The system is not in a state that allows the call: it runs already, the tag is used, the name is ambiguous."""


class ThrottledError(ReleasePipelineError):
    """Too many requests. ``retry_after`` holds the seconds that the system asked for, if it did."""


class ServerUnavailableError(ReleasePipelineError):
    """No usable answer came: no connection, a time limit, a reset, 5xx."""


class UnexpectedResponseError(ReleasePipelineError):
    """An answer came, but not one of this API: HTML, broken JSON, a redirect elsewhere, a missing field."""


class ExecutionFailed(ReleasePipelineError):  # noqa: N818
    """The execution ended badly."""


class ExecutionCanceled(ReleasePipelineError):  # noqa: N818
    """The execution was canceled by somebody."""


class ExecutionRejected(ReleasePipelineError):  # noqa: N818
    """An approval that the execution waited for was refused or expired."""


class ExecutionTimeout(ReleasePipelineError):  # noqa: N818
    """The execution did not end in time; it was canceled if the operator had started it."""


class ExecutionWaiting(ReleasePipelineError):  # noqa: N818
    """The execution waits for a person, and ``on_waiting="fail"`` asked not to wait for that."""
