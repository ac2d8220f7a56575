"""The field formats of ServiceStage: times, statuses and ids in the forms that the switches ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ROOT = "/v3/{project_id}/pipeline/pipelines"
CAS = "/v3/{project_id}/cas"


def millis(at: float) -> int:
    return int(at * 1000)


def status_in_form(status: int, switches: Mapping[str, Any]) -> int | str:
    shown: int = switches["shown_status"].get(str(status), status)
    return str(shown) if switches["status_form"] == "text" else shown


def id_in_form(release_id: int, form: str) -> int | str:
    return release_id if form == "integer" else str(release_id)
