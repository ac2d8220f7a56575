"""What the tests in tests/clients/code_stream begin with."""

from __future__ import annotations

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients import retries
from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.execution import Execution
from airflow_provider.sandbox import seed
from tests.support.code_stream_api import Api, run, until_it_is
from tests.support.code_stream_client import S
from tests.support.control import Control
from tests.support.scripted import Scripted


@pytest.fixture(autouse=True)
def _short_pauses(mocker: MockerFixture) -> None:
    mocker.patch.object(retries, "FIRST_PAUSE", 0.01)


@pytest.fixture
def client(control: Control) -> CodeStreamClient:
    return CodeStreamClient(f"{control.url}/code_stream", refresh_token=seed.CODE_STREAM_REFRESH_TOKEN)


@pytest.fixture
def viewer(control: Control) -> CodeStreamClient:
    return CodeStreamClient(f"{control.url}/code_stream", username="viewer", password="viewer-password")


@pytest.fixture
def api(scripted: Scripted) -> Api:
    return Api(scripted)


@pytest.fixture
def waiting(client: CodeStreamClient) -> Execution:
    started = run(client, "Deploy shop with approval", inputs={"tag": "5"})
    return until_it_is(lambda: client.observe(started.ref), S.WAITING)
