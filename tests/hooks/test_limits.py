"""What the configuration limits for all connections, and what Airflow's masker is told of their logins."""

from __future__ import annotations

import time

import pytest
from airflow.sdk._shared.secrets_masker import _secrets_masker, reset_secrets_masker

from airflow_provider import settings
from airflow_provider.clients.redaction import KEPT_TOKENS
from airflow_provider.clients.transport import MAX_ANSWER_BYTES, MAX_RETRY_AFTER
from airflow_provider.exceptions import ThrottledError, UnexpectedResponseError
from tests.clients.conftest import Scripted, scripted  # noqa: F401 - a fixture
from tests.hooks.conftest import Build


def test_the_defaults_are_those_of_the_clients() -> None:
    assert settings.MAX_RETRY_AFTER.default == MAX_RETRY_AFTER
    assert settings.MAX_ANSWER_MB.default * 1024 * 1024 == MAX_ANSWER_BYTES


def test_the_limits_reach_the_client(build: Build, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("AIRFLOW__RELEASE_PIPELINES__MAX_RETRY_AFTER", "100")
    monkeypatch.setenv("AIRFLOW__RELEASE_PIPELINES__MAX_ANSWER_MB", "0.001")
    scripted.script = [(429, {"Retry-After": "86400"}, None)]
    scripted.always = (200, {}, b" " * 2000)
    with build("quay", host=scripted.url) as client:
        with pytest.raises(ThrottledError) as caught:
            client.transport.get("/x", attempts=1)
        assert caught.value.retry_after == 100.0
        with pytest.raises(UnexpectedResponseError, match="more than 1048 bytes"):
            client.transport.get("/x", attempts=1)


def test_airflows_masker_knows_only_the_newest_tokens_and_stays_fast(build: Build, scripted: Scripted) -> None:  # noqa: F811
    reset_secrets_masker()
    began = time.process_time()
    with build("quay", host=scripted.url) as client:
        before = len(_secrets_masker().patterns)
        for number in range(1440):
            client.transport.redact.add_token(f"bearer-{number:06}" * 40)
        assert len(_secrets_masker().patterns) == before + KEPT_TOKENS
    masker = _secrets_masker()
    assert masker.redact("bearer-001439" * 40) == "***"
    assert "bearer-000000" in str(masker.redact("bearer-000000" * 40))
    # Without forgetting, each new token would compile the pattern of all others, too: minutes.
    assert time.process_time() - began < 30
