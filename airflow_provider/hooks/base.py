"""An Airflow connection becomes a client. What the fields of one system mean stands in that system's hook."""

from __future__ import annotations

import importlib
import json
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.transport import ATTEMPTS
from airflow_provider.exceptions import Call, ConnectionConfigError, ReleasePipelineError

if TYPE_CHECKING:
    from airflow.sdk import Connection

ClientT = TypeVar("ClientT", bound=ReleaseClient)

_HOOKS = {
    "code_stream": "CodeStreamHook",
    "service_stage": "ServiceStageHook",
    "cocktail": "CocktailHook",
    "quay": "QuayHook",
}


def hook_class(system: str) -> type[ReleaseHook[Any]]:
    """The hook of a system, imported only when it is needed: DAG files are parsed all the time."""
    found: type[ReleaseHook[Any]] = getattr(importlib.import_module(f"airflow_provider.hooks.{system}"), _HOOKS[system])
    return found


class Extras(BaseModel):
    """The extras that every connection takes; a hook adds its own.

    Empty values mean "not given": the connection form stores what was left blank.
    """

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)

    verify: bool | str = True
    request_timeout: float = Field(default=30.0, gt=0)
    max_connections: int = Field(default=8, ge=1, le=64)

    @model_validator(mode="before")
    @classmethod
    def _drop_blanks(cls, extras: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in extras.items() if value not in (None, "")}

    @field_validator("verify", mode="before")
    @classmethod
    def _read_switch(cls, value: object) -> object:
        """A connection written as a URI holds text only."""
        return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


def read_object(value: object) -> object:
    """An object-valued extra may come as JSON text, from the form or from a URI."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("is not a JSON object") from None


class ReleaseHook(BaseHook, Generic[ClientT]):
    """Base of the four hooks.

    :param conn_id: the Airflow connection.
    """

    system: ClassVar[str]
    conn_type: ClassVar[str]
    conn_name_attr: ClassVar[str]
    default_conn_name: ClassVar[str]
    hook_name: ClassVar[str]
    extras_class: ClassVar[type[Extras]] = Extras

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id

    def get_conn(self) -> ClientT:
        """A new client for the connection; close it when done (it is a context manager).

        :raises ConnectionConfigError: a field is missing or contradictory; names the field and the connection.
        """
        return self.client_from(self.get_connection(self.conn_id))

    @classmethod
    def client_from(
        cls,
        connection: Connection,
        *,
        extras: dict[str, Any] | None = None,
        attempts: int = ATTEMPTS,
        mask: Callable[[str], None] | None = None,
    ) -> ClientT:
        """A new client for a connection that was read already.

        :param extras: its extras, where they were read already (the triggerer must read them asynchronously).
        :param attempts: tries for one call; 1 leaves repeating to the caller.
        :param mask: told every secret; default: Airflow's ``mask_secret``.
        """
        if mask is None:
            from airflow.sdk.log import mask_secret as mask

        fields = ConnectionFields(connection, cls.system, cls.extras_class, extras)
        for secret in fields.secrets():
            mask(secret)
        common = {
            "timeout": fields.extras.request_timeout,
            "verify": fields.extras.verify,
            "max_connections": fields.extras.max_connections,
            "attempts": attempts,
            "on_secret": mask,
        }
        return cls.build_client(fields, common)

    @classmethod
    @abstractmethod
    def build_client(cls, fields: ConnectionFields, common: dict[str, Any]) -> ClientT:
        """Say what the fields mean.

        :param common: arguments that every client takes.
        """

    def test_connection(self) -> tuple[bool, str]:
        """Call something harmless; tells DNS, TLS, a wrong URL, bad credentials and a missing permission apart."""
        try:
            with self.get_conn() as client:
                return True, client.check()
        except ReleasePipelineError as error:
            return False, str(error)


class ConnectionFields:
    """The fields of one connection, checked; every error names the field and the connection."""

    def __init__(
        self, connection: Connection, system: str, extras_class: type[Extras], extras: dict[str, Any] | None
    ) -> None:
        self._connection = connection
        self._system = system
        self.login: str | None = connection.login or None
        self.password: str | None = connection.password or None
        try:
            # Read once: each read of the extras is a message to the supervisor, which masks them.
            self.raw_extras: dict[str, Any] = connection.extra_dejson if extras is None else extras
        except ValueError:
            raise self.error("extra", "is not a JSON object") from None
        try:
            self.extras: Any = extras_class.model_validate(self.raw_extras)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = str(first["loc"][0]) if first["loc"] else "extra"
            raise self.error(f"extra `{name}`", first["msg"][:1].lower() + first["msg"][1:]) from None

    def error(self, field: str, problem: str) -> ConnectionConfigError:
        return ConnectionConfigError(
            f"connection {self._connection.conn_id!r}: {field} {problem}", call=Call(system=self._system)
        )

    def require(self, field: str, value: str | None, what: str) -> str:
        """The value of a field that must be there."""
        if not value:
            raise self.error(field, f"is missing: {what}")
        return value

    def secrets(self) -> list[str]:
        """Values that Airflow's own masking by key name may miss."""
        names = ("refresh_token", "security_token")
        found = [self.password, *(getattr(self.extras, name, None) for name in names)]
        found += (getattr(self.extras, "headers", None) or {}).values()
        return [str(secret) for secret in found if secret]

    def base_url(self, *, required: bool = True) -> str | None:
        """The URL below which the API lives, from ``host`` (a name or a whole URL), ``port`` and ``schema``."""
        host = (self._connection.host or "").strip().rstrip("/")
        if not host:
            if required:
                raise self.error("host", "is missing: give the host name or the URL of the system")
            return None
        schema = (self._connection.schema or "").strip().rstrip(":/").lower()
        if schema and schema not in ("http", "https"):
            raise self.error("schema", f"must be http or https, but is {schema!r}")
        url = host if "://" in host else f"{schema or 'https'}://{host}"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise self.error("host", "holds a port that is no number") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise self.error("host", f"must be a host name or an http(s) URL, but is {host!r}")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise self.error("host", "must hold no credentials, query or fragment")
        if schema and "://" in host and schema != parts.scheme:
            raise self.error("schema", f"is {schema!r}, but host says {parts.scheme!r}")
        if self._connection.port and port and self._connection.port != port:
            raise self.error("port", f"is {self._connection.port}, but host says {port}")
        netloc = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        if port := port or self._connection.port:
            netloc = f"{netloc}:{port}"
        return f"{parts.scheme}://{netloc}{parts.path}"
