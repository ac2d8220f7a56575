"""Pages for people, where the links from Airflow lead to: what the sandbox holds. They refresh by themselves."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

LOGOS = Path(__file__).parents[1] / "integration-logos"
REFRESH = 2
"""Seconds after which a browser asks again."""

_STYLE = (
    ":root{color-scheme:light dark;--ink:#1c2733;--paper:#fff;--line:#d9e0e6;--link:#0b5cad}"
    "@media(prefers-color-scheme:dark){:root{--ink:#dfe6ec;--paper:#14191f;--line:#313b45;--link:#7cb8f2}}"
    "body{font:16px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em;color:var(--ink);"
    "background:var(--paper)}a{color:var(--link)}h1{font-size:1.4em;display:flex;gap:.6em;align-items:center}"
    "h1 svg{width:2em;height:2em;flex:none}h2{font-size:1.1em}table{border-collapse:collapse}"
    "td,th{text-align:left;padding:.2em 1.5em .2em 0;vertical-align:top;border-bottom:1px solid var(--line)}"
)
_SHOWN_APART = ("system", "id", "kind", "state", "states", "cancels")


def execution_page(execution: Mapping[str, Any]) -> str:
    """:param execution: as in ``GET /_sandbox/executions``."""
    title = f"{execution['system']} {execution['kind']} {execution['id']}: {execution['state']}"
    about = [(name, _text(value)) for name, value in execution.items() if name not in _SHOWN_APART]
    states = [(_time(entry["at"]), _text(entry["state"])) for entry in execution["states"]]
    cancels = [(_time(at), "cancel received") for at in execution["cancels"]]
    return _page(
        execution["system"],
        title,
        f"{_table(about)}<h2>States</h2>{_table(states)}"
        f"<h2>Cancels</h2>{_table(cancels) if cancels else '<p>none</p>'}",
    )


def overview_page(executions: Iterable[Mapping[str, Any]], systems: Iterable[str]) -> str:
    """Every execution, the newest first, each with its page.

    :param executions: as in ``GET /_sandbox/executions``.
    """
    listed = list(executions)
    parts = []
    for system in systems:
        own = sorted((each for each in listed if each["system"] == system), key=_began, reverse=True)
        rows = [
            (
                _time(_began(each)),
                f'<a href="/_sandbox/executions/{system}/{escape(each["id"])}">{_text(each["id"])}</a> '
                f"{_text(each['kind'])}: {_text(each['state'])}",
            )
            for each in own
        ]
        parts.append(f"<h1>{_logo(system)}{system}</h1>{_table(rows) if rows else '<p>nothing yet</p>'}")
    return _document("Sandbox", "".join(parts))


def repository_page(name: str, tags: Iterable[tuple[str, str, float]], builds: Iterable[Mapping[str, Any]]) -> str:
    """A repository of Quay.

    :param tags: name, digest, and since when it points there.
    """
    moved = [(_text(tag), f"{_text(digest)}, since {_time(at)}") for tag, digest, at in tags]
    built = [
        (f'<a href="/_sandbox/executions/quay/{escape(each["id"])}">{_text(each["id"])}</a>', _text(each["state"]))
        for each in builds
    ]
    nothing = "<p>none</p>"
    body = f"<h2>Tags</h2>{_table(moved) if moved else nothing}<h2>Builds</h2>{_table(built) if built else nothing}"
    return _page("quay", name, body)


def _page(system: str, title: str, body: str) -> str:
    return _document(title, f'<h1>{_logo(system)}{_text(title)}</h1>{body}<p><a href="/_sandbox">Everything</a></p>')


def _document(title: str, body: str) -> str:
    return (
        f"<!DOCTYPE html><html lang=en><meta charset=utf-8><meta name=color-scheme content='light dark'>"
        f"<meta http-equiv=refresh content={REFRESH}><title>{_text(title)}</title><style>{_STYLE}</style>"
        f"{body}</html>\n"
    )


@functools.cache
def _logo(system: str) -> str:
    return (LOGOS / f"{system}.svg").read_text().strip()


def _table(rows: Iterable[tuple[str, str]]) -> str:
    """:param rows: HTML already."""
    cells = (f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    return f"<table>{''.join(cells)}</table>"


def _text(value: object) -> str:
    return escape(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _began(execution: Mapping[str, Any]) -> float:
    return float(execution["states"][0]["at"])


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
