"""Sends requests to Cocktail's build API: paths, objects in its answers, errors.

https://docs.cocktailcloud.io/
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Unpack

from airflow_provider.clients import urls
from airflow_provider.clients.answers import Decoder, HttpAnswer
from airflow_provider.clients.auth import HeaderAuth
from airflow_provider.clients.cocktail import fields
from airflow_provider.clients.cocktail.errors import read_error
from airflow_provider.clients.cocktail.fields import Json
from airflow_provider.clients.cocktail.paths import Paths
from airflow_provider.clients.cocktail.references import SYSTEM
from airflow_provider.clients.decoding import loads
from airflow_provider.clients.transport import RequestOptions, Transport, TransportOptions
from airflow_provider.clients.urls import Params
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    Call,
    ConnectionConfigError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    UnexpectedResponseError,
)
from airflow_provider.execution import ExecutionRef
from airflow_provider.identifiers import callback_problem, number_problem

_SECRET_FIELDS = ("buildServerCacrt", "buildServerClientCert", "buildServerClientKey")


class Wire:
    """See :class:`~airflow_provider.clients.cocktail.CocktailClient` for the arguments."""

    def __init__(
        self,
        base_url: str,
        *,
        token: str,
        auth_header: str,
        auth_scheme: str,
        paths: Paths,
        headers: Mapping[str, str] | None,
        ui_url: str | None,
        options: TransportOptions,
    ) -> None:
        if not token:
            raise ConnectionConfigError("the API token (password) is missing", call=Call(system=SYSTEM))
        self.transport = Transport(SYSTEM, base_url, headers=headers, read_error=read_error, **options)
        self.transport.redact.add(token)
        self.transport.auth = HeaderAuth(auth_header, f"{auth_scheme} {token}".strip())
        self.paths = paths
        self._token_end = _end_of(token)
        self._ui_url = ui_url

    # Paths that a connection may choose

    def call(
        self,
        use: str,
        params: Params | None = None,
        *,
        attempts: int | None = None,
        decode: Decoder = loads,
        **values: str,
    ) -> Any:
        """Make one of the calls of :data:`~airflow_provider.clients.cocktail.paths.DEFAULTS`."""
        path = self.paths.fill(use, values)
        return self._exchange(self.paths.method(use), path, params, attempts=attempts, decode=decode)

    def object_of(self, use: str, data: Any) -> Json:
        """Check that the answer to such a call is a JSON object."""
        return self.object_at(self.paths.template(use), data)

    def not_found(self, use: str, summary: str) -> NotFoundError:
        return NotFoundError(summary, call=self._call(use))

    def unexpected(self, use: str, summary: str) -> UnexpectedResponseError:
        return UnexpectedResponseError(summary, call=self._call(use), effect=Effect.UNKNOWN)

    def _call(self, use: str) -> Call:
        return Call(system=SYSTEM, method=self.paths.method(use), path=self.paths.template(use), status=200)

    # Fixed paths. They follow from the documented one and may be missing.

    def send(
        self,
        method: str,
        template: str,
        params: Params | None = None,
        body: Mapping[str, Any] | None = None,
        **numbers: int | str,
    ) -> Any:
        """:param template: below the prefix.
        :param numbers: the variables of the template.
        """
        path = self._fixed_path(template, numbers)
        return self._exchange(method, path, params, body=None if body is None else dict(body))

    def send_for_object(
        self,
        method: str,
        template: str,
        params: Params | None = None,
        body: Mapping[str, Any] | None = None,
        **numbers: int | str,
    ) -> Json:
        return self.object_at(template, self.send(method, template, params, body, **numbers))

    def get_objects(self, template: str, params: Params | None = None, **numbers: int | str) -> list[Json]:
        data = self.send("GET", template, params, None, **numbers)
        if not isinstance(data, (list, type(None))):
            raise self._unexpected_at(template, "the answer is not a list")
        return [self.object_at(template, each) for each in data or []]

    def file(self, template: str, **numbers: int | str) -> bytes:
        """The bytes of a file.

        :raises UnexpectedResponseError: the answer is no file.
        """
        data = self._request("GET", self._fixed_path(template, numbers), file_expected=True).data
        if not isinstance(data, bytes) or not data:
            raise self._unexpected_at(template, "the answer is not a file")
        return data

    def _fixed_path(self, template: str, numbers: Mapping[str, int | str]) -> str:
        values = {name: self.number(name, value) for name, value in numbers.items()}
        return self.paths.prefix + urls.path(template, **values)

    def object_at(self, path: str, data: Any) -> Json:
        """Check that an answer is a JSON object, and leave out its secrets."""
        if not isinstance(data, dict):
            raise self._unexpected_at(path, "the answer is not a JSON object")
        return {key: value for key, value in data.items() if key not in _SECRET_FIELDS}

    # Both

    def number(self, name: str, value: object) -> str:
        """The number of a build or a run, as paths need it.

        :raises BadRequestError: it is not a number.
        """
        if problem := number_problem(value):
            raise self.bad_request(f"{name} {problem}")
        return str(int(str(value)))

    def callback(self, url: str | None) -> str:
        """The callback to send: the server may refuse a call without one, although its documentation says otherwise.

        :raises BadRequestError: Cocktail would lose a part of it.
        """
        if not url:
            return ""
        if problem := callback_problem(url):
            raise self.bad_request(f"callback_url {problem}")
        # Its path holds a secret.
        self.transport.redact.add_other(url)
        return url

    def page(self, ref: ExecutionRef) -> str | None:
        """The link to an execution; ``None`` if the connection has no URL for pages."""
        return urls.page(self._ui_url, self.transport.base_url, ref)

    def bad_request(self, summary: str) -> BadRequestError:
        """An error about an argument, found before anything was sent."""
        return BadRequestError(summary, call=Call(system=SYSTEM))

    def _exchange(self, method: str, path: str, params: Params | None = None, **options: Unpack[RequestOptions]) -> Any:
        answer = self._request(method, path, params, **options)
        if not answer.is_json:
            # Missing objects and empty lists are JSON. An empty body must not count as one: a build could start twice.
            call = Call(system=SYSTEM, method=method, path=path, status=answer.status)
            raise UnexpectedResponseError("the answer has no body", call=call, effect=Effect.UNKNOWN)
        return fields.unwrap(answer.data)

    def _request(
        self, method: str, path: str, params: Params | None = None, **options: Unpack[RequestOptions]
    ) -> HttpAnswer:
        try:
            return self.transport.request(method, path, params, **options)
        except (AuthenticationError, PermissionDeniedError) as error:
            raise self._explain_refusal(error) from None

    def _explain_refusal(self, error: ReleasePipelineError) -> ReleasePipelineError:
        if self._token_end is None or self._token_end > datetime.now(UTC):
            return error
        return AuthenticationError(
            f"the API token expired at {self._token_end.isoformat()}: create a new one in Cocktail Cloud and store it "
            "as the connection's password",
            call=error.call,
            effect=error.effect,
        )

    def _unexpected_at(self, path: str, summary: str) -> UnexpectedResponseError:
        return UnexpectedResponseError(summary, call=Call(system=SYSTEM, path=path), effect=Effect.UNKNOWN)


def unavailable(what: str, refused: Sequence[ReleasePipelineError]) -> ReleasePipelineError:
    """An error naming the unavailable calls and the remedy."""
    reasons = []
    for error in refused:
        why = "the token lacks the permission" if isinstance(error, PermissionDeniedError) else "not published"
        reasons.append(f"{error.method} {error.path}: {why}" if error.path else error.summary)
    cause: type[ReleasePipelineError] = ConnectionConfigError
    if any(isinstance(error, PermissionDeniedError) for error in refused):
        cause = PermissionDeniedError
    elif any(isinstance(error, NotFoundError) for error in refused):
        # Not certainly the connection's fault: a gateway that is restarting publishes nothing for a while.
        cause = UnexpectedResponseError
    return cause(
        f"{what} ({'; '.join(reasons)}). Extend the token's permissions, or correct the connection's host and "
        "extras `api_prefix` and `paths`",
        call=Call(system=SYSTEM),
    )


def _end_of(token: str) -> datetime | None:
    """When a JWT expires, read without verifying it; ``None`` for any other token."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError):
        return None
