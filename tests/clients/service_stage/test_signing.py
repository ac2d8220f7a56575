"""The signature SDK-HMAC-SHA256: the vendor's published example, the contract's vector, and more signed by its SDK."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider.clients.service_stage.signing import SigningAuth, canonical_request, sign, string_to_sign
from airflow_provider.clients.urls import query

FIXTURES = Path(__file__).parents[2] / "fixtures"


def _vectors(name: str) -> list[Any]:
    vectors = json.loads((FIXTURES / name).read_text(encoding="utf-8"))["vectors"]
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


PUBLISHED = _vectors("huawei_signing_vectors.json")
BY_THE_SDK = _vectors("huawei_signing_sdk_vectors.json")


def _signed(vector: dict[str, Any]) -> requests.PreparedRequest:
    params: dict[str, list[str]] = {}
    for key, value in vector["query"]:
        params.setdefault(key, []).append(value)
    headers = {name: value for name, value in vector["headers"].items() if name != "X-Sdk-Date"}
    body = vector["body"]
    url = f"https://{vector['host']}{vector['path']}" + (f"?{query(params)}" if params else "")
    prepared = requests.Request(vector["method"], url, headers=headers, data=body.encode() if body else None).prepare()
    moment = datetime.strptime(vector["headers"]["X-Sdk-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return sign(prepared, vector["ak"], vector["sk"], moment)


@pytest.mark.parametrize("vector", PUBLISHED)
def test_published_vectors_come_out_bit_for_bit(vector: dict[str, Any]) -> None:
    request, expected = _signed(vector), vector["expected"]
    assert canonical_request(request) == expected["canonical_request"]
    assert string_to_sign(request) == expected["string_to_sign"]
    assert request.path_url == expected["request_uri"]
    assert {name: request.headers[name] for name in expected["sent_headers"]} == expected["sent_headers"]


@pytest.mark.parametrize("vector", BY_THE_SDK)
def test_signatures_equal_those_of_the_vendors_own_sdk(vector: dict[str, Any]) -> None:
    request = _signed(vector)
    assert request.headers["Authorization"] == vector["expected"]["authorization"]
    assert (request.url or "").partition("?")[2] == vector["expected"]["canonical_query"]


def test_what_is_sent_is_what_was_signed_whatever_the_session_adds() -> None:
    session = requests.Session()
    session.headers.update({"Accept": "application/json", "X_Under_Score": "1", "X-Project-Id": "p"})
    auth = SigningAuth("AKEXAMPLE0000000TEST", "secret", "temporary-token")
    body = json.dumps({"message": "发布"}, ensure_ascii=False).encode()
    request = session.prepare_request(
        requests.Request(
            "POST", "http://127.0.0.1:8900/a%2Fb?z=1&a=%20", headers={"Content-Type": "x"}, data=body, auth=auth
        )
    )
    lines = canonical_request(request).split("\n")
    assert lines[:3] == ["POST", "/a/b/", "a=%20&z=1"]
    assert lines[-2] == "content-type;host;x-project-id;x-sdk-date;x-security-token"
    assert lines[-1] == hashlib.sha256(body).hexdigest()
    assert request.headers["Host"] == "127.0.0.1:8900"
    assert request.url == "http://127.0.0.1:8900/a%2Fb?a=%20&z=1"
    assert request.body == body


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.com:443/", "example.com"),
        ("http://example.com:80/", "example.com"),
        ("http://example.com:443/", "example.com:443"),
        ("https://user:pass@example.com/", "example.com"),
        ("http://[::1]:8900/", "[::1]:8900"),
    ],
)
def test_the_signed_host_is_the_one_on_the_wire(url: str, host: str) -> None:
    request = requests.Request("GET", url).prepare()
    assert sign(request, "AK", "SK", datetime.now(UTC)).headers["Host"] == host


def test_each_attempt_is_signed_with_the_time_of_that_attempt() -> None:
    auth = SigningAuth("AK", "SK")
    before = datetime.now(UTC).replace(microsecond=0)
    request = requests.Request("GET", "http://127.0.0.1/", headers={"X-Sdk-Date": "20200101T000000Z"}, auth=auth)
    stamp = request.prepare().headers["X-Sdk-Date"]
    assert re.fullmatch(r"\d{8}T\d{6}Z", stamp)
    signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert before <= signed_at <= before + timedelta(seconds=10)
