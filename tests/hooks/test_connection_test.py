"""The Test button: it distinguishes everything that can be wrong with a connection, in all systems."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from airflow_provider.hooks.base import hook_class
from airflow_provider.sandbox import seed
from bench.certificates import Certificates
from demo.ports import free_port
from tests.support.connections import CONN_ID
from tests.support.scripted import Scripted
from tests.support.systems import LOGINS, Systems

SYSTEMS = sorted(LOGINS)
HTML = (200, {"Content-Type": "text/html"}, "<!DOCTYPE html><title>Welcome</title>")
Test = Callable[..., tuple[bool, str]]


@pytest.fixture
def press_test(define: Callable[[dict[str, Any]], None], caplog: pytest.LogCaptureFixture) -> Test:
    """Test the sandbox's login to a system with some fields and extras changed; no message or log may hold a secret."""
    caplog.set_level(logging.DEBUG)

    def press(system: str, host: str, extra: dict[str, Any] | None = None, **fields: Any) -> tuple[bool, str]:
        connection = {"conn_type": system, "host": host, **LOGINS[system], **fields}
        connection["extra"] = {**connection.get("extra", {}), **(extra or {})}
        define(connection)
        worked, message = hook_class(system)(CONN_ID).test_connection()
        for secret in (connection["password"], connection["extra"].get("refresh_token")):
            assert not secret or secret not in message + caplog.text
        return worked, message

    return press


@pytest.mark.parametrize(
    ("system", "change"),
    [
        *((system, {}) for system in SYSTEMS),
        ("code_stream", {"extra": {"domain": seed.CODE_STREAM_DOMAIN}}),
        (
            "code_stream",
            {"login": None, "password": None, "extra": {"refresh_token": seed.CODE_STREAM_REFRESH_TOKEN}},
        ),
        (
            "service_stage",
            {
                "login": "release-bot",
                "password": seed.SERVICE_STAGE_USERS["release-bot"],
                "extra": {
                    "auth": "token",
                    "domain_name": seed.SERVICE_STAGE_DOMAIN,
                    "iam_url": "{sandbox}/service_stage/iam",
                },
            },
        ),
        ("service_stage", {"extra": {"project_id": "", "iam_url": "{sandbox}/service_stage/iam"}}),
        ("quay", {"password": seed.QUAY_READ_TOKEN}),
    ],
)
def test_each_way_to_log_in_is_reported_to_work(
    systems: Systems, press_test: Test, system: str, change: dict[str, Any]
) -> None:
    filled = json.loads(json.dumps(change).replace("{sandbox}", systems.url))
    worked, message = press_test(system, f"{systems.url}/{system}", **filled)
    assert worked, message
    assert message


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_host_that_has_no_address_is_reported(press_test: Test, system: str) -> None:
    worked, message = press_test(system, "no-such-host.invalid")
    assert not worked
    assert "cannot connect to no-such-host.invalid" in message
    assert any(words in message for words in ("name resolution", "Name or service not known", "No address"))


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_port_where_nothing_listens_is_reported(press_test: Test, system: str) -> None:
    worked, message = press_test(system, f"http://127.0.0.1:{free_port()}")
    assert not worked
    assert "cannot connect to 127.0.0.1:" in message
    assert "Connection refused" in message


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_certificate_that_nobody_vouches_for_is_reported_with_its_cure(
    press_test: Test, scripted: Scripted, certificates: Certificates, system: str
) -> None:
    scripted.use_tls(certificates.server)
    worked, message = press_test(system, scripted.url)
    assert not worked
    assert f"TLS with 127.0.0.1:{scripted.server.server_address[1]} failed" in message
    assert "unable to get local issuer certificate" in message
    assert "extra `verify`" in message
    assert scripted.requests == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("verify", [False, "False", " false ", "bundle"])
def test_verify_takes_a_ca_bundle_or_trusts_anybody(
    press_test: Test, scripted: Scripted, certificates: Certificates, verify: object
) -> None:
    scripted.use_tls(certificates.server)
    scripted.always = (200, {}, {"notifications": []})
    extra = str(certificates.bundle) if verify == "bundle" else verify
    worked, message = press_test("quay", scripted.url, {"verify": extra})
    assert worked, message


@pytest.mark.parametrize("system", SYSTEMS)
def test_https_to_a_server_that_speaks_http_is_reported(systems: Systems, press_test: Test, system: str) -> None:
    worked, message = press_test(system, systems.url.replace("http://", "https://"))
    assert not worked
    assert "TLS with" in message or "broke before the answer was complete" in message


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_page_for_people_in_the_place_of_the_api_is_reported(
    press_test: Test, scripted: Scripted, system: str
) -> None:
    scripted.always = HTML
    worked, message = press_test(system, scripted.url)
    assert not worked
    assert "HTML page" in message
    assert "host" in message


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_path_that_the_server_does_not_have_is_reported(systems: Systems, press_test: Test, system: str) -> None:
    worked, message = press_test(system, f"{systems.url}/elsewhere")
    assert not worked
    assert ("not published" if system == "cocktail" else "HTTP 404") in message
    assert "host" in message


WRONG = {"password": "wrong-but-still-a-secret"}


@pytest.mark.parametrize(
    ("system", "change"),
    [
        *((system, WRONG) for system in SYSTEMS),
        ("code_stream", {"login": None, "password": None, "extra": {"refresh_token": WRONG["password"]}}),
        ("service_stage", {"login": "NOSUCHACCESSKEY00001"}),
        (
            "service_stage",
            {
                **WRONG,
                "login": "release-bot",
                "extra": {
                    "auth": "token",
                    "domain_name": seed.SERVICE_STAGE_DOMAIN,
                    "iam_url": "{sandbox}/service_stage/iam",
                },
            },
        ),
        ("quay", {"password": seed.QUAY_EXPIRED_TOKEN}),
    ],
)
def test_credentials_that_are_not_accepted_are_reported(
    systems: Systems, press_test: Test, system: str, change: dict[str, Any]
) -> None:
    filled = json.loads(json.dumps(change).replace("{sandbox}", systems.url))
    worked, message = press_test(system, f"{systems.url}/{system}", **filled)
    assert not worked
    assert "not accepted" in message
    assert "do not allow" not in message


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_missing_permission_is_reported(systems: Systems, press_test: Test, system: str) -> None:
    systems.fault(system, "status", method="GET", status=403, times=99)
    worked, message = press_test(system, f"{systems.url}/{system}")
    assert not worked
    assert ("the token lacks the permission" if system == "cocktail" else "do not allow this") in message
    assert "not accepted" not in message


def test_a_cocktail_token_without_the_scope_to_read_is_reported(systems: Systems, press_test: Test) -> None:
    body = {"system": "cocktail", "action": "issue_token", "scopes": []}
    token = requests.post(f"{systems.url}/_sandbox/actions", json=body, timeout=60).json()["token"]
    worked, message = press_test("cocktail", f"{systems.url}/cocktail", password=token)
    assert not worked
    assert "Extend the token's permissions" in message


@pytest.mark.parametrize("path", ["/about", "/login"])
def test_vcf_automation_9_without_a_pipelines_service_is_recognized(
    systems: Systems, press_test: Test, path: str
) -> None:
    systems.fault("code_stream", fault="status", status=404, path=path, times=99)
    worked, message = press_test("code_stream", f"{systems.url}/code_stream")
    assert not worked
    assert "VCF) Automation 9" in message
    assert "api_prefix" in message


@pytest.mark.parametrize("timeout", [0.3, "0.3"])
def test_a_server_that_does_not_answer_is_reported_after_the_time_limit_of_the_connection(
    systems: Systems, press_test: Test, timeout: float | str
) -> None:
    systems.fault("quay", fault="latency", seconds=30, times=99)
    began = time.monotonic()
    worked, message = press_test("quay", f"{systems.url}/quay", {"request_timeout": timeout})
    assert not worked
    assert "no complete answer" in message
    assert "within 0.3 s" in message
    assert time.monotonic() - began < 15
