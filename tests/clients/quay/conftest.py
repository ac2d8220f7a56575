"""What the tests in tests/clients/quay begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider.clients.quay import QuayClient
from airflow_provider.sandbox.app import SandboxServer
from tests.support.quay_client import Stand


@pytest.fixture
def stand(sandbox: SandboxServer) -> Stand:
    return Stand(sandbox.url)


@pytest.fixture
def client(stand: Stand) -> Iterator[QuayClient]:
    with stand.client() as client:
        yield client
