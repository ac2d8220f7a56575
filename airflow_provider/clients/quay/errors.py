"""Reads Quay's errors: four formats, and texts that say more than the status. No HTTP here."""

from __future__ import annotations

from msgspec.structs import replace

from airflow_provider.clients.answers import HttpAnswer, VendorError, read_common_error
from airflow_provider.exceptions import (
    AuthenticationError,
    ConflictError,
    Effect,
    NotFoundError,
    ReleasePipelineError,
)

_CAUSE_BY_TEXT: dict[str, type[ReleasePipelineError]] = {
    "No repository notification found": NotFoundError,
    "Unable to locate a build by id": NotFoundError,
    "Build is currently running or has finished": ConflictError,
    "Repository already exists": ConflictError,
}

_NOT_ACCEPTED = (
    "the credentials of the connection are not accepted: its password must be a valid OAuth application token, not the "
    "token of a robot or a user's password"
)
_NO_API = "no Quay API at this address; check the connection's host (without /api/v1) and its extra `api_prefix`"


def read_error(answer: HttpAnswer) -> VendorError | None:
    """Read an error by its content: JSON is sometimes labeled as HTML, and many refusals share the status 400."""
    error = read_common_error(answer)
    if error is None:
        return None
    # The first line says what is wrong; a dump of the whole body, with secrets, may follow.
    message = (error.message or "").partition("\n")[0]
    # All of Quay's own "not found" have this field.
    is_foreign = not isinstance(answer.data, dict) or "error_type" not in answer.data
    error = replace(error, message=message or None, is_foreign=is_foreign)
    if answer.status == 403 and "CSRF token" in message:
        return replace(
            error,
            cause=AuthenticationError,
            effect=Effect.NONE,
            summary="the token of the connection is wrong or expired (for writes, Quay reports that as a CSRF error)",
        )
    if answer.status == 401:
        return replace(error, summary=_NOT_ACCEPTED)
    if answer.status == 404 and answer.is_html:
        return replace(error, summary=_NO_API)
    if answer.status == 400:
        for start, cause in _CAUSE_BY_TEXT.items():
            if message.startswith(start):
                return replace(error, cause=cause)
        if "immutable" in message:
            return replace(error, cause=ConflictError)
    if answer.status == 503 and (summary := _why_nothing_is_written(answer, message)):
        # Only writes get this answer, and would get it again: it is not an outage, whatever the status says.
        return replace(error, cause=ConflictError, effect=Effect.REFUSED, summary=summary)
    return error


def _why_nothing_is_written(answer: HttpAnswer, message: str) -> str | None:
    if isinstance(answer.data, dict) and answer.data.get("is_readonly"):
        return "this Quay is read-only, as during maintenance: it accepts no changes"
    if message.startswith("Repository is in read only"):
        return "the repository is read-only or a mirror: it accepts no builds and no changes of tags or labels"
    return None
