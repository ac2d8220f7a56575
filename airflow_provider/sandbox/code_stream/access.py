"""Permissions: who may change what."""

from __future__ import annotations

from airflow_provider.sandbox.code_stream.refusals import Refusal

READ_ONLY = {("viewer", "retail")}


def require_write(user: str, project: str) -> None:
    """:raises Refusal: 403 when the user may only read in the project"""
    if (user, project) in READ_ONLY:
        raise Refusal(403)
