"""What the tests in tests/clients/service_stage begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider.clients.service_stage import ServiceStageClient
from tests.support.scripted import Scripted
from tests.support.service_stage_gateway import Gateway, Iam, connected


@pytest.fixture
def gateway(scripted: Scripted) -> Gateway:
    return Gateway(scripted)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[ServiceStageClient]:
    with connected(gateway.url) as client:
        yield client


@pytest.fixture
def iam(gateway: Gateway) -> Iam:
    return Iam(gateway)
