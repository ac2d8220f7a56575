"""What the Cocktail stand-in promises, over real HTTP."""

from __future__ import annotations

import pytest

from tests.support.cocktail_calls import SHOP, Api


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "sandbox-cocktail-token"},
        {"X-Token": "sandbox-cocktail-token"},
    ],
)
def test_calls_without_the_token_get_401(api: Api, headers: dict[str, str]) -> None:
    assert api.call("POST", f"/build/run/{SHOP}", headers, tagName="1.0").status_code == 401
    assert api.call("GET", "/build/run", buildSeq=SHOP).json() == []


def test_header_and_scheme_are_configurable(api: Api) -> None:
    api.switch(auth_header="X-Api-Token", auth_scheme="")
    assert api.call("GET", "/build/12", {"X-Api-Token": "sandbox-cocktail-token"}).json()["buildName"] == "shop"
    assert api.call("GET", "/build/12").status_code == 401


@pytest.mark.parametrize(("shape", "content"), [("json", "application/json"), ("empty", None), ("html", "text/html")])
def test_refusals_of_the_gateway_come_in_three_shapes(api: Api, shape: str, content: str | None) -> None:
    api.switch(refusal_body=shape)
    reply = api.call("GET", "/build/12", {})
    assert reply.status_code == 401
    assert reply.headers.get("content-type", "").partition(";")[0] == (content or "")


def test_an_issued_jwt_reaches_only_its_scopes_until_it_is_revoked(api: Api) -> None:
    issued = api.post("actions", system="cocktail", action="issue_token", name="ci", scopes=["run"], expires_in=60)
    headers = {"Authorization": f"Bearer {issued['token']}"}
    run = api.call("POST", f"/build/run/{SHOP}", headers, tagName="1.0")
    assert run.json()["runState"] == "RUNNING"
    assert api.call("GET", f"/build/run/{run.json()['buildRunSeq']}", headers).status_code == 403
    api.post("actions", system="cocktail", action="revoke_token", name="ci")
    assert api.call("POST", f"/build/run/{SHOP}", headers).status_code == 401


def test_an_expired_jwt_is_refused(api: Api) -> None:
    issued = api.post("actions", system="cocktail", action="issue_token", name="ci", expires_in=60)
    headers = {"Authorization": f"Bearer {issued['token']}"}
    assert api.call("GET", "/build/12", headers).status_code == 200
    api.post("clock", advance=61)
    assert api.call("GET", "/build/12", headers).status_code == 401


def test_the_address_list_refuses_with_403(api: Api) -> None:
    api.switch(deny_addresses=["127.0.0.0/8"])
    assert api.call("GET", "/build/12").status_code == 403


def test_an_expired_token_fault_strikes_one_request(api: Api) -> None:
    api.post("faults", system="cocktail", method="GET", path="/build/12", fault="expire_token")
    assert [api.call("GET", "/build/12").status_code for _ in range(2)] == [401, 200]
