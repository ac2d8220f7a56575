"""What all calls of Cocktail's build API share: the transport, the paths, arguments checked before, answers after.

https://docs.cocktailcloud.io/
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Unpack

from airflow_provider.clients.auth import HeaderAuth
from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.cocktail import answers
from airflow_provider.clients.cocktail.executions import SYSTEM, Json
from airflow_provider.clients.cocktail.paths import Paths
from airflow_provider.clients.decoding import loads
from airflow_provider.clients.transport import Decoder, Transport, TransportOptions
from airflow_provider.clients.urls import Params
from airflow_provider.exceptions import (
    AuthenticationError,
    Call,
    ConnectionConfigError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    UnexpectedResponseError,
)
from airflow_provider.identifiers import callback_problem, number_problem, tag_problem

log = logging.getLogger(__name__)

_SECRET_FIELDS = ("buildServerCacrt", "buildServerClientCert", "buildServerClientKey")
_COCKTAIL_TAG = re.compile(r"[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?")


class CocktailBase(ReleaseClient):
    """See :class:`airflow_provider.clients.cocktail.CocktailClient` for the arguments."""

    system: ClassVar[str] = SYSTEM

    def __init__(
        self,
        base_url: str,
        *,
        token: str,
        auth_header: str = "Authorization",
        auth_scheme: str = "Bearer",
        api_prefix: str = "/v1",
        paths: Mapping[str, str | None] | None = None,
        headers: Mapping[str, str] | None = None,
        ui_url: str | None = None,
        **options: Unpack[TransportOptions],
    ) -> None:
        if not token:
            raise ConnectionConfigError("the API token (password) is missing", call=Call(system=SYSTEM))
        super().__init__(
            Transport(
                self.system,
                base_url,
                headers=headers,
                read_error=answers.read_error,
                **options,
            )
        )
        self.transport.redact.add(token)
        self.transport.auth = HeaderAuth(auth_header, f"{auth_scheme} {token}".strip())
        self._token_end = answers.token_end(token)
        self._paths = Paths(api_prefix, paths or {})
        self._ui_url = ui_url

    # --- calls

    def _send(
        self,
        use: str,
        params: Params | None = None,
        *,
        attempts: int | None = None,
        decode: Decoder = loads,
        **values: str,
    ) -> Any:
        path = self._paths.fill(use, values)
        return self._exchange(self._paths.method(use), path, params, attempts=attempts, decode=decode)

    def _exchange(
        self, method: str, path: str, params: Params | None = None, *, body: Json | None = None, **options: Any
    ) -> Any:
        try:
            answer = self.transport.request(method, path, params, body=body, **options)
        except (AuthenticationError, PermissionDeniedError) as error:
            raise self._explain_refusal(error) from None
        if not answer.is_json:
            # An object that is gone, and a list without runs, come as JSON: a build would be started a second time.
            call = Call(system=SYSTEM, method=method, path=path, status=answer.status)
            raise UnexpectedResponseError("the answer has no body", call=call, effect=Effect.UNKNOWN)
        return answers.unwrap(answer.data)

    def _explain_refusal(self, error: ReleasePipelineError) -> ReleasePipelineError:
        if self._token_end is None or self._token_end > datetime.now(UTC):
            return error
        return AuthenticationError(
            f"the API token ended at {self._token_end.isoformat()}: make a new one in Cocktail Cloud and store it as "
            "the connection's password",
            call=error.call,
            effect=error.effect,
        )

    def _object(self, use: str, data: Any) -> Json:
        return self._object_of(self._paths.template(use), data)

    def _object_of(self, path: str, data: Any) -> Json:
        if not isinstance(data, dict):
            raise self._unexpected_at(path, "the answer holds no JSON object")
        return {key: value for key, value in data.items() if key not in _SECRET_FIELDS}

    def _number(self, name: str, value: object) -> str:
        self._refuse(name, number_problem(value))
        return str(int(str(value)))

    def _check_tag(self, tag_name: str) -> None:
        self._refuse("tag_name", tag_problem(tag_name))

    def _refuse(self, name: str, problem: str | None) -> None:
        if problem:
            raise self.bad_request(f"{name} {problem}")

    def _warn_of_tag(self, tag_name: str) -> None:
        if not _COCKTAIL_TAG.fullmatch(tag_name):
            log.warning(
                "tag_name %r breaks Cocktail's rule for the tags of builds (lower-case letters, digits, '-', '.', '_'; "
                "a letter or digit first and last)",
                tag_name,
            )

    def _check_callback(self, callback_url: str | None) -> None:
        if not callback_url:
            return
        self._refuse("callback_url", callback_problem(callback_url))
        # Its path holds a secret.
        self.transport.redact.add_other(callback_url)

    def _not_found(self, use: str, summary: str) -> NotFoundError:
        return NotFoundError(summary, call=self._call(use))

    def _unexpected(self, use: str, summary: str) -> UnexpectedResponseError:
        return UnexpectedResponseError(summary, call=self._call(use), effect=Effect.UNKNOWN)

    def _unexpected_at(self, path: str, summary: str) -> UnexpectedResponseError:
        return UnexpectedResponseError(summary, call=Call(system=SYSTEM, path=path), effect=Effect.UNKNOWN)

    def _call(self, use: str) -> Call:
        return Call(system=SYSTEM, method=self._paths.method(use), path=self._paths.template(use), status=200)

    def _no_way(self, what: str, refused: Sequence[ReleasePipelineError]) -> ReleasePipelineError:
        """An error that says which calls are missing and what can be done about it."""
        reasons = []
        for error in refused:
            why = "the token does not allow it" if isinstance(error, PermissionDeniedError) else "not published"
            reasons.append(f"{error.method} {error.path}: {why}" if error.path else error.summary)
        cause: type[ReleasePipelineError] = ConnectionConfigError
        if _any(refused, PermissionDeniedError):
            cause = PermissionDeniedError
        elif _any(refused, NotFoundError):
            # Not the connection's fault for sure: a gateway that is restarted publishes nothing for a while.
            cause = UnexpectedResponseError
        return cause(
            f"{what} ({'; '.join(reasons)}). Extend the token's permissions, or correct the connection's host and "
            "extras `api_prefix` and `paths`",
            call=Call(system=SYSTEM),
        )


def _any(errors: Sequence[ReleasePipelineError], cause: type[ReleasePipelineError]) -> bool:
    return any(isinstance(error, cause) for error in errors)


def is_path_missing(error: ReleasePipelineError) -> bool:
    return isinstance(error, ConnectionConfigError) or answers.is_path_missing(error)
