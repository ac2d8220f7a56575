"""What the tests in tests/sandbox/quay begin with."""

from __future__ import annotations

import pytest

from airflow_provider.sandbox.app import SandboxServer
from tests.support.quay_calls import Api


@pytest.fixture
def api(sandbox: SandboxServer) -> Api:
    return Api(sandbox.url)
