"""Tokens, and secrets that show in no error."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ServerUnavailableError,
)
from tests.support.cocktail_client import TOKEN, Stand, ref, refusal, run_json, scripted_client
from tests.support.scripted import Scripted


def jwt(**claims: Any) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2lnbmF0dXJl"


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_has_ended_is_said_to_have_ended(scripted: Scripted, status: int) -> None:
    client = scripted_client(scripted, (status, {}, None), token=jwt(exp=1_700_000_000))
    with pytest.raises(AuthenticationError, match=r"the API token expired at 2023-11-14T22:13:20\+00:00"):
        client.observe(ref())


@pytest.mark.parametrize("token", [jwt(exp=253_402_300_799), jwt(), "not.a.jwt", "opaque"])
def test_a_token_that_is_refused_for_another_reason_is_not_called_ended(scripted: Scripted, token: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        scripted_client(scripted, (401, {}, "<html>no</html>"), token=token).observe(ref())
    assert "ended" not in str(caught.value)
    assert token not in str(caught.value)


def test_a_token_that_ends_in_the_middle_is_an_authentication_error(stand: Stand) -> None:
    token = stand.post("actions", system="cocktail", action="issue_token", expires_in=-10)["token"]
    with pytest.raises(AuthenticationError, match="the API token expired at"):
        stand.client(token=token).observe(ref(1))


def test_the_token_travels_in_the_header_that_the_connection_names(scripted: Scripted) -> None:
    client = scripted_client(
        scripted, run_json(), auth_header="x-api-token", auth_scheme="", headers={"user-workspace": "3"}
    )
    client.observe(ref())
    assert scripted.requests[0].headers["x-api-token"] == TOKEN
    assert scripted.requests[0].headers["user-workspace"] == "3"
    assert "Authorization" not in scripted.requests[0].headers


def test_the_secret_in_a_callback_url_is_in_no_error(scripted: Scripted) -> None:
    secrets: list[str] = []
    url = "https://hooks.example.com/release-pipelines/webhooks/builds/s3cr3t-0123"
    script = [refusal("CCBDW001000", f"cannot call {text}") for text in (url, quote(url, safe=""))]
    client = scripted_client(scripted, *script, on_secret=secrets.append)
    for call in (
        lambda: client.builds.run(12, tag_name="1", callback_url=url),
        lambda: client.runs.cancel(7, callback_url=url),
    ):
        with pytest.raises(ServerUnavailableError, match="cannot call") as caught:
            call()
        assert "s3cr3t" not in str(caught.value)
    assert url in secrets
    with pytest.raises(BadRequestError, match="UTF-8") as refused:
        client.runs.cancel(7, callback_url=f"{url}\ud800")
    assert "s3cr3t" not in str(refused.value)
