"""References of Quay, and the vendor's words that others use. Light to import."""

from __future__ import annotations

from typing import get_args

from airflow_provider.execution import ExecutionRef
from airflow_provider.identifiers import Severity

SYSTEM = "quay"
BUILD, TAG, SCAN = "build", "tag", "scan"

SEVERITIES: tuple[str, ...] = get_args(Severity)
"""An unknown word ranks above all of them: a scanner's new word must not go unnoticed."""


def build_reference(repository: str, build_id: str) -> ExecutionRef:
    return {"system": SYSTEM, "kind": BUILD, "id": build_id, "repository": repository}


def tag_reference(repository: str, tag: str, digest: str) -> ExecutionRef:
    """:param digest: to which the tag must point, "" for any."""
    return {"system": SYSTEM, "kind": TAG, "id": tag, "repository": repository, "tag": tag, "digest": digest}
