"""The calls of Cocktail's build API that a connection may make, and their paths. No HTTP here."""

from __future__ import annotations

import re
from collections.abc import Mapping

from airflow_provider.clients import urls
from airflow_provider.exceptions import Call, ConnectionConfigError

DEFAULT_PREFIX = "/v1"

DEFAULTS = {
    "run": "/build/run/{build_seq}",
    "status": "/build/run/{build_run_seq}",
    "list": "/build/run",
    "cancel": "/build/run/cancel/{build_run_seq}",
    "log": "/build/run/log/{build_run_seq}",
    "build": "/build/{build_seq}",
}
"""Templates below the prefix. Only ``run`` is documented; an installation may or may not publish the others."""

_METHODS = {"run": "POST", "cancel": "PUT"}


class Paths:
    """:param prefix: of every path.
    :param templates: replace some of :data:`DEFAULTS`; ``None`` or "" means that this call is not published.
    :raises ConnectionConfigError: an unknown call, or a template with other variables than its default.
    """

    def __init__(self, prefix: str, templates: Mapping[str, str | None]) -> None:
        bare = prefix.strip("/")
        self.prefix = f"/{bare}" if bare else ""
        for use, template in templates.items():
            _check(use, template)
        merged = {**DEFAULTS, **templates}
        self._templates = {use: "/" + template.lstrip("/") if template else "" for use, template in merged.items()}

    def method(self, use: str) -> str:
        return _METHODS.get(use, "GET")

    def template(self, use: str) -> str:
        """The whole path with its variables, for errors; "" if it is not published."""
        return self.prefix + self._templates[use] if self._templates[use] else ""

    def fill(self, use: str, values: Mapping[str, str]) -> str:
        """:raises ConnectionConfigError: according to the connection, this call is not published."""
        if not self._templates[use]:
            raise _config_error(f"the connection's extra `paths` says that {use!r} is not published")
        return urls.path(self.template(use), **values)

    def names_build(self, use: str) -> bool:
        return "{build_seq}" in self._templates[use]


def _check(use: str, template: str | None) -> None:
    if use not in DEFAULTS:
        raise _config_error(f"extra `paths` must hold only {', '.join(DEFAULTS)}, got {use!r}")
    if not template:
        return
    # A list has its build in the query, or in its path.
    variable = "build_run_seq" if "{build_run_seq}" in DEFAULTS[use] else "build_seq"
    named = re.findall(r"{([^}]*)}", template)
    if named != [variable] and not (use == "list" and not named):
        raise _config_error(f"extra `paths`: the template of {use!r} must hold {{{variable}}} and no other variable")


def _config_error(summary: str) -> ConnectionConfigError:
    return ConnectionConfigError(summary, call=Call(system="cocktail"))
