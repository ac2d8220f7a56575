"""What the tests in tests/sandbox/service_stage begin with."""

from __future__ import annotations

import pytest

from airflow_provider.sandbox.app import SandboxServer
from tests.support.control import Control
from tests.support.service_stage_calls import ServiceStage


@pytest.fixture
def api(sandbox: SandboxServer, control: Control) -> ServiceStage:
    return ServiceStage(sandbox, control)
