"""Checks the fields of a connection before anything is sent. Which fields a system has is in its hook."""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from airflow_provider.clients.redaction import is_secret_name
from airflow_provider.exceptions import Call, ConnectionConfigError
from airflow_provider.settings import MAX_CONNECTIONS

if TYPE_CHECKING:
    from airflow.sdk import Connection


log = logging.getLogger(__name__)

LONGEST_NAME = 100
"""Most characters of the name of an extra that a warning shows."""


def check_url(url: str) -> str:
    """Refuse anything but a plain ``http(s)`` URL; a query or credentials in it would reach logs and links."""
    problem = "must be a host name or an http(s) URL without whitespace"
    if url != "".join(url.split()):
        raise ValueError(problem)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("must have a port from 1 to 65535, if it has one") from None
    if port == 0:
        raise ValueError("must have a port from 1 to 65535, if it has one")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(problem)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must not contain credentials, a query or a fragment")
    return url


def check_path(path: str) -> str:
    """Refuse a prefix that would change more of a URL than its path."""
    if "://" in path or re.search(r"[?#\s]", path):
        raise ValueError("must be a path, without host, query or whitespace")
    return path


def check_template(names: Collection[str], template: str) -> str:
    """Refuse a link template that identifies no execution, or holds credentials.

    :param names: the placeholders that it may contain besides ``{base}``; it needs one of them.
    """
    if not template.startswith(("http://", "https://", "{base}")):
        raise ValueError("must begin with http://, https:// or {base}")
    if re.match(r"\w+://[^/]*@", template):
        raise ValueError("must not contain credentials: everybody sees the link")
    held = set(re.findall(r"\{(\w*)\}", template)) - {"base"}
    if not held or not held <= set(names):
        wanted = " or ".join(f"{{{name}}}" for name in names)
        raise ValueError(f"must contain {wanted}, may contain {{base}}, and must have nothing else in braces")
    return template


Url = Annotated[str, AfterValidator(check_url)]
UrlPath = Annotated[str, AfterValidator(check_path)]


def header_problem(value: str) -> str | None:
    """What is wrong with a value that is sent in an HTTP header: mostly a line break that was copied with it."""
    if value != value.strip():
        return "must not begin or end with whitespace"
    return None if value.isascii() and value.isprintable() else "must be printable ASCII, to be sent in an HTTP header"


NAMING_NO_SYSTEM = ("", "generic", "http", "https")
"""Connection types that fit any system: none, the form's default, and those that Airflow derives from a plain URL."""

LIKE_A_SECRET = 12
"""Length from which the value of any header may be a secret: shorter ones are words like DEVOPS."""


class Extras(BaseModel):
    """The extras of every connection; a hook adds its own.

    Empty values mean "not given", because the connection form stores blank fields.
    """

    # Building a model takes milliseconds, and this one is never used itself: only its subclasses in hooks are.
    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True, defer_build=True)

    verify: bool | str = True
    request_timeout: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    max_connections: int = Field(default_factory=lambda: int(MAX_CONNECTIONS.value()), ge=1, le=64)

    @model_validator(mode="before")
    @classmethod
    def _drop_blanks(cls, extras: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in extras.items() if value not in (None, "")}

    @field_validator("verify", mode="before")
    @classmethod
    def _read_switch(cls, value: object) -> object:
        """A connection defined as a URI contains only text."""
        return {"true": True, "false": False}.get(value.strip().lower(), value) if isinstance(value, str) else value

    @field_validator("verify")
    @classmethod
    def _find_bundle(cls, value: bool | str) -> bool | str:
        if isinstance(value, str) and not _exists(value):
            raise ValueError("must be true, false or the path of an existing CA bundle")
        return value


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        # Too long for a path, or with a NUL in it.
        return False


def _kind(value: object) -> str:
    """Describes a value that may be a secret."""
    return "a list" if isinstance(value, (list, tuple)) else f"a value of type {type(value).__name__}"


def read_object(value: object) -> object:
    """An extra that is an object may come as JSON text, from the form or from a URI."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("must be a JSON object") from None


warned_of: set[tuple[str | None, str]] = set()


def warn_of_unknown(conn_id: str | None, extras: Collection[str], known: Collection[str]) -> None:
    """Warn once in this process about extras that have no effect: most of them are misspelled."""
    for name in extras:
        if name in known or (conn_id, name) in warned_of:
            continue
        warned_of.add((conn_id, name))
        nearest = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(sorted(known))}"
        shown = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
        log.warning("Connection %r has an unknown extra %r, which does nothing; %s", conn_id, shown, hint)


ExtrasT = TypeVar("ExtrasT", bound=Extras)


class ConnectionFields(Generic[ExtrasT]):
    """The checked fields of one connection; every error names the field."""

    def __init__(self, connection: Connection, system: str, extras_class: type[ExtrasT]) -> None:
        self._connection = connection
        self._system = system
        self._check_type()
        self.login = self._text("login")
        self.password = self._text("password")
        # Airflow's own parser treats broken JSON as no extras, and messages the supervisor each time.
        self.raw_extras: dict[str, Any] = self._read_extra()
        try:
            self.extras = extras_class.model_validate(self.raw_extras)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = f"extra `{first['loc'][0]}`"
            if own := first.get("ctx", {}).get("error"):
                raise self.error(name, str(own)) from None
            raise self.error(f"{name}:", first["msg"][:1].lower() + first["msg"][1:]) from None
        warn_of_unknown(connection.conn_id, self.raw_extras, list(extras_class.model_fields))

    def _check_type(self) -> None:
        """A secret must not be sent to the wrong system, nor requests for this system to another one."""
        conn_type = self._text("conn_type") or ""
        if conn_type.lower().replace("-", "_") not in (self._system, *NAMING_NO_SYSTEM):
            raise self.error("conn_type", f"must be {self._system}, got {conn_type!r}")

    def _read_extra(self) -> dict[str, Any]:
        try:
            extra = json.loads(self._connection.extra or "{}")
        except (TypeError, ValueError, RecursionError):
            extra = None
        if not isinstance(extra, dict):
            raise self.error("extra", "must be a JSON object")
        return extra

    def _text(self, name: str) -> str | None:
        """A field as text; JSON may contain a number or an object where Airflow expects text."""
        value = getattr(self._connection, name)
        if value is not None and not isinstance(value, str):
            raise self.error(name, f"must be text, got {_kind(value)}")
        return value or None

    def _port(self) -> int | None:
        port = self._connection.port
        if port in (None, "", 0):
            return None
        is_number = isinstance(port, int) and not isinstance(port, bool)
        if not is_number and not (isinstance(port, str) and port.isdecimal()):
            raise self.error("port", f"must be a number from 1 to 65535, got {_kind(port)}")
        return int(port)

    def error(self, field: str, problem: str) -> ConnectionConfigError:
        return ConnectionConfigError(f"{field} {problem}", call=Call(system=self._system))

    def require(self, field: str, value: str | None, what: str) -> str:
        """The value of a required field."""
        if not value:
            raise self.error(field, f"is missing: {what}")
        return value

    def require_for_header(self, field: str, value: str | None, what: str) -> str:
        """The value of a required field that is sent in a header."""
        value = self.require(field, value, what)
        if problem := header_problem(value):
            raise self.error(field, problem)
        return value

    def secrets(self) -> list[str]:
        """Everything that nobody may see."""
        names = ("refresh_token", "security_token")
        found = [self.password, *(getattr(self.extras, name, None) for name in names)]
        found += [value for name, value in self._headers.items() if is_secret_name(name)]
        return [str(secret) for secret in found if secret]

    def possible_secrets(self) -> list[str]:
        """What logs and errors must not show. It may also be the name of an account, which is in that of each image."""
        return [
            value for name, value in self._headers.items() if not is_secret_name(name) and len(value) >= LIKE_A_SECRET
        ]

    @property
    def _headers(self) -> dict[str, str]:
        return getattr(self.extras, "headers", None) or {}

    def base_url(self, *, required: bool = True) -> str | None:
        """The base URL of the API, from ``host`` (a name or a whole URL), ``port`` and ``schema``."""
        host = (self._text("host") or "").strip()
        if not host:
            if required:
                raise self.error("host", "is missing: give the host name or the URL of the system")
            return None
        schema = (self._text("schema") or "").strip().rstrip(":/").lower()
        if schema and schema not in ("http", "https"):
            hint = "; in a connection URI, escape the slashes of the host as %2F" if "://" in host else ""
            # In a connection URI with an unescaped slash in its password, this is the rest of the password.
            got = repr(schema) if schema.isalpha() else "other text"
            raise self.error("schema", f"must be http or https, got {got}{hint}")
        port = self._port()
        if port and not 0 < port < 65536:
            raise self.error("port", f"must be from 1 to 65535, got {port}")
        try:
            url = check_url(host if "://" in host else f"{schema or 'https'}://{host}")
        except ValueError as error:
            raise self.error("host", str(error)) from None
        parts = urlsplit(url)
        if schema and schema != parts.scheme:
            raise self.error("schema", f"must be {parts.scheme!r} as in host, got {schema!r}")
        if port and parts.port and port != parts.port:
            raise self.error("port", f"must be {parts.port} as in host, got {port}")
        netloc = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        if port := parts.port or port:
            netloc = f"{netloc}:{port}"
        return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"
