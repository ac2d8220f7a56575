"""What the tests in tests/sandbox/code_stream begin with."""

from __future__ import annotations

import pytest

from airflow_provider.sandbox.app import SandboxServer
from tests.support.code_stream_calls import CodeStream
from tests.support.control import Control


@pytest.fixture
def api(sandbox: SandboxServer, control: Control) -> CodeStream:
    return CodeStream(sandbox, control)


@pytest.fixture
def viewer(sandbox: SandboxServer, control: Control) -> CodeStream:
    return CodeStream(sandbox, control, "viewer")
