"""What the Cocktail stand-in promises, over real HTTP."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from airflow_provider.sandbox.app import SandboxServer
from tests.support.control import SystemControl
from tests.support.until import until

TOKEN = {"Authorization": "Bearer sandbox-cocktail-token"}
SHOP, AUTOTAG, BROKEN, NO_DIGEST = 12, 13, 14, 15


class Api(SystemControl):
    """The stand-in, fresh; ``call`` speaks to the build API, the rest to the sandbox."""

    system = "cocktail"
    speed = 40

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, **query: Any) -> requests.Response:
        url = f"{self.url}/cocktail/v1{path}"
        return requests.request(method, url, params=query, headers=TOKEN if headers is None else headers, timeout=5)

    def start(self, build_seq: int = SHOP, tag: str = "1.0", **query: Any) -> dict[str, Any]:
        return self.call("POST", f"/build/run/{build_seq}", tagName=tag, **query).json()

    def ended(self, run_seq: int) -> dict[str, Any]:
        return until(
            lambda: self.call("GET", f"/build/run/{run_seq}").json(), lambda run: run["runState"] in ("DONE", "ERROR")
        )

    def deliveries(self) -> list[dict[str, Any]]:
        return requests.get(f"{self.url}/_sandbox/deliveries", params={"system": "cocktail"}, timeout=5).json()


@pytest.fixture
def api(sandbox: SandboxServer) -> Api:
    return Api(sandbox.url)


class Receiver:
    """A callback receiver that answers 200 and keeps what came."""

    def __init__(self) -> None:
        received: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                received.append(
                    {"path": self.path, "headers": dict(self.headers), "body": body, "at": time.monotonic()}
                )
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.received = received
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def states(self) -> list[str]:
        return [each["body"]["data"]["runState"] for each in self.received]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


def test_a_fresh_run_is_running_and_carries_no_result(api: Api) -> None:
    api.post("reset", speed=1)
    run = api.start(description="release 1 & + é\n#af")
    assert (run["runState"], run["runType"], run["buildNo"], run["imageDigest"], run["endTime"]) == (
        "RUNNING",
        "BUILD",
        1,
        None,
        None,
    )
    assert run["runDesc"] == "release 1 & + é\n#af"
    assert run["possibleActions"] == ["VIEW", "LOG"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", run["created"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", run["beginTime"])
    assert all(run[name] is None for name in ("buildServerCacrt", "buildServerClientCert", "buildServerClientKey"))


def test_a_description_may_be_cut_and_a_list_may_leave_fields_out(api: Api) -> None:
    api.post("reset", speed=1)
    api.switch(description_limit=9, list_omits=["runType"])
    started = api.start(description="release 1.4.2")
    (listed,) = api.call("GET", "/build/run", buildSeq=SHOP).json()
    assert started["runDesc"] == listed["runDesc"] == "release 1"
    assert "runType" not in listed
    assert api.call("GET", f"/build/run/{started['buildRunSeq']}").json()["runType"] == "BUILD"


def test_a_run_ends_with_digest_size_and_steps(api: Api) -> None:
    run = api.ended(api.start()["buildRunSeq"])
    assert run["runState"] == "DONE"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", run["imageDigest"])
    assert run["imageSize"] > 0
    assert run["imageUrl"] == "registry.example.com/acme/shop:1.0"
    assert [(s["stepType"], s["stepState"]) for s in run["buildStepRuns"]] == [
        ("INIT", "DONE"),
        ("CODE_DOWN", "DONE"),
        ("CREATE_IMAGE", "DONE"),
    ]
    assert run["possibleActions"] == ["VIEW", "BUILD", "LOG", "REMOVE"]


def test_the_states_of_an_execution_are_kept_with_its_marker(api: Api) -> None:
    run = api.start(description="marker-7")
    api.ended(run["buildRunSeq"])
    (execution,) = requests.get(f"{api.url}/_sandbox/executions", params={"system": "cocktail"}, timeout=5).json()
    assert execution["started_by"] == "marker-7"
    assert [each["state"] for each in execution["states"]] == ["CREATED", "RUNNING", "DONE"]
    assert execution["states"][2]["at"] - execution["states"][1]["at"] == pytest.approx(8 / 40, abs=0.01)


def test_run_and_build_numbers_are_told_apart_by_method(api: Api) -> None:
    run_seq = api.start()["buildRunSeq"]
    assert api.call("GET", f"/build/run/{SHOP}").json() == {"status": "ok", "result": None}
    assert api.call("GET", f"/build/run/{run_seq}").json()["buildSeq"] == SHOP
    assert api.call("POST", f"/build/run/{run_seq}", tagName="x").json()["code"] == "CCBDW006000"


def test_runs_are_listed_newest_first_with_the_runs_of_a_cancel(api: Api) -> None:
    first = api.start()["buildRunSeq"]
    api.call("PUT", f"/build/run/cancel/{first}", callbackUrl="http://127.0.0.1:9/x")
    api.ended(first)
    second = api.start(tag="2.0")["buildRunSeq"]
    listed = api.call("GET", "/build/run", buildSeq=SHOP).json()
    assert [(each["buildRunSeq"], each["runType"]) for each in listed] == [
        (second, "BUILD"),
        (2, "CANCEL"),
        (first, "BUILD"),
    ]


@pytest.mark.parametrize(
    ("build_seq", "switches", "state", "digest"),
    [
        (BROKEN, {}, "ERROR", False),
        (NO_DIGEST, {}, "DONE", False),
        (SHOP, {"no_digest": True}, "DONE", False),
        (SHOP, {"failing_step": "CODE_DOWN"}, "ERROR", False),
        (SHOP, {}, "DONE", True),
    ],
)
def test_runs_end_as_scripted(api: Api, build_seq: int, switches: dict[str, Any], state: str, digest: bool) -> None:
    api.switch(**switches)
    run = api.ended(api.start(build_seq)["buildRunSeq"])
    assert (run["runState"], run["imageDigest"] is not None) == (state, digest)


def test_a_refused_build_server_answers_200_with_an_error_run(api: Api) -> None:
    api.switch(refuse_build_server=True)
    reply = api.call("POST", f"/build/run/{SHOP}", tagName="1.0")
    assert (reply.status_code, reply.json()["runState"]) == (200, "ERROR")


def test_a_stuck_run_stays_created(api: Api) -> None:
    api.switch(stuck_created=True)
    run = api.start()
    api.post("clock", advance=3600)
    again = api.call("GET", f"/build/run/{run['buildRunSeq']}").json()
    assert (again["runState"], again["possibleActions"]) == ("CREATED", ["VIEW", "BUILD", "REMOVE"])


# --- refusals


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


# --- tokens


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


# --- tags


def test_autotag_discards_the_tag_sent(api: Api) -> None:
    run = api.start(AUTOTAG, tag="mine")
    assert run["autotagUseYn"] == "Y"
    assert re.fullmatch(r"test-\d{8}-\d{6}", run["tagName"])
    assert run["imageUrl"].endswith(":" + run["tagName"])


def test_autotag_by_sequence_counts_builds(api: Api) -> None:
    edited = requests.put(
        f"{api.url}/cocktail/v1/build/{AUTOTAG}", json={"autotagSeqType": "SEQUENCE"}, headers=TOKEN, timeout=5
    )
    assert edited.json()["autotagSeqType"] == "SEQUENCE"
    assert api.start(AUTOTAG)["tagName"] == "test-00001"


def test_a_missing_tag_becomes_the_word_null_or_a_refusal(api: Api) -> None:
    run = api.call("POST", f"/build/run/{SHOP}").json()
    assert run["imageUrl"] == "registry.example.com/acme/shop:null"
    api.switch(refuse_missing_tag=True)
    assert api.call("POST", f"/build/run/{BROKEN}").json()["code"] == "K8sApiStatus400"


def test_the_image_url_can_come_without_tag(api: Api) -> None:
    api.switch(image_url_with_tag=False)
    assert api.start()["imageUrl"] == "registry.example.com/acme/shop"


# --- cancel and removal


def test_a_cancel_is_a_run_of_its_own_after_which_the_original_is_error(api: Api) -> None:
    api.switch(step_seconds={"INIT": 100, "CANCEL": 1})
    run_seq = api.start()["buildRunSeq"]
    cancel = api.call("PUT", f"/build/run/cancel/{run_seq}", callbackUrl="http://127.0.0.1:9/x").json()
    assert (cancel["runType"], cancel["runState"], cancel["buildRunSeq"]) == ("CANCEL", "RUNNING", run_seq + 1)
    assert api.ended(run_seq)["runState"] == "ERROR"
    step = api.call("GET", f"/build/run/{cancel['buildRunSeq']}").json()["buildStepRuns"][0]
    assert (step["stepState"], step["stepConfig"]["refBuildRunSeq"]) == ("DONE", run_seq)
    (execution,) = requests.get(f"{api.url}/_sandbox/executions", params={"system": "cocktail"}, timeout=5).json()
    assert len(execution["cancels"]) == 1


def test_a_finished_run_cannot_be_cancelled(api: Api) -> None:
    run_seq = api.start()["buildRunSeq"]
    api.ended(run_seq)
    reply = api.call("PUT", f"/build/run/cancel/{run_seq}", callbackUrl="http://127.0.0.1:9/x").json()
    assert reply["message"].startswith("Build is not running!")


def test_done_can_win_the_race_against_a_cancel(api: Api) -> None:
    api.switch(cancel_loses_race=True, step_seconds={"INIT": 100, "CANCEL": 1})
    run_seq = api.start()["buildRunSeq"]
    api.call("PUT", f"/build/run/cancel/{run_seq}", callbackUrl="http://127.0.0.1:9/x")
    assert api.ended(run_seq)["runState"] == "DONE"
    assert api.ended(run_seq + 1)["runState"] == "ERROR"


def test_removing_a_run_takes_along_the_runs_of_the_same_digest(api: Api) -> None:
    api.switch(reproducible_builds=True)
    numbers = []
    for tag in ("1.0", "2.0"):
        numbers.append(api.start(tag=tag)["buildRunSeq"])
        api.ended(numbers[-1])
    others = api.call("GET", f"/build/run/{numbers[0]}/otherremoveruns").json()
    assert [each["buildRunSeq"] for each in others] == [numbers[1]]
    api.call("DELETE", f"/build/run/{numbers[0]}")
    assert api.call("GET", f"/build/run/{numbers[1]}").json()["result"] is None


def test_a_running_run_cannot_be_removed(api: Api) -> None:
    api.post("reset", speed=1)
    run_seq = api.start()["buildRunSeq"]
    assert api.call("DELETE", f"/build/run/{run_seq}").json()["code"] == "CCBDW014000"


def test_deleting_a_build_makes_a_removal_run(api: Api) -> None:
    removal = api.call("DELETE", f"/build/{SHOP}", callbackUrl="http://127.0.0.1:9/x").json()
    assert (removal["runType"], removal["runState"]) == ("REMOVE", "RUNNING")
    until(lambda: api.call("GET", f"/build/{SHOP}").json(), lambda body: body == {"status": "ok", "result": None})


# --- logs


@pytest.mark.parametrize(("switches", "texts"), [({}, 3), ({"db_log": False}, 0), ({"logs": "never"}, 0)])
def test_logs_appear_per_finished_step_or_never(api: Api, switches: dict[str, Any], texts: int) -> None:
    api.switch(**switches)
    run_seq = api.start()["buildRunSeq"]
    api.ended(run_seq)
    log = api.call("GET", f"/build/run/log/{run_seq}").json()
    assert log["dbLog"] is switches.get("db_log", True)
    assert len([step for step in log["buildRunLogs"] if step["log"]]) == texts


def test_the_log_of_a_running_run_holds_the_finished_steps_only(api: Api) -> None:
    api.switch(step_seconds={"INIT": 0.1, "CODE_DOWN": 1000})
    run_seq = api.start()["buildRunSeq"]
    log = until(
        lambda: api.call("GET", f"/build/run/log/{run_seq}").json()["buildRunLogs"], lambda steps: steps[0]["log"]
    )
    assert [bool(step["log"]) for step in log] == [True, False, False]


# --- callbacks


def test_the_first_callback_arrives_before_the_reply(api: Api, receiver: Receiver) -> None:
    run = api.start(callbackUrl=f"{receiver.url}/cb/secret")
    replied = time.monotonic()
    first = receiver.received[0]
    assert first["at"] < replied
    assert first["body"]["target"] == {
        "accountSeq": 1,
        "serviceSeqs": [2],
        "buildSeq": SHOP,
        "buildRunSeq": run["buildRunSeq"],
    }
    assert run["callbackUrl"] == f"{receiver.url}/cb/secret?user-id=3&user-role=DEVOPS&user-workspace=3"


def test_callbacks_tell_every_step_and_the_end_in_order(api: Api, receiver: Receiver) -> None:
    api.start(callbackUrl=f"{receiver.url}/cb")
    until(receiver.states, lambda states: "DONE" in states)
    assert receiver.states() == ["RUNNING", "RUNNING", "RUNNING", "DONE"]
    last = receiver.received[-1]
    assert last["body"]["event"] == "BUILD_RUN_STATE"
    assert None not in last["body"]["data"].values()
    assert {name: last["headers"].get(name) for name in ("user-id", "user-role", "user-workspace")} == {
        "user-id": "3",
        "user-role": "DEVOPS",
        "user-workspace": "3",
    }


@pytest.mark.parametrize(
    ("template", "paths"),
    [
        ("{url}/a?lost=1", ["/a"]),
        ("{url}/a|{url}/b", ["/a", "/b"]),
        ("{encoded}%2Fa%2Fb", ["/a/b"]),
    ],
)
def test_callback_urls_are_mangled_as_the_server_does(
    api: Api, receiver: Receiver, template: str, paths: list[str]
) -> None:
    encoded = receiver.url.replace(":", "%3A").replace("/", "%2F")
    api.start(callbackUrl=template.format(url=receiver.url, encoded=encoded))
    assert [each["path"] for each in receiver.received[: len(paths)]] == paths
    assert "lost" not in receiver.received[0]["headers"]


@pytest.mark.parametrize(
    "template", ["{url}/known-word", "{url}/?x=known-word", "{user}/known-word", "http://[known-word"]
)
def test_the_list_of_deliveries_tells_hosts_and_no_paths(api: Api, receiver: Receiver, template: str) -> None:
    user = receiver.url.replace("//", "//known-word:known-word@")
    api.ended(api.start(callbackUrl=template.format(url=receiver.url, user=user))["buildRunSeq"])
    until(api.deliveries, bool)
    assert {each["url"] for each in api.deliveries()} <= {f"{receiver.url}/***", "***"}
    assert "known-word" not in json.dumps(api.deliveries())


def test_a_cancel_tells_its_own_url_and_then_the_original(api: Api, receiver: Receiver) -> None:
    api.switch(step_seconds={"INIT": 1000, "CANCEL": 1})
    run_seq = api.start(callbackUrl=f"{receiver.url}/original")["buildRunSeq"]
    api.call("PUT", f"/build/run/cancel/{run_seq}", callbackUrl=f"{receiver.url}/cancel")
    until(lambda: len(receiver.received), lambda count: count == 4)
    told = {(each["path"], each["body"]["data"]["runState"]) for each in receiver.received}
    assert told == {("/original", "RUNNING"), ("/cancel", "RUNNING"), ("/cancel", "DONE"), ("/original", "ERROR")}


def test_a_build_without_callback_url_fails_only_its_delivery(api: Api) -> None:
    run = api.start()
    assert run["callbackUrl"].startswith("null?")
    assert {(each["url"], each["status"]) for each in api.deliveries()} == {("***", None)}


@pytest.mark.parametrize(
    ("switches", "states"),
    [
        ({"callbacks_duplicated": True}, ["RUNNING"] * 6 + ["DONE"] * 2),
        ({"callbacks_reordered": True}, ["DONE"] + ["RUNNING"] * 3),
        ({"callback_delay": 0.1}, ["RUNNING"] * 3 + ["DONE"]),
    ],
)
def test_callbacks_can_misbehave(api: Api, receiver: Receiver, switches: dict[str, Any], states: list[str]) -> None:
    api.switch(**switches)
    api.start(callbackUrl=receiver.url)
    until(receiver.states, lambda found: len(found) == len(states))
    assert receiver.states() == states


def test_callbacks_can_be_lost(api: Api, receiver: Receiver) -> None:
    api.switch(callbacks_lost=True)
    api.ended(api.start(callbackUrl=receiver.url)["buildRunSeq"])
    assert receiver.received == []


# --- the rest


def test_a_forced_state_is_shown_and_told(api: Api, receiver: Receiver) -> None:
    run_seq = api.start(callbackUrl=receiver.url)["buildRunSeq"]
    forced = api.post(f"executions/cocktail/{run_seq}", state="DONE")
    assert forced["state"] == "DONE"
    assert api.call("GET", f"/build/run/{run_seq}").json()["imageDigest"]
    until(receiver.states, lambda states: states[-1] == "DONE")


def test_a_lost_answer_leaves_the_run_in_the_list(api: Api) -> None:
    api.post("reset", speed=1)
    api.post("faults", system="cocktail", method="POST", path="/build/run", fault="reset_after")
    with pytest.raises(requests.ConnectionError):
        api.start(description="marker-1")
    (run,) = api.call("GET", "/build/run", buildSeq=SHOP).json()
    assert run["runDesc"] == "marker-1"


@pytest.mark.parametrize("image_url", ["registry.example.com/acme/shop", "registry.example.com/acme/shop:1.0"])
def test_runs_are_found_by_image(api: Api, image_url: str) -> None:
    run_seq = api.start()["buildRunSeq"]
    assert api.call("GET", "/build/run/search", imageUrl=image_url).json()["buildRunSeq"] == run_seq


def test_a_new_build_can_be_run(api: Api) -> None:
    added = requests.post(
        f"{api.url}/cocktail/v1/build",
        params={"callbackUrl": "http://127.0.0.1:9/x"},
        json={"buildName": "tool", "imageName": "tool"},
        headers=TOKEN,
        timeout=5,
    ).json()
    assert api.ended(api.start(added["buildSeq"])["buildRunSeq"])["imageUrl"] == "registry.example.com/ops/tool:1.0"


def test_an_unknown_switch_or_value_is_refused_by_name(api: Api) -> None:
    for switches in ({"nonsense": 1}, {"logs": "sometimes"}, {"routes": {"status": "500"}}, {"wrapped": "yes"}):
        reply = requests.post(f"{api.url}/_sandbox/switches", json={"system": "cocktail"} | switches, timeout=5)
        assert reply.status_code == 400
        assert next(iter(switches)) in reply.text
