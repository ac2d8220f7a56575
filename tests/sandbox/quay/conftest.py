"""What the tests in tests/sandbox/quay begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider.sandbox.app import SandboxServer
from tests.support.quay_calls import Api, Receiver


@pytest.fixture
def api(sandbox: SandboxServer) -> Api:
    return Api(sandbox.url)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()
