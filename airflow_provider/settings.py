"""The settings of ``[release_pipelines]``: what a platform team may choose, read and checked only here.

Settings of one task are its arguments; those of one system are in its connection.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from msgspec import Struct

from airflow_provider.core.durations import DURATIONS, Durations

log = logging.getLogger(__name__)

SECTION = "release_pipelines"
_AS_SHIPPED = Durations()


class Setting(Struct, frozen=True):
    """One option.

    :param least: the lower bound, which is itself allowed only if ``may_be_least``.
    :param description: what it limits, its unit, and why one would change it.
    """

    name: str
    default: float
    example: str
    description: str
    least: float = 0.0
    most: float = math.inf
    may_be_least: bool = False
    is_integer: bool = False

    def read(self) -> float:
        """:raises ValueError: the value is bad; the error names the option and what it must be."""
        from airflow.sdk.configuration import conf

        text = str(conf.get(SECTION, self.name, fallback=self.default)).strip()
        try:
            value: float = int(text) if self.is_integer else float(text)
        except ValueError:
            value = math.nan
        # Both comparisons are false for NaN.
        is_least = self.may_be_least and value == self.least
        if not (is_least or self.least < value) or not value <= self.most or math.isinf(value):
            raise ValueError(f"[{SECTION}] {self.name} must be {self._wanted()}, got {text!r}")
        return value

    def value(self) -> float:
        """The value, or the default if it is bad: a wait in progress must not fail because of it."""
        try:
            return self.read()
        except ValueError as error:
            log.error("%s: using the default, %g", error, self.default)
            return self.default

    def as_option(self) -> dict[str, Any]:
        """The option as the provider's metadata describes it."""
        return {
            "description": self.description,
            "version_added": "0.1.0",
            "type": "integer" if self.is_integer else "float",
            "example": self.example,
            "default": f"{self.default:g}",
        }

    def _wanted(self) -> str:
        kind = "a whole number" if self.is_integer else "a number"
        if self.most < math.inf:
            return f"{kind} from {self.least:g} to {self.most:g}"
        return f"{kind} {'from' if self.may_be_least else 'above'} {self.least:g}{' on' if self.may_be_least else ''}"


class Text(Struct, frozen=True):
    """One text option; whoever uses it checks its content.

    :param is_secret: no page of Airflow shows it; a command (``_CMD``) or a secrets backend (``_SECRET``)
        may supply it.
    """

    name: str
    example: str
    description: str
    is_secret: bool = False

    def read(self) -> str:
        """The text; "" if it is not set."""
        from airflow.sdk.configuration import conf

        return str(conf.get(SECTION, self.name, fallback="") or "")

    def as_option(self) -> dict[str, Any]:
        """The option as the provider's metadata describes it."""
        return {
            "description": self.description,
            "version_added": "0.1.0",
            "type": "string",
            "example": self.example,
            "default": "",
            "sensitive": self.is_secret,
        }


REQUESTS_PER_SECOND = Setting(
    "requests_per_second",
    20.0,
    "50",
    "Requests per second, on average, that one triggerer sends over one connection; unused ones may be made up for "
    "shortly after. If waits need more, because no list request covers them, they are polled less often than their "
    "poll_interval, and the triggerer's log says so.",
)
POLL_INTERVAL = Setting(
    "poll_interval",
    10.0,
    "30",
    "Seconds between two polls of an execution, for operators without the argument poll_interval. In the triggerer, "
    "the waits of one connection share their requests, so a shorter interval costs little there.",
)
MAX_CONNECTIONS = Setting(
    "max_connections",
    8,
    "2",
    "Most TCP connections that one process opens to a system at the same time, for Airflow connections without the "
    "extra max_connections. Lower it if a gateway limits them.",
    least=1,
    most=64,
    may_be_least=True,
    is_integer=True,
)
MAX_RETRY_AFTER = Setting(
    "max_retry_after",
    300.0,
    "600",
    "Most seconds for which a system's Retry-After is honored. One that asks for a day would stop every wait of its "
    "connection for a day. Lower it if a gateway asks for longer than it needs.",
)
MAX_ANSWER_MB = Setting(
    "max_answer_mb",
    16.0,
    "64",
    "Most megabytes of an answer after decompression; a larger one is an error. A page of a thousand executions and "
    "the security report of a big image have up to 10. Raise it for larger reports.",
)
CONNECTION_LIFETIME = Setting(
    "connection_lifetime",
    300.0,
    "60",
    "Seconds after which a triggerer reads an Airflow connection again; it builds a new client only if the connection "
    "has changed. After a refused login it reads the connection at once. Lower it if credentials change often and "
    "requests to the secrets backend are cheap.",
)
ERROR_BUDGET = Setting(
    "error_budget",
    _AS_SHIPPED.error_budget,
    "3600",
    "Seconds for which polls of an execution may fail before the wait fails; the execution itself is left alone. Raise "
    "it above the longest maintenance of a system.",
)
SETTLING = Setting(
    "settling",
    _AS_SHIPPED.settling,
    "60",
    "Seconds for which an execution may be missing from the lists of its system after its start. A start whose answer "
    "was lost is searched for that long before another one is sent. Raise it for a system whose lists lag more.",
)
CLEARED_LIMIT = Setting(
    "cleared_limit",
    _AS_SHIPPED.cleared_limit,
    "300",
    "Seconds for which a cleared task tries to end its earlier execution before it starts a new one. After that it "
    "fails, and names that execution. Raise it for a system that takes long to cancel.",
)
BUSY_LIMIT = Setting(
    "busy_limit",
    _AS_SHIPPED.busy_limit,
    "14400",
    "Seconds for which a task without a timeout waits for a busy system to accept its start.",
)

SETTINGS = (
    POLL_INTERVAL,
    REQUESTS_PER_SECOND,
    MAX_CONNECTIONS,
    MAX_RETRY_AFTER,
    MAX_ANSWER_MB,
    CONNECTION_LIFETIME,
    ERROR_BUDGET,
    SETTLING,
    CLEARED_LIMIT,
    BUSY_LIMIT,
)

WEBHOOKS = Text(
    "webhooks",
    '{"app-pushes": {"source": "quay", "asset": "app-image", "secrets": ["..."]}}',
    "JSON object: the webhooks that Airflow's API server takes, by name. See docs/webhooks.md. API servers need it, "
    "and the workers of tasks that set webhooks up.",
    is_secret=True,
)
WEBHOOKS_URL = Text(
    "webhooks_url",
    "https://airflow.example.com",
    "URL at which the systems reach Airflow's API server, for the webhooks that tasks set up. Default: that of "
    "[api] base_url.",
)
TEXTS = (WEBHOOKS, WEBHOOKS_URL)

_OF_THE_CORE = (ERROR_BUDGET, SETTLING, CLEARED_LIMIT, BUSY_LIMIT)


def check() -> None:
    """:raises ValueError: an option has a bad value; the error names it."""
    for setting in SETTINGS:
        setting.read()


def apply() -> None:
    """Set those durations of the core that are configured: the core itself reads no configuration."""
    for setting in _OF_THE_CORE:
        if (value := setting.value()) != setting.default:
            setattr(DURATIONS, setting.name, value)
