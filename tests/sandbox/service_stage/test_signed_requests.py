"""What the ServiceStage stand-in promises, over real HTTP, signed here by hand and never by our client."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from tests.support.service_stage_calls import AK, JSON, SHOP, SK, ServiceStage, refusal, signature_headers


@pytest.mark.parametrize("path", ["", "?limit=2&a=b", "?q=a%20b%2Bc%26d%3De%2Ff%3F%25~%2A&empty=&B=1&a=2&a=1"])
def test_a_signed_request_is_accepted_on_the_wire(api: ServiceStage, path: str) -> None:
    reply = api.signed("GET", api.pipelines + path)
    assert reply.status_code == 200
    assert reply.headers["X-Request-Id"]


def test_a_body_with_non_ascii_text_is_signed_as_bytes(api: ServiceStage) -> None:
    body = json.dumps({"task_name": "x", "approval_type": "agree", "message": "größer 发布"}, ensure_ascii=False)
    reply = api.signed("POST", f"{api.pipelines}/{SHOP}/action?action_id=approval", body.encode())
    assert refusal(reply) == (400, "SVCSTG.00100400")


def test_a_reserialised_body_breaks_the_signature(api: ServiceStage) -> None:
    url = f"{api.root}{api.pipelines}/{SHOP}/action?action_id=start"
    headers = signature_headers("POST", url, b"{}", JSON, AK, SK, time.time())
    reply = requests.post(url, data=b"{ }", headers=headers, timeout=60)
    assert refusal(reply) == (401, "APIGW.0301")
    assert "canonicalRequest:POST|/service_stage/v3/" in reply.json()["error_msg"]
    assert reply.json()["request_id"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"sk": "wrong"}, "verify aksk signature fail"),
        ({"ak": "NOBODY"}, "ak NOBODY not exist"),
        ({"skew": -1200}, "signature expired"),
        ({"skew": 1200}, "signature expired"),
        ({"headers": JSON | {"X-Security-Token": "x"}}, "security token"),
    ],
)
def test_a_wrong_signature_is_refused_with_the_text_of_the_gateway(
    api: ServiceStage, options: dict[str, Any], text: str
) -> None:
    reply = api.signed("GET", api.pipelines, **options)
    assert refusal(reply) == (401, "APIGW.0301")
    assert text in reply.json()["error_msg"]


def test_a_blank_written_as_plus_passes_only_a_lenient_server(api: ServiceStage) -> None:
    url = f"{api.root}{api.pipelines}?q="
    headers = signature_headers("GET", f"{url}a%20b", b"", JSON, AK, SK, time.time())
    assert requests.get(f"{url}a+b", headers=headers, timeout=60).status_code == 401
    api.switch(plus_is_blank=True)
    assert requests.get(f"{url}a+b", headers=headers, timeout=60).status_code == 200


def test_a_body_above_twelve_megabytes_is_refused(api: ServiceStage) -> None:
    body = b" " * (12 * 1024 * 1024 + 1)
    assert refusal(api.signed("PUT", f"{api.pipelines}/{SHOP}", body)) == (413, "APIGW.0201")


def test_a_request_without_authentication_is_refused(api: ServiceStage) -> None:
    reply = requests.get(api.root + api.pipelines, timeout=60)
    assert refusal(reply) == (401, "APIGW.0301")
