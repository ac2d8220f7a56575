"""A connection defined where Airflow searches for it, with the fewest fields that each type needs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.hooks.base import hook_class

CONN_ID = "under_test"
Build = Callable[..., ReleaseClient]
GOOD: dict[str, dict[str, Any]] = {
    "code_stream": {"host": "vra.example.com", "login": "release-bot", "password": "good-password"},
    "service_stage": {
        "login": "GOODACCESSKEY",
        "password": "good-secret-key",
        "extra": {"region": "ap-southeast-3", "project_id": "0123456789abcdef"},
    },
    "cocktail": {"host": "cocktail.example.com", "password": "good-token"},
    "quay": {"host": "quay.example.com", "password": "good-token"},
}
"""The fewest fields that a connection of each type needs."""


@pytest.fixture
def define(mocker: MockerFixture) -> Callable[[str | dict[str, Any]], None]:
    """Define the connection: a URI, or its fields."""

    def set_variable(connection: str | dict[str, Any]) -> None:
        text = connection if isinstance(connection, str) else json.dumps(connection)
        mocker.patch.dict(os.environ, {f"AIRFLOW_CONN_{CONN_ID.upper()}": text})

    return set_variable


@pytest.fixture
def build(define: Callable[[str | dict[str, Any]], None]) -> Build:
    """The client of a good connection in which some fields and extras are replaced; ``None`` leaves a field out."""

    def from_fields(system: str, extra: dict[str, Any] | str | None = None, **fields: Any) -> ReleaseClient:
        good = GOOD[system]
        extras = {**good.get("extra", {}), **extra} if isinstance(extra, dict) else extra or good.get("extra")
        define({"conn_type": system, **good, **fields, "extra": extras})
        client: ReleaseClient = hook_class(system)(CONN_ID).get_conn()
        return client

    return from_fields
