"""What the ServiceStage stand-in promises, over real HTTP, signed here by hand and never by our client."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from tests.support.service_stage_calls import JSON, PROJECT, ServiceStage, refusal, signature_headers


@pytest.mark.parametrize("prefix", ["/iam", ""])
def test_a_token_is_in_the_header_and_says_its_project(api: ServiceStage, prefix: str) -> None:
    reply = api.log_in(prefix=prefix)
    assert reply.status_code == 201
    token = reply.json()["token"]
    assert token["project"] == {
        "id": PROJECT,
        "name": "sandbox-1",
        "domain": {"id": "sandbox-domain-id", "name": "sandbox-account"},
    }
    assert "catalog" not in token
    assert api.with_token(reply.headers["X-Subject-Token"]).status_code == 200


@pytest.mark.parametrize(
    ("user", "status"),
    [({"password": "wrong"}, 401), ({"name": "nobody"}, 401), ({"domain": {"name": "elsewhere"}}, 401)],
)
def test_a_wrong_login_is_refused_as_keystone_does(api: ServiceStage, user: dict[str, Any], status: int) -> None:
    reply = api.log_in(api.token_request(**user))
    assert reply.json()["error"]["code"] == reply.status_code == status


def test_an_unknown_project_or_method_gives_no_token(api: ServiceStage) -> None:
    body = api.token_request()
    body["auth"]["scope"] = {"project": {"name": "nowhere"}}
    assert api.log_in(body).status_code == 401
    body["auth"]["identity"]["methods"] = ["hw_ak_sk"]
    assert api.log_in(body).status_code == 400


@pytest.mark.parametrize("scope", [{"project": {"name": "sandbox-2"}}, {"domain": {"name": "sandbox-account"}}])
def test_a_token_of_another_scope_has_no_access(api: ServiceStage, scope: dict[str, Any]) -> None:
    body = api.token_request()
    body["auth"]["scope"] = scope
    reply = api.with_token(api.log_in(body).headers["X-Subject-Token"])
    assert refusal(reply) == (403, "APIGW.0302")


def test_tokens_end_with_their_lifetime_by_a_fault_and_by_revocation(api: ServiceStage) -> None:
    first, second = (api.log_in().headers["X-Subject-Token"] for _ in range(2))
    assert [api.with_token(token).status_code for token in (first, second)] == [200, 200]
    api.control.post("faults", system="service_stage", fault="expire_token")
    assert [refusal(api.with_token(token)) for token in (first, second)] == [(401, "APIGW.0301")] * 2
    third = api.log_in().headers["X-Subject-Token"]
    api.control.post("clock", advance=86_401)
    assert api.with_token(third).status_code == 401
    fourth = api.log_in().headers["X-Subject-Token"]
    api.control.post("actions", system="service_stage", action="revoke_tokens", user="release-bot")
    assert api.with_token(fourth).status_code == 401


def test_an_expired_fault_refuses_one_signed_request(api: ServiceStage) -> None:
    api.control.post("faults", system="service_stage", fault="expire_token")
    assert [api.signed("GET", api.pipelines).status_code for _ in range(2)] == [401, 200]


def test_a_token_can_be_twenty_thousand_characters_long(api: ServiceStage) -> None:
    api.switch(token_length=20_000)
    token = api.log_in().headers["X-Subject-Token"]
    assert len(token) == 20_000
    assert api.with_token(token).status_code == 200


def test_project_ids_can_be_looked_up_by_a_signed_request(api: ServiceStage) -> None:
    reply = api.signed("GET", "/iam/v3/projects?name=sandbox-1")
    assert [each["id"] for each in reply.json()["projects"]] == [PROJECT]
    assert reply.headers["X-IAM-Trace-Id"]
    assert api.signed("GET", "/iam/v3/projects?name=nowhere").json()["projects"] == []


def test_temporary_keys_need_their_security_token_and_end(api: ServiceStage) -> None:
    role = {"agency_name": "a", "domain_name": "sandbox-account", "duration_seconds": 900}
    body = json.dumps({"auth": {"identity": {"methods": ["assume_role"], "assume_role": role}}}).encode()
    reply = api.signed("POST", "/iam/v3.0/OS-CREDENTIAL/securitytokens", body)
    credential = reply.json()["credential"]
    key = {"ak": credential["access"], "sk": credential["secret"]}
    with_token = JSON | {"X-Security-Token": credential["securitytoken"]}
    assert api.signed("GET", api.pipelines, headers=with_token, **key).status_code == 200
    assert api.signed("GET", api.pipelines, **key).status_code == 401
    url = api.root + api.pipelines
    unsigned = signature_headers("GET", url, b"", JSON, key["ak"], key["sk"], time.time())
    unsigned["X-Security-Token"] = credential["securitytoken"]
    assert requests.get(url, headers=unsigned, timeout=60).status_code == 401
    api.control.post("clock", advance=901)
    reply = api.signed("GET", api.pipelines, headers=with_token, skew=901, **key)
    assert "security token expired" in reply.json()["error_msg"]
