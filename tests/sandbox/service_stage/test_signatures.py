"""What the ServiceStage stand-in promises, over real HTTP, signed here by hand and never by our client."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.sandbox.service_stage.signing import Key, SignatureError, SignedRequest, canonical_request, verify

VECTORS = json.loads((Path(__file__).parents[2] / "fixtures" / "huawei_signing_vectors.json").read_text())["vectors"]


def request_of(vector: dict[str, Any]) -> tuple[SignedRequest, float]:
    """The request of a vector as it arrives, and the time at which it was signed."""
    sent = vector["expected"]["sent_headers"]
    path, _, query = vector["expected"]["request_uri"].partition("?")
    headers = [(name.lower(), value) for name, value in sent.items()]
    signed_at = datetime.strptime(sent["X-Sdk-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    return SignedRequest(vector["method"], path, query, headers, (vector["body"] or "").encode()), signed_at


def checked(vector: dict[str, Any], request: SignedRequest, now: float) -> str:
    return verify(request, {vector["ak"]: Key(vector["sk"], "demo")}.get, now)


def by_name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", VECTORS, ids=by_name)
def test_the_published_vectors_are_accepted(vector: dict[str, Any]) -> None:
    request, now = request_of(vector)
    names = vector["expected"]["signed_headers"].split(";")
    assert canonical_request(request, names) == vector["expected"]["canonical_request"]
    assert checked(vector, request, now) == vector["ak"]


def changed(request: SignedRequest, **values: Any) -> SignedRequest:
    fields = {name: getattr(request, name) for name in ("method", "path", "query", "headers", "body")}
    return SignedRequest(**(fields | values))


def with_header(request: SignedRequest, name: str, change: Callable[[str], str]) -> SignedRequest:
    return changed(request, headers=[(key, change(value) if key == name else value) for key, value in request.headers])


@pytest.mark.parametrize(
    "change",
    [
        lambda request: changed(request, method="PUT"),
        lambda request: changed(request, path=request.path[:-1] + "x"),
        lambda request: changed(request, query=request.query[:-1] + "x"),
        lambda request: changed(request, body=request.body + b" "),
        lambda request: with_header(request, "host", lambda value: value + ":443"),
        lambda request: with_header(request, "content-type", lambda value: value + ";"),
        lambda request: with_header(
            request, "authorization", lambda value: value[:-1] + ("0" if value[-1] != "0" else "1")
        ),
    ],
    ids=["method", "path", "query", "body", "host", "content-type", "signature"],
)
@pytest.mark.parametrize("vector", VECTORS, ids=by_name)
def test_one_changed_byte_is_refused(vector: dict[str, Any], change: Callable[[SignedRequest], SignedRequest]) -> None:
    request, now = request_of(vector)
    with pytest.raises(SignatureError, match="verify aksk signature fail"):
        checked(vector, change(request), now)


@pytest.mark.parametrize(("minutes", "accepted"), [(14, True), (-14, True), (16, False), (-16, False)])
def test_a_signature_is_good_for_fifteen_minutes(minutes: int, accepted: bool) -> None:
    request, now = request_of(VECTORS[0])
    if accepted:
        assert checked(VECTORS[0], request, now + minutes * 60)
    else:
        with pytest.raises(SignatureError, match="signature expired, signature time:20191115T033655Z, server time:"):
            checked(VECTORS[0], request, now + minutes * 60)
