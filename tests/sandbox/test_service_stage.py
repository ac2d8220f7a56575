"""What the ServiceStage stand-in promises, over real HTTP, signed here by hand and never by our client."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
import requests

from airflow_provider.sandbox.app import SandboxServer
from airflow_provider.sandbox.service_stage.signing import Key, SignatureError, SignedRequest, canonical_request, verify
from tests.support.control import Control
from tests.support.until import until

VECTORS = json.loads((Path(__file__).parents[1] / "fixtures" / "huawei_signing_vectors.json").read_text())["vectors"]
PROJECT = "77b6a44cba5143ab91d13ab9a8ff44fd"
AK, SK = "SANDBOXACCESSKEY0001", "sandbox-secret-key-0001"
SHOP = "caf409b1-10df-483a-b14d-7b05f7e12c88"
JSON = {"Content-Type": "application/json;charset=utf8"}


# --- signatures, with a frozen clock ---


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


# --- over HTTP ---


def encode(text: str) -> str:
    return quote(text, safe="-_.~")


def signature_headers(
    method: str, url: str, body: bytes, headers: dict[str, str], ak: str, sk: str, at: float
) -> dict[str, str]:
    """The headers of a signed request, written from the contract alone."""
    parts = urlsplit(url)
    date = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    sent = headers | {"X-Sdk-Date": date}
    signed = {name.lower(): value for name, value in sent.items()} | {"host": parts.netloc}
    path = "/".join(encode(segment) for segment in unquote(parts.path).split("/")) + "/"
    pairs = sorted(parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True))
    canonical = "\n".join(
        (
            method,
            path,
            "&".join(f"{encode(name)}={encode(value)}" for name, value in pairs),
            "".join(f"{name}:{signed[name]}\n" for name in sorted(signed)),
            ";".join(sorted(signed)),
            hashlib.sha256(body).hexdigest(),
        )
    )
    text = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(sk.encode(), text.encode(), hashlib.sha256).hexdigest()
    names = ";".join(sorted(signed))
    return sent | {"Authorization": f"SDK-HMAC-SHA256 Access={ak}, SignedHeaders={names}, Signature={signature}"}


class ServiceStage:
    """A signing caller of the stand-in."""

    def __init__(self, sandbox: SandboxServer, control: Control) -> None:
        self.root = f"{sandbox.url}/service_stage"
        self.control = control
        self.pipelines = f"/v3/{PROJECT}/pipeline/pipelines"

    def signed(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        ak: str = AK,
        sk: str = SK,
        skew: float = 0.0,
    ) -> requests.Response:
        url = self.root + path
        sent = signature_headers(method, url, body, JSON if headers is None else headers, ak, sk, time.time() + skew)
        return requests.request(method, url, data=body, headers=sent, timeout=5)

    def action(self, action: str | None, body: Any = None, pipeline: str = SHOP) -> requests.Response:
        query = f"?action_id={action}" if action is not None else ""
        raw = json.dumps({} if body is None else body).encode()
        return self.signed("POST", f"{self.pipelines}/{pipeline}/action{query}", raw)

    def do(self, action: str, body: Any = None, pipeline: str = SHOP) -> dict[str, Any]:
        reply = self.action(action, body, pipeline)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def get(self, path: str = "") -> Any:
        reply = self.signed("GET", f"{self.pipelines}{path}")
        assert reply.status_code == 200, reply.text
        return reply.json()

    def item(self, pipeline: str = SHOP) -> dict[str, Any]:
        return next(each for each in self.get()["pipelines"] if each["id"] == pipeline)

    def named(self, name: str) -> str:
        return next(each["id"] for each in self.get()["pipelines"] if each["name"] == name)

    def reaches(self, status: int, pipeline: str = SHOP) -> dict[str, Any]:
        return until(lambda: self.get(f"/{pipeline}/records")["records"][0], lambda seen: seen["status"] == status)

    def switch(self, **switches: Any) -> None:
        self.control.post("switches", system="service_stage", **switches)

    def script(self, task: str, pipeline: str = "shop-release", **values: Any) -> None:
        self.control.post("actions", system="service_stage", action="script", pipeline=pipeline, task=task, **values)

    def states(self, execution_id: int) -> list[str]:
        every = self.control.get("executions", system="service_stage")
        return [state["state"] for each in every if each["id"] == str(execution_id) for state in each["states"]]

    def token_request(self, **user: Any) -> dict[str, Any]:
        person = {"name": "release-bot", "password": "release-bot-password", "domain": {"name": "sandbox-account"}}
        return {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": person | user}},
                "scope": {"project": {"name": "sandbox-1"}},
            }
        }

    def log_in(self, body: Any = None, prefix: str = "/iam") -> requests.Response:
        url = f"{self.root}{prefix}/v3/auth/tokens?nocatalog=true"
        return requests.post(url, json=body or self.token_request(), timeout=5)

    def with_token(self, token: str, project: str = PROJECT) -> requests.Response:
        url = f"{self.root}/v3/{project}/pipeline/pipelines"
        return requests.get(url, headers={"X-Auth-Token": token}, timeout=5)


@pytest.fixture
def api(sandbox: SandboxServer, control: Control) -> ServiceStage:
    return ServiceStage(sandbox, control)


def refusal(reply: requests.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error_code"]


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
    reply = requests.post(url, data=b"{ }", headers=headers, timeout=5)
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
    assert requests.get(f"{url}a+b", headers=headers, timeout=5).status_code == 401
    api.switch(plus_is_blank=True)
    assert requests.get(f"{url}a+b", headers=headers, timeout=5).status_code == 200


def test_a_body_above_twelve_megabytes_is_refused(api: ServiceStage) -> None:
    body = b" " * (12 * 1024 * 1024 + 1)
    assert refusal(api.signed("PUT", f"{api.pipelines}/{SHOP}", body)) == (413, "APIGW.0201")


def test_a_request_without_authentication_is_refused(api: ServiceStage) -> None:
    reply = requests.get(api.root + api.pipelines, timeout=5)
    assert refusal(reply) == (401, "APIGW.0301")


# --- IAM ---


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
    assert requests.get(url, headers=unsigned, timeout=5).status_code == 401
    api.control.post("clock", advance=901)
    reply = api.signed("GET", api.pipelines, headers=with_token, skew=901, **key)
    assert "security token expired" in reply.json()["error_msg"]


# --- release tasks ---


@pytest.mark.parametrize(
    "path",
    [
        "/cpepipeline/v2/pipelines",
        f"/v5/{PROJECT}/api/pipelines/list",
        "/v3/pipelines/x/start",
        "/nonsense",
    ],
)
def test_look_alike_services_are_not_published_here(api: ServiceStage, path: str) -> None:
    assert refusal(api.signed("GET", path)) == (404, "APIGW.0101")


def test_a_release_runs_to_its_end_with_integer_statuses(api: ServiceStage) -> None:
    before = api.item()
    assert (before["status"], before["last_trigger_at"]) == (1, None)
    reply = api.do("start")
    assert reply == {"id": 286541, "pipeline_id": SHOP, "status": 4}
    record = api.reaches(2)
    assert (record["id"], record["trigger"]) == (286541, "release-bot")
    assert api.item()["status"] == 2
    assert api.item()["last_trigger_at"] >= before["create_time"]
    assert api.states(286541) == ["4", "2"]
    assert api.do("start")["id"] == 286542


def test_an_execution_names_its_caller(api: ServiceStage) -> None:
    api.do("start")
    assert api.control.get("executions", system="service_stage")[0]["started_by"] == AK
    assert api.control.get("requests", system="service_stage")[0]["who"] == AK


def test_a_running_release_is_not_started_twice(api: ServiceStage) -> None:
    api.do("start")
    assert refusal(api.action("start")) == (400, "SVCSTG.00100400")
    api.switch(wrong_state_status=409)
    assert refusal(api.action("start")) == (409, "SVCSTG.00100409")
    assert api.get(f"/{SHOP}/records")["count"] == 1


def test_the_detail_names_stages_and_tasks(api: ServiceStage) -> None:
    detail = api.get(f"/{SHOP}")
    stages = detail["pipeline_declaration"]["stages"]
    assert [(stage["name"], [task["name"] for task in stage["tasks"]]) for stage in stages] == [
        ("899tih", ["ujgdh4"]),
        ("uipfzw", ["ax8hus"]),
    ]
    assert "status" not in detail


def test_only_the_selected_tasks_run(api: ServiceStage) -> None:
    api.script("ujgdh4", fails=True)
    api.do("start", {"selected_tasks": [{"stage_name": "uipfzw", "tasks": ["ax8hus"]}]})
    assert api.reaches(2)


@pytest.mark.parametrize(
    "selected",
    [
        [{"stage_name": "nope", "tasks": []}],
        [{"stage_name": "899tih", "tasks": ["nope"]}],
        [{"stage_name": "899tih"}],
        "text",
    ],
)
def test_unknown_selected_tasks_are_refused(api: ServiceStage, selected: Any) -> None:
    assert refusal(api.action("start", {"selected_tasks": selected})) == (400, "SVCSTG.00100400")
    assert api.get(f"/{SHOP}/records")["records"] == []


@pytest.mark.parametrize(
    ("action", "body"),
    [
        (None, {}),
        ("dance", {}),
        ("START", {}),
        ("approval", {}),
        ("approval", {"task_name": "x"}),
        ("approval", {"task_name": "x", "approval_type": "maybe"}),
        ("stop", {}),
        ("retry", {}),
        ("continue", {}),
        ("rollback", {}),
        ("start", ["no object"]),
    ],
)
def test_an_action_that_cannot_be_is_refused(api: ServiceStage, action: str | None, body: Any) -> None:
    assert refusal(api.action(action, body)) == (400, "SVCSTG.00100400")


def test_malformed_json_is_refused_and_a_missing_body_by_switch(api: ServiceStage) -> None:
    path = f"{api.pipelines}/{SHOP}/action?action_id=start"
    assert refusal(api.signed("POST", path, b"{")) == (400, "SVCSTG.00100400")
    api.switch(empty_body_status=400)
    assert refusal(api.signed("POST", path)) == (400, "SVCSTG.00100400")
    api.switch(empty_body_status=200)
    assert api.signed("POST", path).status_code == 200


def test_an_unknown_release_task_is_not_found(api: ServiceStage) -> None:
    assert refusal(api.action("start", pipeline="nope")) == (404, "SVCSTG.00100433")
    other = f"/v3/0d1f3c5b7a9e4f2c8b6a4d2e0f1c3b5a/pipeline/pipelines/{SHOP}"
    assert refusal(api.signed("GET", other)) == (404, "SVCSTG.00100433")
    assert refusal(api.signed("GET", "/v3/unknown/pipeline/pipelines")) == (403, "APIGW.0302")


def test_who_may_only_read_cannot_act(api: ServiceStage) -> None:
    viewer = {"ak": "SANDBOXACCESSKEY0002", "sk": "sandbox-secret-key-0002"}
    assert api.signed("GET", api.pipelines, **viewer).status_code == 200
    reply = api.signed("POST", f"{api.pipelines}/{SHOP}/action?action_id=start", b"{}", **viewer)
    assert refusal(reply) == (403, "SVCSTG.00100403")


def test_stop_and_continue_keep_the_record(api: ServiceStage) -> None:
    started = api.do("start")
    assert api.do("stop") == {"id": started["id"], "pipeline_id": SHOP, "status": 13}
    api.reaches(7)
    assert api.do("continue")["id"] == started["id"]
    api.reaches(2)
    assert api.states(started["id"]) == ["4", "13", "7", "4", "2"]
    tracked = api.control.get("executions", system="service_stage")[0]
    assert len(tracked["cancels"]) == 1


@pytest.mark.parametrize("keeps", [True, False])
def test_a_retry_goes_on_at_the_failed_task(api: ServiceStage, keeps: bool) -> None:
    api.switch(retry_keeps_id=keeps)
    api.script("ax8hus", fails=True, times=1)
    started = api.do("start")
    api.reaches(3)
    retried = api.do("retry")
    assert (retried["id"] == started["id"], retried["status"]) == (keeps, 14)
    assert api.reaches(2)["id"] == retried["id"]


@pytest.mark.parametrize(("fails", "status"), [(False, 11), (True, 12)])
def test_a_rollback_ends_in_its_own_status(api: ServiceStage, fails: bool, status: int) -> None:
    api.switch(rollback_fails=fails)
    api.do("start")
    api.reaches(2)
    assert api.do("rollback")["status"] == 10
    api.reaches(status)


def test_the_broken_release_always_fails(api: ServiceStage) -> None:
    broken = api.named("broken-release")
    for _ in range(2):
        api.do("start", pipeline=broken)
        api.reaches(3, broken)


@pytest.mark.parametrize(("answer", "status"), [("agree", 2), ("refuse", 3)])
def test_an_approval_decides_the_release(api: ServiceStage, answer: str, status: int) -> None:
    pipeline = api.named("shop-release-approval")
    api.do("start", pipeline=pipeline)
    api.reaches(5, pipeline)
    wrong = api.action("approval", {"task_name": "ujgdh4", "approval_type": answer}, pipeline)
    assert refusal(wrong) == (400, "SVCSTG.00100400")
    api.do("approval", {"task_name": "apr0v1", "approval_type": answer, "message": "ok"}, pipeline)
    api.reaches(status, pipeline)


def test_two_release_tasks_share_a_name(api: ServiceStage) -> None:
    assert [each["name"] for each in api.get()["pipelines"]].count("twin-release") == 2


@pytest.mark.parametrize("fail_mode", ["stop", "continue"])
def test_other_groups_finish_after_a_failure_when_told_so(api: ServiceStage, fail_mode: str) -> None:
    groups = [{"tasks": [{"name": "a"}]}, {"tasks": [{"name": "b"}, {"name": "c"}]}]
    spec = {"name": "wide", "model_version": 2, "config_mode": "ui", "fail_mode": fail_mode}
    body = json.dumps(spec | {"stages": [{"name": "one", "groups": groups}]}).encode()
    created = api.signed("POST", api.pipelines, body)
    pipeline = created.json()["id"]
    api.script("a", "wide", fails=True)
    api.do("start", pipeline=pipeline)
    api.reaches(3, pipeline)
    states = api.control.get("executions", system="service_stage")[-1]["states"]
    group = 3.9 / 40
    assert (states[-1]["at"] - states[0]["at"] > 2 * group) == (fail_mode == "continue")


def test_release_tasks_can_be_created_edited_and_deleted(api: ServiceStage) -> None:
    spec = {"name": "new", "model_version": 2, "config_mode": "ui", "stages": [{"name": "s", "tasks": [{"name": "t"}]}]}
    created = api.signed("POST", api.pipelines, json.dumps(spec).encode()).json()
    edited = api.signed("PUT", f"{api.pipelines}/{created['id']}", json.dumps(spec | {"name": "newer"}).encode()).json()
    assert (edited["name"], edited["version"]) == ("newer", "2")
    assert api.signed("DELETE", f"{api.pipelines}/{created['id']}").status_code == 200
    assert api.signed("GET", f"{api.pipelines}/{created['id']}").status_code == 404
    bad = api.signed("POST", api.pipelines, json.dumps(spec | {"model_version": 1}).encode())
    assert refusal(bad) == (400, "SVCSTG.00100400")


def test_odd_forms_follow_the_switches(api: ServiceStage) -> None:
    api.switch(
        list_form="bare",
        record_case="camel",
        record_id="text",
        reply_id="text",
        status_form="text",
        record_status=False,
    )
    assert api.do("start")["id"] == "286541"
    assert isinstance(api.get(), list)
    record = api.get(f"/{SHOP}/records")["records"][0]
    assert record["id"] == "286541"
    assert {"pipelineId", "triggerAt"} <= set(record)
    assert "status" not in record
    api.switch(record_status=True, shown_status={"4": 6})
    assert api.get(f"/{SHOP}/records")["records"][0]["status"] == "6"


def test_the_list_can_lag_behind_the_records(api: ServiceStage) -> None:
    api.do("start")
    api.reaches(2)
    api.switch(list_lag=60.0)
    api.do("start")
    assert (api.item()["status"], api.reaches(4)["status"]) == (1, 4)


def test_the_trigger_time_in_the_list_can_lag_too(api: ServiceStage) -> None:
    api.do("start")
    assert api.item()["last_trigger_at"] is not None
    api.switch(list_lag=60.0, list_time_lags=True)
    assert (api.item()["status"], api.item()["last_trigger_at"]) == (1, None)


def test_the_records_can_lag_behind_what_is_done(api: ServiceStage) -> None:
    first = api.do("start")["id"]
    api.reaches(2)
    api.switch(record_lag=60.0)
    assert api.get(f"/{SHOP}/records") == {"count": 0, "records": []}
    api.control.post("clock", advance=120)
    api.do("start")
    (record,) = api.get(f"/{SHOP}/records")["records"]
    assert (record["id"], record["status"]) == (first, 2)


def test_a_forced_status_stays_until_it_is_forced_again(api: ServiceStage) -> None:
    execution_id = api.do("start")["id"]
    api.control.post(f"executions/service_stage/{execution_id}", state="13")
    time.sleep(0.3)
    assert api.item()["status"] == 13
    api.control.post(f"executions/service_stage/{execution_id}", state=4)
    api.reaches(2)


def test_the_quota_throttles(api: ServiceStage) -> None:
    api.switch(quota_per_second=1)
    replies = [api.signed("GET", api.pipelines) for _ in range(5)]
    throttled = [reply for reply in replies if reply.status_code == 429]
    assert throttled
    assert refusal(throttled[0]) == (429, "APIGW.0308")
    assert "Retry-After" not in throttled[0].headers
