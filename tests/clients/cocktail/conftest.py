"""What the tests in tests/clients/cocktail begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.sandbox.app import SandboxServer
from tests.support.cocktail_client import Stand


@pytest.fixture
def stand(sandbox: SandboxServer) -> Stand:
    return Stand(sandbox.url)


@pytest.fixture
def client(stand: Stand) -> Iterator[CocktailClient]:
    with stand.client() as client:
        yield client
