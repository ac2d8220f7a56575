"""Huawei Cloud IAM: a token for a project, and the id of the project that belongs to a region.

Signatures, which need no login, are in ``signing``.
"""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import Any

import tenacity

from airflow_provider.clients import retries
from airflow_provider.clients.auth import NoAuth, TokenAuth
from airflow_provider.clients.login import Login, Token, shared_login
from airflow_provider.clients.times import from_iso, in_utc
from airflow_provider.clients.transport import Transport
from airflow_provider.exceptions import (
    BadRequestError,
    Call,
    ConnectionConfigError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    UnexpectedResponseError,
)

DEFAULT_LIFETIME = 24 * 3600.0
"""Seconds for which a token is valid if the reply does not say so."""

_CURE = "give the connection's extra `project_id`, or correct its `iam_url`"

_REFUSALS = (NotFoundError, BadRequestError, PermissionDeniedError)
"""Errors of IAM that would be about an execution if the API itself had answered with them."""


def _explained(summary: str, refusal: ReleasePipelineError) -> ReleasePipelineError:
    if isinstance(refusal, NotFoundError) and not refusal.code:
        # Not IAM's own answer: a gateway may find nothing for a while, which is no reason to give up.
        return UnexpectedResponseError(summary, call=refusal.call, effect=Effect.NONE)
    return ConnectionConfigError(summary, call=refusal.call, effect=refusal.effect)


class IamTokenAuth(TokenAuth):
    """A token for one project, fetched with the password of an IAM user; earlier tokens stay valid.

    :param transport: sends the logins.
    :param iam_url: scheme, host and path of IAM.
    :param username: name of an IAM user (the account itself gets no token).
    :param domain_name: name of the account that the user belongs to.
    :param project_id: the project that the token is for; otherwise it is that of ``region``.

    https://support.huaweicloud.com/intl/en-us/api-iam/iam_30_0001.html
    """

    header = "X-Auth-Token"
    scheme = ""

    def __init__(
        self,
        transport: Transport,
        iam_url: str,
        *,
        username: str,
        password: str,
        domain_name: str,
        project_id: str | None,
        region: str | None,
    ) -> None:
        login = shared_login("iam", iam_url, username, password, domain_name, project_id, region)
        super().__init__(transport.redact, login)
        self._transport = transport
        self._url = f"{iam_url}/v3/auth/tokens"
        user = {"name": username, "password": password, "domain": {"name": domain_name}}
        self._request = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"id": project_id} if project_id else {"name": region}},
            }
        }
        self._project_id = project_id

    def login(self) -> Token:
        # One attempt: the request that needs the token is retried anyway, and each retry comes back here.
        try:
            answer = self._transport.request(
                "POST", self._url, {"nocatalog": "true"}, body=self._request, auth=NoAuth(), attempts=1
            )
        except _REFUSALS as error:
            raise _explained(
                "IAM refused to issue a token; check the connection's login and extras `domain_name`, `iam_url`, "
                "`project_id`",
                error,
            ) from None
        value = answer.headers.get("X-Subject-Token")
        if not value:
            raise UnexpectedResponseError(
                "the answer to the IAM login has no token",
                call=Call(system=self._transport.system, method="POST", path="/v3/auth/tokens", status=answer.status),
            )
        # The token is the header; the body only describes it.
        described = answer.data.get("token") if isinstance(answer.data, dict) else None
        token = described if isinstance(described, dict) else {}
        project = token.get("project")
        project_id = str(project["id"]) if isinstance(project, dict) and project.get("id") else None
        return Token(value, time.time() + _lifetime(token), project_id)

    def project_id(self) -> str:
        """The project that the token is for, from the reply to a login."""
        if self._project_id is None:
            retrying = tenacity.Retrying(
                stop=tenacity.stop_after_attempt(self._transport.attempts),
                wait=retries.pause,
                retry=tenacity.retry_if_exception(retries.may_repeat_read),
                reraise=True,
            )
            self._project_id = retrying(self._current).project_id
        if self._project_id is None:
            raise ConnectionConfigError(
                "IAM did not return the token's project; give the connection's extra `project_id`",
                call=Call(system=self._transport.system),
            )
        return self._project_id


class ProjectLookup:
    """The id of a region's project, requested once for all threads; the client's own ``auth`` signs the request.

    https://support.huaweicloud.com/intl/en-us/api-iam/iam_06_0001.html
    """

    def __init__(self, transport: Transport, iam_url: str, region: str) -> None:
        self._transport, self._url, self._region = transport, f"{iam_url}/v3/projects", region
        self._known = Login()
        self._failed = f"could not read the project of region {region!r} from IAM"

    def project_id(self) -> str:
        """
        :raises ConnectionConfigError: the region has no project, or several.
        """
        return str(self._known.token(self._look_up).project_id)

    def _look_up(self) -> Token:
        try:
            body = self._transport.get(self._url, {"name": self._region})
        except _REFUSALS as error:
            raise _explained(f"{self._failed}: {_CURE}", error) from None
        except ServerUnavailableError as error:
            # A connection to another host than Huawei's may need another IAM, too.
            summary = f"{self._failed}, {error.summary}: {_CURE}"
            raise ServerUnavailableError(
                summary, call=error.call, effect=error.effect, retry_after=error.retry_after
            ) from None
        projects = body.get("projects") if isinstance(body, dict) else None
        listed = projects if isinstance(projects, list) else []
        found = [str(each["id"]) for each in listed if isinstance(each, dict) and each.get("id")]
        if len(found) != 1:
            names = ", ".join(found) or "none"
            raise ConnectionConfigError(
                f"the region {self._region!r} must have one IAM project, got {names}: "
                "give the connection's extra `project_id`",
                call=Call(system=self._transport.system),
            )
        return Token("", math.inf, found[0])


def _lifetime(token: dict[str, Any]) -> float:
    """Seconds from issue to expiry, both by the clock of IAM, which may differ from ours."""
    issued, end = _moment(token.get("issued_at")), _moment(token.get("expires_at"))
    lifetime = (end - issued).total_seconds() if issued and end else 0.0
    return lifetime if lifetime > 0 else DEFAULT_LIFETIME


def _moment(text: Any) -> datetime | None:
    moment = from_iso(text)
    return in_utc(moment) if moment else None
