"""What the Cocktail stand-in promises, over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cocktail_calls import BROKEN, SHOP, Api


def test_a_second_run_of_a_running_build_is_refused_under_http_200(api: Api) -> None:
    api.post("reset", speed=1)
    api.start()
    reply = api.call("POST", f"/build/run/{SHOP}", tagName="2.0")
    assert (reply.status_code, reply.json()["status"]) == (200, "error")
    assert reply.json()["message"].startswith("Build is running!")


def test_a_used_tag_is_refused_and_consumes_a_build_number_but_the_default_tag_is_not(api: Api) -> None:
    api.ended(api.start(tag="1.0")["buildRunSeq"])
    refused = api.start(tag="1.0")
    assert refused["code"] == "CCBDW004000"
    for expected in (3, 4):
        run = api.start(tag="latest")
        assert run["buildNo"] == expected
        api.ended(run["buildRunSeq"])


@pytest.mark.parametrize(("blocks", "answer"), [(False, "runState"), (True, "code")])
def test_whether_a_failed_run_blocks_its_tag_is_a_switch(api: Api, blocks: bool, answer: str) -> None:
    api.switch(failed_runs_block_their_tag=blocks)
    api.ended(api.start(BROKEN)["buildRunSeq"])
    assert answer in api.start(BROKEN)


def test_the_account_limit_is_refused_with_013(api: Api) -> None:
    api.post("reset", speed=1)
    api.switch(account_parallel_limit=1)
    api.start(SHOP)
    assert api.start(BROKEN)["code"] == "CCBDW013000"


@pytest.mark.parametrize(
    ("switches", "status", "code", "message"),
    [
        ({}, 200, "CCBDW005000", "build server is not connected"),
        ({"severity_letter": "E"}, 200, "CCBDE005000", "build server is not connected"),
        ({"real_http_codes": True}, 503, "CCBDW005000", "build server is not connected"),
        ({"korean_messages": True}, 200, "CCBDW005000", "빌드 서버에 연결되어 있지 않습니다."),
    ],
)
def test_errors_take_the_form_that_is_switched_on(
    api: Api, switches: dict[str, Any], status: int, code: str, message: str
) -> None:
    api.switch(build_server_unreachable=True, **switches)
    reply = api.call("POST", f"/build/run/{SHOP}", tagName="1.0")
    assert (reply.status_code, reply.json()["code"], reply.json()["message"]) == (status, code, message)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/build/run", "K8sApiStatus400"),
        ("GET", "/build/run/abc", "K8sApiStatus400"),
        ("POST", "/build/run/99999999999", "K8sApiStatus400"),
        ("PUT", "/build/run/cancel/1", "K8sApiStatus400"),
        ("PATCH", "/build/run/1", "K8sApiStatus405"),
        ("GET", "/nothing/here", "K8sApiStatus404"),
    ],
)
def test_wrong_calls_are_refused_in_the_envelope(api: Api, method: str, path: str, code: str) -> None:
    reply = api.call(method, path)
    assert (reply.status_code, reply.json()["status"], reply.json()["code"]) == (200, "error", code)


@pytest.mark.parametrize(
    ("mode", "status", "code"), [("404", 404, "404"), ("403", 403, "403"), ("K8sApiStatus404", 200, "K8sApiStatus404")]
)
def test_each_sibling_route_can_be_missing(api: Api, mode: str, status: int, code: str) -> None:
    api.switch(routes={"status": mode})
    run = api.start()
    reply = api.call("GET", f"/build/run/{run['buildRunSeq']}")
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert len(api.call("GET", "/build/run", buildSeq=SHOP).json()) == 1


def test_wrapped_replies_hold_the_same_object(api: Api) -> None:
    run_seq = api.start()["buildRunSeq"]
    flat = api.ended(run_seq)
    api.switch(wrapped=True)
    assert api.call("GET", f"/build/run/{run_seq}").json() == {"status": "ok", "result": flat}
