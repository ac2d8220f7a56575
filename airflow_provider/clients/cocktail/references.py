"""References of Cocktail, and the vendor's words that operators use. Light to import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider.execution import ExecutionRef

SYSTEM = "cocktail"
BUILD_RUN = "build_run"


def run_reference(run_seq: str, build_seq: str, tag: str) -> ExecutionRef:
    """:param tag: the requested one, "" if there is none."""
    return {"system": SYSTEM, "kind": BUILD_RUN, "id": run_seq, "build_seq": build_seq, "tag": tag}


def has_autotag(build_or_run: Mapping[str, Any]) -> bool:
    """Whether the server chooses the tags of this build itself."""
    return str(build_or_run.get("autotagUseYn")).upper() == "Y"
