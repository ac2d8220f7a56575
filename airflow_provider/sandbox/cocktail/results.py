"""Cocktail's successful answers: flat or wrapped JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from airflow_provider.sandbox.cocktail.models import BuildRun
from airflow_provider.sandbox.core.calls import Call


def result(call: Call, value: Any) -> Response:
    """Flat or wrapped; None is always wrapped, because a flat null would not be an object."""
    return utf8_json({"status": "ok", "result": value} if call.switches["wrapped"] or value is None else value)


def view_of(call: Call, run: BuildRun, *, with_steps: bool = False) -> dict[str, Any]:
    """A run as answers show it."""
    return run.view(tagged_url=call.switches["image_url_with_tag"], with_steps=with_steps)


def utf8_json(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json;charset=UTF-8")
