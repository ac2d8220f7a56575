"""An execution of the sandbox as a page for people: where a link from Airflow leads to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

_STYLE = "body{font:16px sans-serif;margin:2em}td,th{text-align:left;padding:.2em 1.5em .2em 0;vertical-align:top}"
_SHOWN_APART = ("system", "id", "kind", "state", "states", "cancels")


def execution_page(execution: Mapping[str, Any]) -> str:
    """:param execution: as in ``GET /_sandbox/executions``."""
    title = f"{execution['system']} {execution['kind']} {execution['id']}: {execution['state']}"
    about = [(name, value) for name, value in execution.items() if name not in _SHOWN_APART]
    states = [(_time(entry["at"]), entry["state"]) for entry in execution["states"]]
    cancels = [(_time(at), "cancel received") for at in execution["cancels"]]
    return (
        f"<!DOCTYPE html><html lang=en><meta charset=utf-8><title>{_text(title)}</title><style>{_STYLE}</style>"
        f"<h1>{_text(title)}</h1>{_table(about)}<h2>States</h2>{_table(states)}"
        f"<h2>Cancels</h2>{_table(cancels) if cancels else '<p>none</p>'}</html>\n"
    )


def _table(rows: list[tuple[str, Any]]) -> str:
    cells = (f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows)
    return f"<table>{''.join(cells)}</table>"


def _text(value: object) -> str:
    return escape(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
