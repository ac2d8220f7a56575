"""Builds a client from an Airflow connection. What the fields of a system mean is in that system's hook."""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider import settings
from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.transport import ATTEMPTS, TransportOptions
from airflow_provider.clients.unforeseen import place_of_error
from airflow_provider.exceptions import Call, ConnectionConfigError, NotFoundError, ReleasePipelineError
from airflow_provider.hooks.connection_fields import ConnectionFields, Extras, ExtrasT
from airflow_provider.hooks.masking import forget_here

if TYPE_CHECKING:
    from airflow.sdk import Connection

FIELDS = ("conn_type", "host", "port", "schema", "login", "password", "extra")
"""The fields of a connection from which a client is built."""

ClientT = TypeVar("ClientT", bound=ReleaseClient)

_HOOKS = {
    "code_stream": "CodeStreamHook",
    "service_stage": "ServiceStageHook",
    "cocktail": "CocktailHook",
    "quay": "QuayHook",
}


def hook_class(system: str) -> type[ReleaseHook[ReleaseClient, Extras]]:
    """The hook of a system, imported only when it is needed, because DAG files are parsed all the time.

    Workers and triggerers call this before their first request, so the settings of the core are applied here.
    """
    settings.apply()
    module = importlib.import_module(f"airflow_provider.hooks.{system}")
    found: type[ReleaseHook[ReleaseClient, Extras]] = getattr(module, _HOOKS[system])
    return found


def undefined(conn_id: str) -> str:
    """What is wrong if Airflow has no connection of that id, and how to get one."""
    return (
        f"connection {conn_id!r} is not defined, or could not be read from Airflow; define it in the UI under Admin, "
        f"Connections, with `airflow connections add`, or as AIRFLOW_CONN_{conn_id.upper()} in the environment"
    )


def fields_of(connection: Connection) -> tuple[Any, ...]:
    return tuple(getattr(connection, name) for name in FIELDS)


class ReleaseHook(BaseHook, Generic[ClientT, ExtrasT]):
    """Base of the four hooks.

    :param conn_id: the Airflow connection.
    """

    system: ClassVar[str]
    conn_type: ClassVar[str]
    conn_name_attr: ClassVar[str]
    default_conn_name: ClassVar[str]
    hook_name: ClassVar[str]
    extras_class: ClassVar[type[Extras]]
    """The same as the type's second parameter."""

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id
        self._fields: tuple[Any, ...] = ()

    def get_conn(self) -> ClientT:
        """A new client for the connection; close it when done (it is a context manager).

        :raises ConnectionConfigError: a field is missing or contradictory (the error names the field and the
            connection), or an option of the section ``[release_pipelines]`` has a bad value.
        """
        try:
            settings.check()
        except ValueError as error:
            raise ConnectionConfigError(str(error), call=Call(system=self.system)) from None
        return self._client_of(self._read_connection())

    def get_changed_conn(self) -> ClientT | None:
        """A new client if the connection has changed since this hook built the last one; otherwise ``None``.

        :raises ConnectionConfigError: as for :meth:`get_conn`.
        """
        connection = self._read_connection()
        return None if fields_of(connection) == self._fields else self._client_of(connection)

    def _client_of(self, connection: Connection) -> ClientT:
        self._fields = fields_of(connection)
        return self.client_from(connection)

    def _read_connection(self) -> Connection:
        try:
            return self.get_connection(self.conn_id)
        except AirflowNotFoundException:
            raise ConnectionConfigError(undefined(self.conn_id), call=Call(system=self.system)) from None

    @classmethod
    def client_from(
        cls,
        connection: Connection,
        *,
        attempts: int = ATTEMPTS,
        mask: Callable[[str], None] | None = None,
        forget: Callable[[str], None] | None = None,
    ) -> ClientT:
        """A new client for a connection that has been read already.

        :param attempts: tries for each call; 1 leaves retries to the caller.
        :param mask: called with every secret; default: Airflow's ``mask_secret``.
        :param forget: called with secrets that are no longer in use; default: stop masking them in this process.
        """
        if mask is None:
            from airflow.sdk.log import mask_secret as mask

        try:
            checked = ConnectionFields(connection, cls.system, cls.extras_class)
            fields = cast("ConnectionFields[ExtrasT]", checked)
            options: TransportOptions = {
                "timeout": fields.extras.request_timeout,
                "verify": fields.extras.verify,
                "max_connections": fields.extras.max_connections,
                "attempts": attempts,
                "max_retry_after": settings.MAX_RETRY_AFTER.value(),
                "max_answer_bytes": int(settings.MAX_ANSWER_MB.value() * 1024 * 1024),
                "on_secret": mask,
                "on_forgotten": forget or forget_here,
            }
            client = cls.build_client(fields, options)
        except ConnectionConfigError as error:
            summary = f"connection {connection.conn_id!r}: {error.summary}"
            raise ConnectionConfigError(summary, call=error.call) from None
        except Exception as error:
            # Its text may contain secrets of the connection.
            summary = f"connection {connection.conn_id!r} cannot be used ({place_of_error(error)})"
            raise ConnectionConfigError(summary, call=Call(system=cls.system)) from None
        for secret in fields.secrets():
            client.transport.redact.add(secret)
        for text in fields.possible_secrets():
            client.transport.redact.add_other(text)
        client.who = cls.who(fields)
        return client

    @classmethod
    @abstractmethod
    def build_client(cls, fields: ConnectionFields[ExtrasT], options: TransportOptions) -> ClientT:
        """Build the client that the fields describe.

        :param options: passed on by every client to its transport.
        """

    @classmethod
    @abstractmethod
    def who(cls, fields: ConnectionFields[ExtrasT]) -> str:
        """The identity of the connection, for people: a name, or a kind of credentials. Never a secret."""

    def test_connection(self) -> tuple[bool, str]:
        """Make a harmless call; distinguishes DNS, TLS, a wrong URL, bad credentials and a missing permission."""
        try:
            # A person is waiting for the answer, and can try again.
            with self.client_from(self._read_connection(), attempts=1) as client:
                return True, client.check()
        except NotFoundError as error:
            advice = "" if "host" in error.summary else ". Is the connection's host that of the API?"
            return False, f"{error}{advice}"
        except ReleasePipelineError as error:
            return False, str(error)
