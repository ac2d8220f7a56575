"""What every call does: errors of every shape, clocks, credentials, throttling."""

from __future__ import annotations

import json
import pickle
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.exceptions import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    ThrottledError,
)
from tests.support.scripted import Received
from tests.support.service_stage_gateway import ACCESS_KEY, PIPELINE, PREFIX, SECRET_KEY, Gateway, connected

# Errors


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error_code": "SVCSTG.00100433", "error_msg": "not found"}, "SVCSTG.00100433", "not found"),
        ({"errorCode": "X.1", "errorMsg": "not found"}, "X.1", "not found"),
        ({"code": "X.2", "message": "not found"}, "X.2", "not found"),
        ({"error": {"code": 404, "message": "not found", "title": "T"}}, "404", "not found"),
        ({"detail": {"error_code": "X.3", "error_msg": "not found"}}, "X.3", "not found"),
        (
            {"error_code": "X.4", "error_msg": "not found", "encoded_authorization_message": "x" * 900},
            "X.4",
            "not found",
        ),
        ("not found", None, "not found"),
        ("<html>not found</html>", None, None),
        (None, None, None),
    ],
)
def test_every_shape_of_an_error_body_is_read(
    client: ServiceStageClient, gateway: Gateway, body: Any, code: str | None, message: str | None
) -> None:
    gateway.refusals = [(404, {"X-Request-Id": "0f1e2d3c"}, body)]
    with pytest.raises(NotFoundError) as caught:
        client.release_tasks.get(PIPELINE)
    error = caught.value
    assert (error.code, error.message, error.request_id, error.status) == (code, message, "0f1e2d3c", 404)
    assert error.path == f"{PREFIX}/{PIPELINE}"


@pytest.mark.parametrize(
    ("text", "date"),
    [
        (
            "Incorrect IAM authentication information: signature expired, "
            "signature time:20260102T030405Z, server time:20260102T033405Z",
            None,
        ),
        ("签名已过期", timedelta(minutes=20)),
        ("签名已过期", timedelta(minutes=-20)),
    ],
)
def test_a_clock_that_is_off_is_called_so_and_not_wrong_credentials(
    client: ServiceStageClient, gateway: Gateway, text: str, date: timedelta | None
) -> None:
    server = datetime.now(UTC) + (date or timedelta())
    headers = {"Date": f"{server:%a, %d %b %Y %H:%M:%S} GMT"}

    def answer(handler: Any) -> None:
        handler.send_response_only(401)
        for name, value in headers.items():
            handler.send_header(name, value)
        body = json.dumps({"error_code": "APIGW.0301", "error_msg": text}).encode()
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    gateway.scripted.always = answer
    with pytest.raises(AuthenticationError) as caught:
        client.release_tasks.list()
    assert "check the clock of this machine" in caught.value.summary
    assert "credentials" not in caught.value.summary
    times = re.findall(r"20\d\d-?\d\d-?\d\dT[\d:]+Z", str(caught.value))
    assert len(times) >= 2
    assert caught.value.message == text


def test_wrong_credentials_are_not_called_a_clock(client: ServiceStageClient, gateway: Gateway) -> None:
    gateway.refusals = [(401, {}, {"error_code": "APIGW.0301", "error_msg": f"ak {ACCESS_KEY} not exist"})]
    with pytest.raises(AuthenticationError, match="credentials") as caught:
        client.release_tasks.list()
    assert "clock" not in str(caught.value)
    assert caught.value.message == "ak AKEX*** not exist"


def test_an_api_that_is_not_published_and_a_foreign_project_say_what_to_check(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.refusals = [(404, {}, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"})]
    with pytest.raises(NotFoundError, match="region"):
        client.release_tasks.list()
    gateway.refusals = [(403, {}, {"error_code": "SVCSTG.00100403", "error_msg": "no"})]
    with pytest.raises(PermissionDeniedError, match="project_id"):
        client.release_tasks.list()


@pytest.mark.parametrize("code", ["APIGW.0308", "APIG.0308"])
def test_throttling_without_retry_after_asks_for_two_seconds(
    client: ServiceStageClient, gateway: Gateway, code: str
) -> None:
    gateway.refusals = [(429, {}, {"error_code": code, "error_msg": "throttling threshold has been reached"})]
    with pytest.raises(ThrottledError) as caught:
        client.release_tasks.list()
    assert caught.value.retry_after == 2.0
    gateway.refusals = [(429, {"Retry-After": "17"}, {"error_code": code, "error_msg": "slow"})]
    with pytest.raises(ThrottledError) as caught:
        client.release_tasks.list()
    assert caught.value.retry_after == 17.0


def test_an_echoed_canonical_request_shows_no_secret(gateway: Gateway) -> None:
    security_token = "gQpjbi1ub3J0aC00" + "x/+y=" * 100

    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        echo = "|".join(f"{name.lower()}:{value}" for name, value in request.headers.items())
        other = "x-auth-token:MIIEother|Authorization: SDK-HMAC-SHA256 Access=AKOTHER0000, Signature=abcdef0123"
        text = (
            f"verify aksk signature fail, canonicalRequest:GET|/v3/|{other}|{echo}|{request.headers['Authorization']}"
        )
        return 401, {}, {"error_code": "APIGW.0301", "error_msg": text}

    gateway.scripted.always = answer
    passed_on: list[str] = []
    with (
        connected(gateway.url, security_token=security_token, on_secret=passed_on.append) as client,
        pytest.raises(AuthenticationError) as caught,
    ):
        client.release_tasks.list()
    shown = f"{caught.value} {caught.value!r} {vars(caught.value)} {pickle.dumps(caught.value)!r}"
    request = gateway.scripted.requests[0]
    assert request.headers["X-Security-Token"] == security_token
    assert "x-security-token" in request.headers["Authorization"]
    signature = request.headers["Authorization"].rpartition("=")[2]
    for secret in (security_token, security_token[:30], signature, "MIIEother", "abcdef0123", ACCESS_KEY, SECRET_KEY):
        assert secret not in shown
    assert set(passed_on) == {SECRET_KEY, security_token}
