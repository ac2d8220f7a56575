"""What names an execution of Quay, and the vendor's words that others use. Light to import."""

from __future__ import annotations

from typing import get_args

from airflow_provider.execution import ExecutionRef
from airflow_provider.identifiers import Severity

SYSTEM = "quay"
BUILD, TAG, SCAN = "build", "tag", "scan"

SEVERITIES: tuple[str, ...] = get_args(Severity)
"""A word that is not among them ranks above all: a scanner's new word must not pass unseen."""


def build_reference(repository: str, build_id: str) -> ExecutionRef:
    return {"system": SYSTEM, "kind": BUILD, "id": build_id, "repository": repository}


def tag_reference(repository: str, tag: str, digest: str) -> ExecutionRef:
    """:param digest: that the tag must point to, "" for any."""
    return {"system": SYSTEM, "kind": TAG, "id": tag, "repository": repository, "tag": tag, "digest": digest}
