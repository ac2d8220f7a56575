"""The HTML pages that links from Airflow lead to: what the sandbox holds. They refresh automatically."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

LOGOS = Path(__file__).parents[1] / "integration-logos"
REFRESH = 2
"""Seconds between two refreshes."""


def execution_page(execution: Mapping[str, Any]) -> str:
    """:param execution: as in ``GET /_sandbox/executions``."""
    return _render("execution.html", system=execution["system"], execution=execution)


def overview_page(executions: Iterable[Mapping[str, Any]], systems: Iterable[str]) -> str:
    """Every execution, newest first, each with a link to its page.

    :param executions: as in ``GET /_sandbox/executions``.
    """
    newest_first = sorted(executions, key=lambda each: float(each["states"][0]["at"]), reverse=True)
    listed = {system: [each for each in newest_first if each["system"] == system] for system in systems}
    return _render("overview.html", listed=listed)


def repository_page(name: str, tags: Iterable[tuple[str, str, float]], builds: Iterable[Mapping[str, Any]]) -> str:
    """A repository of Quay.

    :param tags: name, digest, and since when it has pointed there.
    """
    return _render("repository.html", system="quay", name=name, tags=tags, builds=builds)


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(refresh=REFRESH, **values)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("airflow_provider.sandbox"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"logo": _logo, "text": _text, "time": _time}
    return environment


@functools.cache
def _logo(system: str) -> Markup:
    return Markup((LOGOS / f"{system}.svg").read_text().strip())  # noqa: S704 - a file of the package


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
