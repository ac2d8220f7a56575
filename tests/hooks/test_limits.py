"""What the configuration limits for all connections, and which of their secrets Airflow's masker gets."""

from __future__ import annotations

import os

import pytest
from pytest_mock import MockerFixture

from airflow_provider import settings
from airflow_provider.clients.transport import MAX_ANSWER_BYTES, MAX_RETRY_AFTER
from airflow_provider.exceptions import ThrottledError, UnexpectedResponseError
from tests.support.connections import Build
from tests.support.scripted import Scripted, scripted  # noqa: F401 - a fixture


def test_the_defaults_are_those_of_the_clients() -> None:
    assert settings.MAX_RETRY_AFTER.default == MAX_RETRY_AFTER
    assert settings.MAX_ANSWER_MB.default * 1024 * 1024 == MAX_ANSWER_BYTES


def test_the_limits_reach_the_client(build: Build, scripted: Scripted, mocker: MockerFixture) -> None:  # noqa: F811
    mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__MAX_RETRY_AFTER": "100"})
    mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__MAX_ANSWER_MB": "0.001"})
    scripted.script = [(429, {"Retry-After": "86400"}, None)]
    scripted.always = (200, {}, b" " * 2000)
    with build("quay", host=scripted.url) as client:
        with pytest.raises(ThrottledError) as caught:
            client.transport.get("/x", attempts=1)
        assert caught.value.retry_after == 100.0
        with pytest.raises(UnexpectedResponseError, match="more than 1048 bytes"):
            client.transport.get("/x", attempts=1)
