"""What the sandbox promises whatever the system: faults, journal, switches, clock, reset, real deliveries."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from airflow_provider.sandbox.app import SandboxServer
from airflow_provider.sandbox.core.outbox import Outbox
from tests.support.control import Control
from tests.support.receiver import receiving
from tests.support.until import until

SYSTEMS = ["code_stream", "service_stage", "cocktail", "quay"]
LOGIN = "/code_stream/csp/gateway/am/api/login"
CREDENTIALS = {"username": "release-bot", "password": "release-bot-password"}


def login(sandbox: SandboxServer, **options: Any) -> requests.Response:
    return requests.post(f"{sandbox.url}{LOGIN}?access_token", json=CREDENTIALS, timeout=60, **options)


def headers(sandbox: SandboxServer) -> dict[str, str]:
    refresh = login(sandbox).json()["refresh_token"]
    reply = requests.post(f"{sandbox.url}/code_stream/iaas/api/login", json={"refreshToken": refresh}, timeout=60)
    return {"Authorization": f"Bearer {reply.json()['token']}"}


def start(sandbox: SandboxServer, bearer: dict[str, str], marker: str) -> requests.Response:
    url = f"{sandbox.url}/code_stream/codestream/api/pipelines/retail/Deploy%20shop/executions"
    return requests.post(url, json={"comments": marker}, headers=bearer, timeout=60)


def started(control: Control, marker: str) -> list[dict[str, Any]]:
    return [each for each in control.get("executions", system="code_stream") if each["started_by"] == marker]


def test_health_names_the_four_systems(control: Control) -> None:
    assert control.get("health")["systems"] == SYSTEMS


@pytest.mark.parametrize(
    ("fault", "started_after"), [("reset_before", 0), ("reset_after", 1), ("truncate", 1), ("html", 0)]
)
def test_a_fault_says_whether_the_start_took_effect(
    sandbox: SandboxServer, control: Control, fault: str, started_after: int
) -> None:
    bearer = headers(sandbox)
    control.post("faults", system="code_stream", method="POST", path="/executions$", fault=fault)
    if fault == "html":
        reply = start(sandbox, bearer, fault)
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/html")
    else:
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)) as caught:
            start(sandbox, bearer, fault)
        assert ("IncompleteRead" in str(caught.value)) == (fault == "truncate")
    assert len(started(control, fault)) == started_after
    entry = control.get("requests", system="code_stream")[-1]
    assert (entry["fault"], entry["reached"]) == (fault, bool(started_after))
    assert start(sandbox, bearer, "afterwards").status_code == 202


@pytest.mark.parametrize(("fault", "started_after"), [("status", 0), ("status_after", 1)])
def test_a_status_that_a_gateway_answers_with_may_come_after_the_effect(
    sandbox: SandboxServer, control: Control, fault: str, started_after: int
) -> None:
    bearer = headers(sandbox)
    control.post("faults", system="code_stream", method="POST", path="/executions$", fault=fault, status=504)
    reply = start(sandbox, bearer, fault)
    assert (reply.status_code, reply.content) == (504, b"")
    assert len(started(control, fault)) == started_after


def test_a_reset_is_a_tcp_reset_not_a_close(sandbox: SandboxServer, control: Control) -> None:
    control.post("faults", system="quay", fault="reset_before")
    with pytest.raises(requests.ConnectionError, match="reset"):
        requests.get(f"{sandbox.url}/quay/api/v1/repository/acme/shop", timeout=60)


def test_a_status_fault_answers_with_its_status_headers_and_body(sandbox: SandboxServer, control: Control) -> None:
    control.post("faults", system="quay", fault="status", status=429, headers={"Retry-After": "7"}, body={"slow": True})
    reply = requests.get(f"{sandbox.url}/quay/api/v1/anything", timeout=60)
    assert (reply.status_code, reply.headers["Retry-After"], reply.json()) == (429, "7", {"slow": True})


@pytest.mark.parametrize("body", [None, "", "<html>"])
def test_a_status_fault_may_have_no_json(sandbox: SandboxServer, control: Control, body: str | None) -> None:
    control.post("faults", system="quay", fault="status", status=503, body=body)
    reply = requests.get(f"{sandbox.url}/quay/api/v1/anything", timeout=60)
    assert (reply.status_code, reply.text) == (503, body or "")


def test_latency_delays_and_the_answer_still_comes(sandbox: SandboxServer, control: Control) -> None:
    control.post("faults", system="code_stream", fault="latency", seconds=0.3)
    begun = time.monotonic()
    assert login(sandbox).status_code == 200
    assert time.monotonic() - begun >= 0.3


def test_latency_beyond_the_time_limit_of_a_client_is_a_timeout(sandbox: SandboxServer, control: Control) -> None:
    control.post("faults", system="quay", fault="latency", seconds=0.5)
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{sandbox.url}/quay/api/v1/anything", timeout=0.1)


def test_times_counts_down_and_after_lets_requests_pass(sandbox: SandboxServer, control: Control) -> None:
    control.post("faults", system="code_stream", path="/login", fault="status", status=503, times=2, after=1)
    assert [login(sandbox).status_code for _ in range(4)] == [200, 503, 503, 200]


def test_probability_with_a_seed_repeats_itself(sandbox: SandboxServer, control: Control) -> None:
    def outcome() -> list[int]:
        requests.delete(f"{sandbox.url}/_sandbox/faults", timeout=60)
        control.post("faults", system="code_stream", fault="status", status=503, probability=0.5, seed=4)
        return [login(sandbox).status_code for _ in range(12)]

    first = outcome()
    assert set(first) == {200, 503}
    assert outcome() == first


def test_a_fault_strikes_only_its_system_method_and_path(sandbox: SandboxServer, control: Control) -> None:
    control.post("faults", system="code_stream", method="GET", path="^/iaas/", fault="status", status=503)
    assert login(sandbox).status_code == 200
    assert requests.get(f"{sandbox.url}/quay/iaas/api", timeout=60).status_code != 503
    assert requests.get(f"{sandbox.url}/code_stream/iaas/api/projects", timeout=60).status_code == 503


def test_the_path_of_a_fault_also_matches_the_whole_path(sandbox: SandboxServer, control: Control) -> None:
    control.post("faults", system="code_stream", path="^/code_stream/csp", fault="status", status=503)
    assert login(sandbox).status_code == 503


def test_deleted_faults_strike_no_more(sandbox: SandboxServer, control: Control) -> None:
    control.post("faults", system="code_stream", fault="status", status=503, times=5)
    requests.delete(f"{sandbox.url}/_sandbox/faults", timeout=60)
    assert login(sandbox).status_code == 200
    assert control.get("faults") == []


def test_expire_token_ends_every_token_handed_out_so_far(sandbox: SandboxServer, control: Control) -> None:
    bearer, other = headers(sandbox), headers(sandbox)
    about = f"{sandbox.url}/code_stream/codestream/api/about"
    control.post("faults", system="code_stream", path="/about", fault="expire_token")
    assert [requests.get(about, headers=each, timeout=60).status_code for each in (bearer, other)] == [401, 401]
    assert requests.get(about, headers=headers(sandbox), timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("what", "body", "named"),
    [
        ("faults", {"system": "quay", "fault": "explode"}, "fault"),
        ("faults", {"system": "quay", "fault": "html", "tomes": 1}, "tomes"),
        ("faults", {"system": "quai", "fault": "html"}, "quai"),
        ("faults", {"system": "quay", "fault": "status"}, "status"),
        ("faults", {"system": "quay", "fault": "latency"}, "seconds"),
        ("faults", {"system": "quay", "fault": "html", "path": "("}, "path"),
        ("faults", {"system": "quay", "fault": "html", "times": 1, "probability": 0.5}, "probability"),
        ("faults", {"system": "quay", "fault": "html", "seed": 1}, "seed"),
        ("reset", {"speed": 0}, "speed"),
        ("reset", {"sped": 1}, "sped"),
        ("switches", {"system": "code_stream", "no_such_switch": 1}, "no_such_switch"),
        ("switches", {"system": "code_stream", "start_status": 500}, "start_status"),
        ("switches", {"system": "code_stream", "cancel_loses_race": 1}, "cancel_loses_race"),
        ("actions", {"system": "code_stream", "action": "dance"}, "dance"),
        ("executions/quai/1", {"state": "x"}, "quai"),
    ],
)
def test_a_wrong_control_body_is_refused_by_name(sandbox: SandboxServer, what: str, body: Any, named: str) -> None:
    reply = requests.post(f"{sandbox.url}/_sandbox/{what}", json=body, timeout=60)
    assert reply.status_code in (400, 422)
    assert named in reply.text


def test_the_journal_names_what_arrived_and_no_secret(sandbox: SandboxServer, control: Control) -> None:
    bearer = headers(sandbox)
    start(sandbox, bearer, "a marker")
    requests.get(f"{sandbox.url}/code_stream/codestream/api/about?apiVersion=x&token=hush", headers=bearer, timeout=60)
    entries = control.get("requests", system="code_stream")
    assert [(each["method"], each["status"], each["who"]) for each in entries] == [
        ("POST", 200, ""),
        ("POST", 200, ""),
        ("POST", 202, "release-bot"),
        ("GET", 200, "release-bot"),
    ]
    assert entries[2]["path"] == "/code_stream/codestream/api/pipelines/retail/Deploy shop/executions"
    assert entries[2]["body"] == {"comments": "a marker"}
    text = json.dumps(entries)
    assert "hush" not in text
    assert CREDENTIALS["password"] not in text
    assert bearer["Authorization"].removeprefix("Bearer ") not in text
    assert control.get("requests", system="quay") == []


def test_doubled_slashes_are_tolerated(sandbox: SandboxServer, control: Control) -> None:
    assert requests.get(f"{sandbox.url}/code_stream//codestream/api//about", timeout=60).status_code == 401


def test_a_reset_forgets_everything_and_takes_the_speed(sandbox: SandboxServer, control: Control) -> None:
    start(sandbox, headers(sandbox), "gone")
    control.post("faults", system="code_stream", fault="html", times=99)
    control.post("switches", system="code_stream", start_status=200)
    control.post("clock", advance=1000)
    assert control.post("reset", speed=7) == {"speed": 7.0}
    assert control.get("requests") == []
    assert control.get("faults") == []
    assert started(control, "gone") == []
    assert control.get("switches", system="code_stream")["code_stream"]["start_status"] == 202
    assert abs(control.get("health")["now"] - time.time()) < 60


def test_an_advanced_clock_ends_what_runs(sandbox: SandboxServer, control: Control) -> None:
    control.post("reset", speed=0.01)
    start(sandbox, headers(sandbox), "slow")
    control.post("clock", advance=100_000)
    assert started(control, "slow")[0]["state"] == "COMPLETED"


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("seconds", [-3, 3, 600])
@pytest.mark.parametrize("fault", [None, "truncate", "html", "status"])
def test_answers_are_dated_by_a_clock_that_need_not_be_that_of_who_asks(
    sandbox: SandboxServer, control: Control, system: str, seconds: float, fault: str | None
) -> None:
    control.post("clock", advance=seconds)
    if fault:
        control.post("faults", system=system, fault=fault, status=503 if fault == "status" else None)
    before = time.time()
    with requests.get(f"{sandbox.url}/{system}/about", timeout=60, stream=True) as reply:
        (date,) = reply.raw.headers.getlist("Date")
    # The header has whole seconds.
    assert before - 1 < parsedate_to_datetime(date).timestamp() - seconds < time.time() + 0.5


@pytest.mark.parametrize(
    ("path", "state", "status"),
    [("code_stream/nobody", "FAILED", 404), ("service_stage/1", "3", 404), ("quay/nothing", "complete", 404)],
)
def test_an_unknown_execution_cannot_be_forced(
    sandbox: SandboxServer, control: Control, path: str, state: str, status: int
) -> None:
    reply = requests.post(f"{sandbox.url}/_sandbox/executions/{path}", json={"state": state}, timeout=60)
    assert reply.status_code == status


def test_an_execution_has_a_page_that_shows_its_states_with_times_and_its_cancels(
    sandbox: SandboxServer, control: Control
) -> None:
    marker = "<b>bold</b>"
    bearer = headers(sandbox)
    start(sandbox, bearer, marker)
    (execution,) = started(control, marker)
    page = f"{sandbox.url}/_sandbox/executions/code_stream/{execution['id']}"
    assert "<td>none</td>" in requests.get(page, timeout=60).text
    cancel = f"{sandbox.url}/code_stream/codestream/api/executions/{execution['id']}?action=cancel"
    requests.post(cancel, headers=bearer, json={}, timeout=60).raise_for_status()
    (execution,) = until(lambda: started(control, marker), lambda found: found[0]["state"] == "CANCELED")
    reply = requests.get(page, timeout=60)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert f"code_stream pipeline execution {execution['id']}: {execution['state']}" in reply.text
    for entry in execution["states"]:
        moment = datetime.fromtimestamp(entry["at"], UTC)
        assert f"{moment:%Y-%m-%d %H:%M:%S} UTC</th><td>{entry['state']}<" in reply.text
    assert "cancel received" in reply.text
    assert "&lt;b&gt;bold" in reply.text
    assert marker not in reply.text


@pytest.mark.parametrize(("where", "status"), [("code_stream/nobody", 404), ("nosystem/1", 400)])
def test_a_page_of_nothing_is_refused(sandbox: SandboxServer, where: str, status: int) -> None:
    assert requests.get(f"{sandbox.url}/_sandbox/executions/{where}", timeout=60).status_code == status


def test_an_unknown_state_cannot_be_forced(sandbox: SandboxServer, control: Control) -> None:
    execution_id = start(sandbox, headers(sandbox), "x").json()["executionId"]
    url = f"{sandbox.url}/_sandbox/executions/code_stream/{execution_id}"
    reply = requests.post(url, json={"state": "SLEEPY"}, timeout=60)
    assert reply.status_code == 400
    assert "SLEEPY" in reply.text


def test_the_outbox_delivers_over_http_and_records_it_without_secrets(sandbox: SandboxServer, control: Control) -> None:
    outbox: Outbox = sandbox.world.outbox
    statuses: list[int | None] = []
    with receiving() as receiver:
        receiver.answers["/hook?token=hush"] = (202, "")
        url = f"{receiver.url}/hook?token=hush".replace("//", "//me:hush@")
        body = {"hello": 1, "token": "hush"}
        outbox.post(url, body, system="quay", about="a test", timeout=60, on_done=statuses.append)
        until(lambda: statuses, bool)
    assert statuses == [202]
    assert receiver.bodies() == [body]
    assert outbox.post_now(url, {}, system="quay", about="nobody listens", timeout=1) is None
    deliveries = control.get("deliveries", system="quay")
    assert [(each["about"], each["status"]) for each in deliveries] == [("a test", 202), ("nobody listens", None)]
    assert "hush" not in json.dumps(deliveries)


def test_what_is_being_delivered_at_a_reset_is_forgotten(sandbox: SandboxServer, control: Control) -> None:
    outbox: Outbox = sandbox.world.outbox
    statuses: list[int | None] = []
    is_asked, is_reset = threading.Event(), threading.Event()

    def hold() -> None:
        is_asked.set()
        is_reset.wait(60)

    with receiving() as receiver:
        receiver.hold = hold
        receiver.answers["/hook"] = (202, "")
        url = f"{receiver.url}/hook"
        outbox.post(url, {}, system="quay", about="before", timeout=60, on_done=statuses.append)
        assert is_asked.wait(60)
        control.post("reset")
        is_reset.set()
        outbox.post(url, {}, system="quay", about="after", timeout=60, on_done=statuses.append)
        until(lambda: statuses, bool)
    assert statuses == [202]
    assert [each["about"] for each in control.get("deliveries", system="quay")] == ["after"]


def test_a_pushed_image_reaches_code_stream_as_an_event(sandbox: SandboxServer, control: Control) -> None:
    control.post("actions", system="quay", action="push_image", repository="acme/shop", tag="9.9.9")
    url = f"{sandbox.url}/code_stream/codestream/api/registry-events"
    query = {"$filter": "tag eq '9.9.9'"}
    page = requests.get(url, params=query, headers=headers(sandbox), timeout=60).json()
    event = page["documents"][page["links"][0]]
    assert (event["repoNamespace"], event["repo"], event["executionLink"]) == ("acme", "shop", None)
    assert event["message"] == "Invalid Oauth Refresh token. Verify webhook configuration."


def test_the_command_prints_every_login_and_serves() -> None:
    command = [sys.executable, "-m", "airflow_provider.sandbox", "--port", "0", "--speed", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = ""
        while "quay\n" not in text:
            text += process.stdout.readline()
        process.terminate()
    for login_text in (
        "release-bot-password",
        "sandbox-refresh-token",
        "SANDBOXACCESSKEY0001",
        "sandbox-cocktail-token",
    ):
        assert login_text in text
