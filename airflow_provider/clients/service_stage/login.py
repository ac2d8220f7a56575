"""Chooses how to authenticate by the fields of a connection, and where the project id comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider.clients.auth import Auth
from airflow_provider.clients.service_stage.iam import IamTokenAuth, ProjectLookup
from airflow_provider.clients.service_stage.references import SYSTEM
from airflow_provider.clients.service_stage.signing import SigningAuth
from airflow_provider.clients.transport import Transport
from airflow_provider.exceptions import Call, ConnectionConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class HuaweiCredentials:
    """An access key, or the password of an IAM user; and the region or project that they are for."""

    region: str | None
    project_id: str | None
    iam_url: str | None
    access_key: str | None
    secret_key: str | None = field(repr=False)
    security_token: str | None = field(repr=False)
    username: str | None
    password: str | None = field(repr=False)
    domain_name: str | None

    def check(self) -> None:
        """
        :raises ConnectionConfigError: names the field that is missing or contradicts another one.
        """
        keys = {"access_key": self.access_key, "secret_key": self.secret_key}
        user = {"username": self.username, "password": self.password, "domain_name": self.domain_name}
        if any((*keys.values(), self.security_token)) and any(user.values()):
            raise _error("access_key and secret_key, or username, password and domain_name must be given, not both")
        wanted = user if any(user.values()) else keys
        if missing := [name for name, value in wanted.items() if not value]:
            raise _error(f"{' and '.join(missing)} must not be empty")
        if not self.project_id and not self.region:
            raise _error("project_id must be given, or the region whose project it is")

    def endpoint(self, service: str, override: str) -> str:
        """The URL of a service of the region.

        :param override: the field that could name it instead, for the error.
        """
        if not self.region:
            raise _error(f"{override} must be given, or the region whose endpoint it is")
        return f"https://{service}.{self.region}.myhuaweicloud.com"

    def set_up(self, transport: Transport) -> tuple[Auth, Callable[[], str]]:
        """How requests are authenticated, and a function that returns the project id (and may request it from IAM)."""
        for secret in (self.secret_key, self.security_token, self.password):
            transport.redact.add(secret)
        if self.username:
            token_auth = IamTokenAuth(
                transport,
                self._iam_url(),
                username=self.username,
                password=self.password or "",
                domain_name=self.domain_name or "",
                project_id=self.project_id,
                region=self.region,
            )
            return token_auth, token_auth.project_id
        auth = SigningAuth(self.access_key or "", self.secret_key or "", self.security_token)
        if project_id := self.project_id:
            return auth, lambda: project_id
        return auth, ProjectLookup(transport, self._iam_url(), self.region or "").project_id

    def _iam_url(self) -> str:
        return (self.iam_url or self.endpoint("iam", "iam_url")).rstrip("/")


def _error(summary: str) -> ConnectionConfigError:
    return ConnectionConfigError(summary, call=Call(system=SYSTEM))
