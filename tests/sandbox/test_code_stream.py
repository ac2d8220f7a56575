"""What the Code Stream stand-in promises, over real HTTP and against the contract, never through our client."""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import requests
import yaml

from airflow_provider.sandbox.app import SandboxServer
from tests.support.control import Control
from tests.support.serving import serving
from tests.support.until import until

API = "/codestream/api"
TERMINAL = {"COMPLETED", "FAILED", "CANCELED", "ROLLBACK_COMPLETED", "ROLLBACK_FAILED"}


class CodeStream:
    """A logged-in caller of the stand-in."""

    def __init__(self, sandbox: SandboxServer, control: Control, user: str = "release-bot") -> None:
        self.root = f"{sandbox.url}/code_stream"
        self.sandbox = sandbox
        self.control = control
        self.headers = {"Authorization": f"Bearer {self.bearer(user)}"}

    def bearer(self, user: str) -> str:
        reply = self.login("/csp/gateway/am/api/login?access_token", username=user, password=f"{user}-password")
        return self.login("/iaas/api/login", refreshToken=reply.json()["refresh_token"]).json()["token"]

    def login(self, path: str, **body: Any) -> requests.Response:
        return requests.post(f"{self.root}{path}", json=body, timeout=5)

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> requests.Response:
        url = f"{self.root}{API}{path}"
        return requests.request(method, url, json=body, params=query, headers=self.headers, timeout=5)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        reply = self.call("GET", path, **query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def rows(self, path: str, **query: Any) -> list[dict[str, Any]]:
        page = self.get(path, **{f"${name}": value for name, value in query.items()})
        return [page["documents"][link] for link in page["links"]]

    def switch(self, **switches: Any) -> None:
        self.control.post("switches", system="code_stream", **switches)

    def do(self, action: str, **values: Any) -> Any:
        return self.control.post("actions", system="code_stream", action=action, **values)

    def force(self, execution_id: str, state: str) -> None:
        self.control.post(f"executions/code_stream/{execution_id}", state=state)

    def start(self, name: str = "Deploy shop", project: str = "retail", **body: Any) -> str:
        reply = self.call("POST", f"/pipelines/{project}/{name}/executions", body)
        assert reply.status_code == 202, reply.text
        return reply.json()["executionId"]

    def execution(self, execution_id: str, **query: Any) -> dict[str, Any]:
        return self.get(f"/executions/{execution_id}", **query)

    def reaches(self, execution_id: str, *statuses: str) -> dict[str, Any]:
        return until(lambda: self.execution(execution_id), lambda seen: seen["status"] in statuses)

    def ended(self, execution_id: str) -> dict[str, Any]:
        return self.reaches(execution_id, *TERMINAL)

    def states(self, execution_id: str) -> list[str]:
        return [each["state"] for each in self.track(execution_id)["states"]]

    def track(self, execution_id: str) -> dict[str, Any]:
        return next(each for each in self.control.get("executions", system="code_stream") if each["id"] == execution_id)

    def act(self, execution_id: str, action: str, body: Any = None) -> requests.Response:
        return self.call("POST", f"/executions/{execution_id}", body, action=action)

    def operation(self, execution_id: str) -> dict[str, Any]:
        return until(
            lambda: [row for row in self.rows("/user-operations") if row["executionId"] == execution_id], bool
        )[0]

    def create_pipeline(self, name: str, tasks: dict[str, Any], **fields: Any) -> str:
        stage = {"taskOrder": list(tasks), "tasks": tasks}
        spec = {"name": name, "project": "retail", "enabled": True, "stageOrder": ["One"], "stages": {"One": stage}}
        reply = self.call("POST", "/pipelines", spec | fields)
        assert reply.status_code == 200, reply.text
        return reply.json()["id"]


@pytest.fixture
def api(sandbox: SandboxServer, control: Control) -> CodeStream:
    return CodeStream(sandbox, control)


@pytest.fixture
def viewer(sandbox: SandboxServer, control: Control) -> CodeStream:
    return CodeStream(sandbox, control, "viewer")


# --- logins ---

LOGIN, DOMAIN_LOGIN, TOKEN = (
    "/csp/gateway/am/api/login",
    "/csp/gateway/am/idp/auth/login",
    "/iaas/api/login",
)
BOT = {"username": "release-bot", "password": "release-bot-password"}


@pytest.mark.parametrize(
    ("path", "body", "status", "has"),
    [
        (f"{LOGIN}?access_token", BOT, 200, "refresh_token"),
        (LOGIN, BOT, 200, "cspAuthToken"),
        (f"{DOMAIN_LOGIN}?access_token", BOT | {"domain": "example.com"}, 200, "refresh_token"),
        (f"{LOGIN}?access_token", BOT | {"domain": "example.com"}, 200, "refresh_token"),
        (f"{DOMAIN_LOGIN}?access_token", BOT, 400, "serverMessage"),
        (f"{LOGIN}?access_token", BOT | {"domain": "elsewhere"}, 400, "serverMessage"),
        (f"{LOGIN}?access_token", BOT | {"password": "wrong"}, 400, "serverMessage"),
        (TOKEN, {"refreshToken": "sandbox-refresh-token"}, 200, "token"),
        (TOKEN, {"refreshToken": "unknown"}, 400, "serverErrorId"),
        (TOKEN, {}, 400, "serverErrorId"),
    ],
)
def test_a_login_answers_in_the_shape_of_its_service(
    api: CodeStream, path: str, body: dict[str, str], status: int, has: str
) -> None:
    reply = api.login(path, **body)
    assert reply.status_code == status
    assert has in reply.json()
    assert ("refresh_token" in reply.json()) == (has == "refresh_token")


def test_the_saas_form_login_gives_a_bearer_that_dies_when_idle(api: CodeStream) -> None:
    url = f"{api.root}/csp/gateway/am/api/auth/api-tokens/authorize"
    reply = requests.post(url, data={"refresh_token": "sandbox-refresh-token"}, timeout=5)
    assert reply.json()["expires_in"] == 1799
    api.headers = {"Authorization": f"Bearer {reply.json()['access_token']}"}
    assert api.call("GET", "/about").status_code == 200
    api.control.post("clock", advance=1501)
    assert api.call("GET", "/about").status_code == 401


@pytest.mark.parametrize("authorization", [None, "Bearer nonsense", "Basic abc"])
def test_a_call_without_a_good_bearer_is_refused_without_a_body(api: CodeStream, authorization: str | None) -> None:
    api.headers = {"Authorization": authorization} if authorization else {}
    reply = api.call("GET", "/executions")
    assert (reply.status_code, reply.content) == (401, b"")


def test_a_bearer_ends_with_its_lifetime(api: CodeStream) -> None:
    api.control.post("clock", advance=28_801)
    assert api.call("GET", "/about").status_code == 401


def test_an_expired_refresh_token_gives_no_bearer(api: CodeStream) -> None:
    api.do("expire_refresh_tokens")
    assert api.login(TOKEN, refreshToken="sandbox-refresh-token").status_code == 400


def test_both_prefixes_lead_to_the_same_service(api: CodeStream) -> None:
    for prefix in ("/codestream/api", "/pipeline/api"):
        reply = requests.get(f"{api.root}{prefix}/about?apiVersion=2019-10-17", headers=api.headers, timeout=5)
        assert reply.json()["latestApiVersion"] == "2019-10-17"
    assert api.call("GET", "/nonsense").status_code == 404


def test_a_host_without_the_service_answers_404_on_about(api: CodeStream) -> None:
    api.switch(no_pipelines_service=True)
    assert api.call("GET", "/about").status_code == 404


# --- start ---


def test_an_execution_runs_to_its_end_and_gives_its_output(api: CodeStream) -> None:
    execution_id = api.start(input={"tag": "1.4.2"}, comments="dag=release", tags=["a"])
    ended = api.ended(execution_id)
    assert (ended["status"], ended["statusMessage"]) == ("COMPLETED", "Execution Completed.")
    assert (ended["output"], ended["comments"], ended["tags"]) == ({"deployed": "1.4.2"}, "dag=release", ["a"])
    assert api.states(execution_id) == ["NOT_STARTED", "STARTED", "RUNNING", "COMPLETED"]
    assert api.track(execution_id)["started_by"] == "dag=release"


def test_tasks_are_shown_only_when_expanded(api: CodeStream) -> None:
    execution_id = api.start()
    api.ended(execution_id)
    assert "tasks" not in api.execution(execution_id)["stages"]["Build"]
    build = api.execution(execution_id, expand="PIPELINE_STAGE_TASK")["stages"]["Build"]
    assert build["taskOrder"] == ["Unit,Lint"]
    assert build["tasks"]["Lint"]["id"] == f"{execution_id}~0.1"


def test_two_starts_are_two_executions_with_growing_index(api: CodeStream) -> None:
    replies = [
        api.call("POST", "/pipelines/wholesale/Smoke test/executions", {"comments": "same"}).json() for _ in "ab"
    ]
    assert [reply["executionIndex"] for reply in replies] == [1, 2]
    assert replies[0]["executionId"] != replies[1]["executionId"]
    by_index = api.get("/pipelines/wholesale/Smoke test/executions/2")
    assert by_index["id"] == replies[1]["executionId"]


def test_the_start_answer_can_be_the_old_one(api: CodeStream) -> None:
    api.switch(start_status=200, legacy_start_reply=True, execution_links="singular")
    reply = api.call("POST", "/pipelines/retail/Deploy shop/executions", {"comments": "x"})
    assert reply.status_code == 200
    assert "executionId" not in reply.json()
    assert reply.json()["executionLink"].startswith("codestream/api/execution/")


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("Disabled pipeline", {}, 400),
        ("Deploy shop", {"input": {"tag": ""}}, 400),
        ("Deploy shop", {"input": "text"}, 400),
        ("Deploy shop", {"comments": 1}, 400),
        ("Deploy shop", None, 400),
        ("No such pipeline", {}, 404),
    ],
)
def test_a_start_that_cannot_be_is_refused_and_starts_nothing(
    api: CodeStream, name: str, body: Any, status: int
) -> None:
    before = api.control.get("executions", system="code_stream")
    reply = api.call("POST", f"/pipelines/retail/{name}/executions", body)
    assert (reply.status_code, reply.json()["status"]) == (status, status)
    assert api.control.get("executions", system="code_stream") == before


def test_a_user_who_may_only_read_is_refused_without_a_body(api: CodeStream, viewer: CodeStream) -> None:
    assert viewer.rows("/pipelines")
    reply = viewer.call("POST", "/pipelines/retail/Deploy shop/executions", {})
    assert (reply.status_code, reply.content) == (403, b"")
    assert viewer.start("Smoke test", "wholesale")


def test_an_execution_above_the_concurrency_waits_in_a_queue(api: CodeStream) -> None:
    api.create_pipeline("Narrow", {"Work": {"type": "CI"}}, concurrency=1)
    first, second = api.start("Narrow"), api.start("Narrow")
    api.reaches(second, "QUEUED")
    assert api.execution(first)["status"] != "COMPLETED"
    assert api.ended(second)["status"] == "COMPLETED"
    assert api.track(second)["states"][-1]["at"] > api.track(first)["states"][-1]["at"]


def test_names_with_blanks_slashes_and_quotes_can_be_addressed(api: CodeStream) -> None:
    api.create_pipeline("it's a/b ü", {"Work": {"type": "CI"}})
    reply = api.call("GET", "/pipelines/retail/it%27s%20a%2Fb%20%C3%BC")
    assert reply.json()["name"] == "it's a/b ü"
    assert len(api.rows("/pipelines", filter="name eq 'it''s a/b ü' and project eq 'retail'")) == 1


# --- the state machine ---


def test_a_failed_task_fails_stage_and_execution(api: CodeStream) -> None:
    execution_id = api.start("Always fails")
    assert api.ended(execution_id)["statusMessage"] == "Prod.Deploy: Script execution failed."
    prod = api.execution(execution_id, expand="PIPELINE_STAGE_TASK")["stages"]["Prod"]
    assert (prod["status"], prod["tasks"]["Deploy"]["failureMessage"]) == ("FAILED", "Script execution failed.")


@pytest.mark.parametrize(
    ("task", "script", "status"),
    [
        ({"type": "CI", "ignoreFailure": True}, {"fails": "exit 1"}, "FAILED_CONTINUE"),
        ({"type": "CI", "preCondition": "${input.go} == 'yes'"}, {}, "SKIPPED"),
        ({"type": "CI", "preCondition": "${input.go} != 'yes'"}, {}, "COMPLETED"),
    ],
)
def test_an_ignored_failure_and_a_false_condition_do_not_fail_the_execution(
    api: CodeStream, task: dict[str, Any], script: dict[str, Any], status: str
) -> None:
    api.create_pipeline("Odd", {"Work": task})
    api.do("script", pipeline="Odd", task="One.Work", **script)
    execution_id = api.start("Odd", input={"go": "no"})
    assert api.ended(execution_id)["status"] == "COMPLETED"
    stage = api.execution(execution_id, expand="PIPELINE_STAGE_TASK")["stages"]["One"]
    assert stage["tasks"]["Work"]["status"] == status


@pytest.mark.parametrize("ends", ["completed", "failed"])
def test_a_failure_can_roll_back_in_an_execution_of_its_own(api: CodeStream, ends: str) -> None:
    api.switch(rollback=ends)
    execution_id = api.start("Always fails", comments="mine")
    assert api.reaches(execution_id, "ROLLBACK_COMPLETED", "ROLLBACK_FAILED")["status"] == f"ROLLBACK_{ends.upper()}"
    assert api.states(execution_id)[-3:] == ["FAILED", "ROLLING_BACK", f"ROLLBACK_{ends.upper()}"]
    rollbacks = api.rows("/executions", filter="_rollback eq 'true'")
    assert [row["name"] for row in rollbacks] == ["Always fails"]


def test_a_pipeline_task_starts_a_nested_execution(api: CodeStream) -> None:
    api.create_pipeline("Outer", {"Call": {"type": "Pipeline", "input": {"pipeline": "Smoke test"}}})
    assert api.ended(api.start("Outer"))["status"] == "COMPLETED"
    assert [row["name"] for row in api.rows("/executions", filter="_nested eq 'true'")] == ["Smoke test"]


def test_pause_resume_and_cancel_go_through_their_transient_states(api: CodeStream) -> None:
    api.control.post("reset", speed=10)
    api.headers = {"Authorization": f"Bearer {api.bearer('release-bot')}"}
    execution_id = api.start()
    api.reaches(execution_id, "RUNNING")
    assert api.act(execution_id, "pause").json()["status"] == "PAUSING"
    api.reaches(execution_id, "PAUSED")
    assert api.act(execution_id, "RESUME").json()["status"] == "RESUMING"
    api.reaches(execution_id, "RUNNING")
    assert api.act(execution_id, "cancel", {"reason": "changed my mind"}).json()["status"] == "CANCELING"
    ended = api.ended(execution_id)
    assert (ended["status"], ended["reason"]) == ("CANCELED", "changed my mind")
    assert ended["statusMessage"] == "Prod.Deploy: Execution canceled by release-bot."
    assert len(api.track(execution_id)["cancels"]) == 1


@pytest.mark.parametrize("status", [400, 409, 500, 200])
def test_an_action_in_a_wrong_state_is_refused_as_the_switch_says(api: CodeStream, status: int) -> None:
    api.switch(wrong_state_status=status)
    execution_id = api.start()
    api.ended(execution_id)
    for action in ("cancel", "pause", "resume"):
        assert api.act(execution_id, action).status_code == status
    assert api.execution(execution_id)["status"] == "COMPLETED"
    assert len(api.track(execution_id)["cancels"]) == 1


def test_a_cancel_can_lose_the_race(api: CodeStream) -> None:
    api.switch(cancel_loses_race=True)
    execution_id = api.start()
    assert api.act(execution_id, "cancel").json()["status"] == "CANCELING"
    assert api.ended(execution_id)["status"] == "COMPLETED"


def test_a_cancelled_rollback_and_its_parent_stay_cancelled(api: CodeStream) -> None:
    api.control.post("reset", speed=10)
    api.headers = {"Authorization": f"Bearer {api.bearer('release-bot')}"}
    api.switch(rollback="completed")
    execution_id = api.start("Always fails")
    api.reaches(execution_id, "ROLLING_BACK")
    api.act(execution_id, "cancel")
    api.reaches(execution_id, "CANCELED")
    api.control.post("clock", advance=60)
    assert api.execution(execution_id)["status"] == "CANCELED"


def test_an_unknown_action_is_refused(api: CodeStream) -> None:
    assert api.act(api.start(), "dance").status_code == 400


def test_tags_can_be_set(api: CodeStream) -> None:
    execution_id = api.start()
    assert api.act(execution_id, "tag", {"tags": ["x"]}).json()["tags"] == ["x"]
    api.switch(tags_form="objects")
    assert api.execution(execution_id)["tags"] == [{"key": "x", "value": ""}]


def test_a_deleted_execution_is_not_found(api: CodeStream) -> None:
    execution_id = api.start()
    assert api.call("DELETE", f"/executions/{execution_id}").status_code == 200
    assert api.call("GET", f"/executions/{execution_id}").status_code == 404


def test_a_forced_state_stays_until_it_is_forced_again(api: CodeStream) -> None:
    execution_id = api.start()
    api.force(execution_id, "WAITING")
    time.sleep(0.3)
    assert api.execution(execution_id)["status"] == "WAITING"
    api.force(execution_id, "RUNNING")
    assert api.ended(execution_id)["status"] == "COMPLETED"


def test_a_status_can_be_shown_as_an_unknown_word(api: CodeStream) -> None:
    api.switch(shown_status={"COMPLETED": "HIBERNATING"})
    execution_id = api.start()
    api.reaches(execution_id, "HIBERNATING")
    api.switch(shown_status={})
    assert api.execution(execution_id)["status"] == "COMPLETED"


# --- lists ---


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name eq 'Smoke test'", ["Smoke test", "Smoke test"]),
        ("name eq 'Smoke test' and project eq 'retail'", ["Smoke test"]),
        ("startswith(name, 'Deploy')", ["Deploy shop with approval", "Deploy shop"]),
        ("toupper(name) eq 'ALWAYS FAILS'", ["Always fails"]),
        ("substringof('approval',tolower(name))", ["Deploy shop with approval"]),
        (
            "((name eq 'Always fails') or (name eq 'Deploy shop')) and (enabled eq 'true')",
            ["Deploy shop", "Always fails"],
        ),
        ("enabled eq 'false'", ["Disabled pipeline"]),
        ("not (project eq 'retail')", ["Smoke test"]),
        ("concurrency lt 10", []),
        ("name eq 'smoke test'", []),
    ],
)
def test_the_filter_grammar_selects(api: CodeStream, text: str, names: list[str]) -> None:
    assert [row["name"] for row in api.rows("/pipelines", filter=text)] == names


@pytest.mark.parametrize(
    "text",
    ["name = 'x'", "name eq x", "enabled eq true", "name eq 'x", "eq", "(name eq 'x'", "name eq 'x' or", "foo(name)"],
)
def test_what_is_outside_the_filter_grammar_is_refused(api: CodeStream, text: str) -> None:
    assert api.call("GET", "/pipelines", **{"$filter": text}).status_code == 400
    api.switch(unknown_filter=200)
    assert len(api.rows("/pipelines", filter=text)) == 6


def test_two_filters_are_refused(api: CodeStream) -> None:
    reply = api.call("GET", "/pipelines", **{"$filter": ["name eq 'x'", "name eq 'y'"]})
    assert reply.status_code == 400


def test_lists_are_objects_of_25_rows_by_name_descending(api: CodeStream) -> None:
    api.do("insert_executions", pipeline="Smoke test", count=30)
    page = api.get("/executions")
    assert isinstance(page["documents"], dict)
    assert (page["count"], page["totalCount"], len(page["links"])) == (25, 32, 25)
    assert {page["documents"][link]["name"] for link in page["links"]} == {"Smoke test"}


def test_pages_of_100_hold_every_execution_once(api: CodeStream) -> None:
    api.do("insert_executions", pipeline="Smoke test", count=248)
    order = {"$orderby": "_requestTimeInMicros desc", "$top": 100}
    pages = [api.get("/executions", **order, **{"$skip": skip}) for skip in (0, 100, 200)]
    assert [page["count"] for page in pages] == [100, 100, 50]
    times = [page["documents"][link]["_requestTimeInMicros"] for page in pages for link in page["links"]]
    assert times == sorted(times, reverse=True)
    assert len({link for page in pages for link in page["links"]}) == 250


def test_rows_can_arrive_between_two_pages(api: CodeStream) -> None:
    api.do("insert_executions", pipeline="Smoke test", count=10)
    api.switch(insert_per_page=3)
    query = {"orderby": "_requestTimeInMicros desc", "top": 5}
    first = [row["id"] for row in api.rows("/executions", **query)]
    second = [row["id"] for row in api.rows("/executions", **query, skip=5)]
    assert set(first) & set(second) == set(first[2:])


@pytest.mark.parametrize(
    ("query", "count"),
    [({"$top": 2}, 2), ({"$skip": 5}, 1), ({"$size": 4, "page": 1}, 2), ({"$top": 0}, 0), ({"page": 3}, 6)],
)
def test_paging_parameters(api: CodeStream, query: dict[str, int], count: int) -> None:
    page = api.get("/pipelines", **query)
    assert (page["count"], page["totalCount"]) == (count, 6)


@pytest.mark.parametrize("query", [{"$top": "many"}, {"$skip": "-1"}, {"$orderby": "name sideways"}])
def test_wrong_paging_is_refused(api: CodeStream, query: dict[str, str]) -> None:
    assert api.call("GET", "/pipelines", **query).status_code == 400


def test_a_link_can_be_missing_from_the_documents(api: CodeStream) -> None:
    api.switch(omit_document=True)
    page = api.get("/pipelines")
    assert len(page["links"]) - len(page["documents"]) == 1


# --- approvals ---


def waiting(api: CodeStream) -> tuple[str, dict[str, Any]]:
    execution_id = api.start("Deploy shop with approval")
    api.reaches(execution_id, "WAITING")
    return execution_id, api.operation(execution_id)


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_an_approval_lets_the_execution_go_on(api: CodeStream, method: str) -> None:
    execution_id, operation = waiting(api)
    assert (operation["status"], operation["approvers"], len(operation["index"])) == ("ACTIVE", ["release-bot"], 6)
    body = {"status": "Approved", "responseMessage": "go"}
    resource = api.call(method, f"/user-operations/{operation['id']}", body).json()
    assert (resource["status"], resource["respondedBy"], resource["pipeline"]) == (
        "APPROVED",
        "release-bot",
        "Deploy shop with approval",
    )
    assert not {"project", "_link", "executionLink", "pipelineName"} & set(resource)
    assert api.ended(execution_id)["status"] == "COMPLETED"
    assert "RESUMING" in api.states(execution_id)


def test_a_rejection_fails_the_execution_for_good(api: CodeStream) -> None:
    execution_id, operation = waiting(api)
    api.call("PATCH", f"/user-operations/{operation['id']}", {"status": "REJECTED"})
    assert api.ended(execution_id)["statusMessage"].startswith("Prod.Approve: User Operation request has been rejected")
    again = api.call("PATCH", f"/user-operations/{operation['id']}", {"status": "Approved"})
    assert (again.status_code, again.json()["status"]) == (200, "REJECTED")


def test_an_approval_expires_and_fails_the_execution(api: CodeStream) -> None:
    execution_id, operation = waiting(api)
    api.control.post("clock", advance=3 * 86_400 + 1)
    api.headers = {"Authorization": f"Bearer {api.bearer('release-bot')}"}
    assert api.execution(execution_id)["status"] == "FAILED"
    assert api.get(f"/user-operations/{operation['id']}")["status"] == "EXPIRED"


@pytest.mark.parametrize("status", [200, 403])
def test_who_is_no_approver_changes_nothing(api: CodeStream, viewer: CodeStream, status: int) -> None:
    _, operation = waiting(api)
    api.switch(unauthorised_answer=status)
    reply = viewer.call("PATCH", f"/user-operations/{operation['id']}", {"status": "Approved"})
    assert reply.status_code == status
    assert api.get(f"/user-operations/{operation['id']}")["status"] == "ACTIVE"


@pytest.mark.parametrize("form", ["objects", "strings"])
def test_a_batch_reports_its_failures(api: CodeStream, form: str) -> None:
    _, operation = waiting(api)
    api.switch(batch_errors=form)
    body = {"ids": [operation["id"], "nobody"], "status": "Approved"}
    reply = api.call("POST", "/batch-user-operations", body).json()
    assert (reply["success"], reply["failure"]) == (1, 1)
    assert isinstance(reply["errors"][0], dict if form == "objects" else str)


@pytest.mark.parametrize("body", [{"status": "Maybe"}, {}, None])
def test_a_wrong_answer_is_refused(api: CodeStream, body: Any) -> None:
    _, operation = waiting(api)
    assert api.call("PATCH", f"/user-operations/{operation['id']}", body).status_code == 400


def test_an_approval_can_cancel_earlier_ones_of_the_same_task(api: CodeStream) -> None:
    first, earlier = waiting(api)
    second, later = waiting(api)
    body = {"status": "Approved", "cancelPreviousPendingUserOp": True}
    api.call("PATCH", f"/user-operations/{later['id']}", body)
    assert api.get(f"/user-operations/{earlier['id']}")["status"] == "CANCELED"
    assert api.execution(first)["status"] == "FAILED"
    assert api.ended(second)["status"] == "COMPLETED"


@pytest.mark.parametrize("how", ["cancelled", "forced"])
def test_an_execution_that_ends_otherwise_withdraws_its_approval(api: CodeStream, how: str) -> None:
    execution_id, operation = waiting(api)
    if how == "forced":
        api.force(execution_id, "FAILED")
    else:
        api.act(execution_id, "cancel")
    api.ended(execution_id)
    assert api.get(f"/user-operations/{operation['id']}")["status"] == "CANCELED"


# --- events ---


def seeded(api: CodeStream, kind: str, status: str | None) -> dict[str, Any]:
    rows = api.rows(f"/{kind}-events", orderby="_createTimeInMicros desc", top=100)
    return next(row for row in rows if row["executionStatus"] == status)


@pytest.mark.parametrize("kind", ["registry", "git", "gerrit"])
def test_the_seed_has_events_of_every_fate(api: CodeStream, kind: str) -> None:
    rows = api.rows(f"/{kind}-events")
    assert sorted(str(row["executionStatus"]) for row in rows) == ["COMPLETED", "FAILED", "None", "None"]
    now = time.time() * 1e6
    assert sum(row["_createTimeInMicros"] < now - 86_400e6 for row in rows) == 1
    failed = seeded(api, kind, None)
    assert (failed["executionLink"], failed["executionIndex"]) == (None, None)
    assert failed["message"] == "Invalid Oauth Refresh token. Verify webhook configuration."


def link_of(api: CodeStream, event: dict[str, Any], kind: str = "registry") -> str | None:
    return api.get(f"/{kind}-events/{event['id']}")["executionLink"]


@pytest.mark.parametrize("kind", ["registry", "git", "gerrit"])
def test_a_rerun_starts_the_pipeline_of_the_event(api: CodeStream, kind: str) -> None:
    event = seeded(api, kind, None)
    reply = api.call("POST", f"/{kind}-events/{event['id']}", action="Rerun").json()
    execution_id = reply["executionLink"].rpartition("/")[2]
    assert api.execution(execution_id)["input"]["tag"] == event.get("tag", "latest")
    assert api.ended(execution_id)["status"] == "COMPLETED"


def test_a_rerun_can_change_the_link_later(api: CodeStream) -> None:
    api.switch(rerun="link_later", rerun_delay=0.3)
    event = seeded(api, "registry", "FAILED")
    reply = api.call("POST", f"/registry-events/{event['id']}", action="rerun").json()
    assert reply["executionLink"] == event["executionLink"]
    until(lambda: link_of(api, event), lambda link: link != event["executionLink"])


def test_a_rerun_can_make_a_new_event_or_only_a_message(api: CodeStream) -> None:
    event = seeded(api, "registry", None)
    api.switch(rerun="new_event")
    api.call("POST", f"/registry-events/{event['id']}", action="rerun")
    assert len(api.rows("/registry-events")) == 5
    api.switch(rerun="message_only")
    before = len(api.control.get("executions"))
    api.call("POST", f"/registry-events/{event['id']}", action="rerun")
    assert link_of(api, event) is None
    assert len(api.control.get("executions")) == before


@pytest.mark.parametrize(("mode", "told"), [("new_event", False), ("new_event_in_reply", True)])
def test_a_new_event_of_a_rerun_is_of_the_same_origin_and_told_in_the_answer_or_not(
    api: CodeStream, mode: str, told: bool
) -> None:
    event = seeded(api, "git", None)
    known = {row["id"] for row in api.rows("/git-events")}
    api.switch(rerun=mode)
    reply = api.call("POST", f"/git-events/{event['id']}", action="rerun").json()
    (again,) = [row for row in api.rows("/git-events") if row["id"] not in known]
    assert reply["id"] == (again["id"] if told else event["id"])
    assert bool(reply["executionLink"]) is told
    same = ("pipeline", "project", "repo", "commitId", "targetBranch", "name")
    assert {name: again[name] for name in same} == {name: event[name] for name in same}
    assert api.ended(again["executionLink"].rpartition("/")[2])["status"] == "COMPLETED"


@pytest.mark.parametrize("seconds", [-3, 3])
def test_what_a_rerun_leads_to_is_dated_by_the_clock_of_the_server(api: CodeStream, seconds: float) -> None:
    event = seeded(api, "registry", None)
    api.control.post("clock", advance=seconds)
    api.switch(rerun="new_event_in_reply")
    reply = api.call("POST", f"/registry-events/{event['id']}", action="rerun")
    execution = api.execution(reply.json()["executionLink"].rpartition("/")[2])
    there = parsedate_to_datetime(reply.headers["Date"]).timestamp()
    assert there == pytest.approx(time.time() + seconds, abs=1.5)
    for micros in (execution["_requestTimeInMicros"], reply.json()["_createTimeInMicros"]):
        assert micros / 1e6 == pytest.approx(there, abs=1.5)


@pytest.mark.parametrize("exactly", [False, True])
def test_a_server_can_have_words_of_its_own(api: CodeStream, exactly: bool) -> None:
    api.switch(words={"rerun": "RERUN_EVENT", "approve": "Yes"}, case_sensitive_actions=exactly)
    event = seeded(api, "git", None)
    where = f"/git-events/{event['id']}"
    for word in ("Rerun", "RERUN_EVENT2", *(["rerun_event"] if exactly else [])):
        reply = api.call("POST", where, action=word)
        assert (reply.status_code, "Resume or RERUN_EVENT" in reply.json()["message"]) == (400, True)
    assert api.call("POST", where, action="RERUN_EVENT" if exactly else "rerun_event").ok
    assert api.call("POST", where, action="Resume").status_code == 400, "what runs cannot be resumed"
    operation = api.operation(api.start("Deploy shop with approval"))
    path = f"/user-operations/{operation['id']}"
    assert "Yes or Rejected" in api.call("PATCH", path, {"status": "Approved"}).json()["message"]
    assert api.call("PATCH", path, {"status": "YES"}).ok
    assert api.get(path)["status"] == "APPROVED"


def test_a_resume_goes_on_with_the_failed_execution(api: CodeStream) -> None:
    event = seeded(api, "git", "FAILED")
    execution_id = event["executionLink"].rpartition("/")[2]
    api.do("script", pipeline="Always fails", task="Prod.Deploy")
    assert api.act(execution_id, "resume").status_code == 400
    reply = api.call("POST", f"/git-events/{event['id']}", action="Resume").json()
    assert reply["executionLink"] == event["executionLink"]
    assert api.reaches(execution_id, "COMPLETED")
    assert api.states(execution_id)[-3:] == ["RESUMING", "RUNNING", "COMPLETED"]


@pytest.mark.parametrize(
    ("status", "action", "answer"),
    [(None, "resume", 400), ("COMPLETED", "resume", 400), (None, "dance", 400), (None, "", 400)],
)
def test_an_event_action_that_cannot_be_is_refused(
    api: CodeStream, status: str | None, action: str, answer: int
) -> None:
    event = seeded(api, "registry", status)
    assert api.call("POST", f"/registry-events/{event['id']}", action=action).status_code == answer


def test_who_may_only_read_cannot_rerun(api: CodeStream, viewer: CodeStream) -> None:
    event = seeded(viewer, "registry", None)
    assert viewer.call("POST", f"/registry-events/{event['id']}", action="rerun").status_code == 403


def test_a_push_after_the_webhook_is_repaired_starts_the_pipeline(api: CodeStream) -> None:
    hook = api.rows("/registry-webhooks")[0]
    assert hook["refreshToken"] == "sandbox-expired-refresh-token"
    api.call("PUT", f"/registry-webhooks/{hook['id']}", hook | {"refreshToken": "sandbox-refresh-token"})
    api.control.post("actions", system="quay", action="push_image", repository="acme/shop", tag="2.0.0")
    event = api.rows("/registry-events", filter="tag eq '2.0.0'")[0]
    execution = api.execution(event["executionLink"].rpartition("/")[2])
    assert (execution["name"], execution["input"]) == ("Deploy shop", {"tag": "2.0.0"})


def test_a_disabled_webhook_hears_nothing(api: CodeStream) -> None:
    hook = api.rows("/registry-webhooks")[0]
    assert api.call("PATCH", f"/registry-webhooks/{hook['id']}", {"enabled": False}).json()["enabled"] is False
    api.control.post("actions", system="quay", action="push_image", repository="acme/shop", tag="2.0.0")
    assert api.rows("/registry-events", filter="tag eq '2.0.0'") == []


def test_a_gerrit_change_can_be_triggered_by_hand(api: CodeStream) -> None:
    body = {"changeId": "I123", "project": "retail", "trigger": "shop-changes"}
    reply = api.call("POST", "/gerrit-events", body).json()
    assert reply == {"message": "Manual Trigger Successful", "pipelinesTriggered": ["Deploy shop"]}
    event = api.rows("/gerrit-events", filter="triggerType eq 'MANUAL'")[0]
    assert event["message"] == "Execution Started"
    assert api.call("POST", "/gerrit-events", body | {"trigger": "other"}).status_code == 404
    assert api.call("POST", "/gerrit-events", {"changeId": "I123"}).status_code == 400


def test_a_delivered_event_can_be_deleted(api: CodeStream) -> None:
    event = api.do("deliver", kind="git", fields={"commitId": "abc"}, refused="no")
    assert event["commitId"] == "abc"
    assert api.call("DELETE", f"/git-events/{event['id']}").status_code == 200
    assert api.call("GET", f"/git-events/{event['id']}").status_code == 404


def test_odd_forms_of_an_event_follow_the_switches(api: CodeStream) -> None:
    event = api.do("deliver", kind="git")
    assert event["serverURL"] == "https://git.example.com"
    assert event["timeStampInMicros"].endswith("+0000")
    api.switch(server_url="object", event_time="int", execution_links="host", project_id_field=False)
    event = api.get(f"/git-events/{event['id']}")
    assert event["serverURL"]["host"] == "git.example.com"
    assert isinstance(event["timeStampInMicros"], int)
    assert event["executionLink"].startswith("https://")
    assert "_projectId" not in event


# --- stored objects ---


@pytest.mark.parametrize(
    ("path", "spec"),
    [
        ("git-webhooks", {"name": "w", "repoName": "shop"}),
        ("registry-webhooks", {"name": "w", "repoName": "acme/other"}),
        ("gerrit-listeners", {"name": "w", "apiToken": "t", "endpoint": "e", "description": "d"}),
        ("gerrit-triggers", {"name": "w", "branch": "b", "gerritProject": "p", "listener": "gerrit"}),
        ("variables", {"name": "w", "description": "d", "type": "REGULAR", "value": "v"}),
        ("pipelines", {"name": "w"}),
    ],
)
def test_stored_objects_live_by_id_and_by_name(api: CodeStream, path: str, spec: dict[str, Any]) -> None:
    created = api.call("POST", f"/{path}", spec | {"project": "retail"}).json()
    assert created["_link"] == f"/codestream/api/{path}/{created['id']}"
    assert api.call("POST", f"/{path}", spec | {"project": "retail"}).status_code == 409
    assert api.call("POST", f"/{path}", {}).status_code == 400
    assert api.get(f"/{path}/retail/w")["id"] == created["id"]
    assert api.call("PUT", f"/{path}/{created['id']}", spec | {"description": "new"}).json()["description"] == "new"
    assert api.call("DELETE", f"/{path}/retail/w").status_code == 200
    assert api.call("GET", f"/{path}/{created['id']}").status_code == 404


def test_git_webhooks_cannot_be_patched(api: CodeStream) -> None:
    hook = api.rows("/git-webhooks")[0]
    assert api.call("PATCH", f"/git-webhooks/{hook['id']}", {"enabled": False}).status_code == 404


def test_secret_variables_are_masked(api: CodeStream) -> None:
    spec = {"name": "s", "description": "d", "type": "SECRET", "value": "hush", "project": "retail"}
    assert "hush" not in api.call("POST", "/variables", spec).text
    assert api.get("/variables/retail/s")["value"] == "*****"


def test_pipelines_can_be_enabled_and_cloned(api: CodeStream) -> None:
    reply = api.call("PATCH", "/pipelines/retail/Disabled pipeline", {"enabled": True})
    assert reply.json()["enabled"] is True
    assert api.start("Disabled pipeline")
    clone = api.call("POST", "/pipelines/retail/Deploy shop", {"requestType": "CLONE", "name": "Copy"}).json()
    assert (clone["name"], clone["stageOrder"]) == ("Copy", ["Build", "Prod"])


def test_pipelines_travel_as_yaml(api: CodeStream) -> None:
    def load(action: str) -> list[dict[str, Any]]:
        url = f"{api.root}{API}/import"
        reply = requests.post(url, params={"action": action}, data=text, headers=api.headers, timeout=5)
        assert reply.headers["content-type"].startswith("application/x-yaml")
        return list(yaml.safe_load_all(reply.text))

    text = api.call("GET", "/export", pipelines="Deploy shop", project="retail").text
    assert [item["status"] for item in load("create")] == ["FAILED"]
    assert [item["status"] for item in load("apply")] == ["UPDATED"]
    text = text.replace("name: Deploy shop", "name: Copied")
    assert [item["status"] for item in load("create")] == ["CREATED"]
    assert api.get("/pipelines/retail/Copied")["stageOrder"] == ["Build", "Prod"]


class Receiver(BaseHTTPRequestHandler):
    received: list[tuple[str, Any]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.received.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_notifications_of_a_pipeline_are_delivered(api: CodeStream) -> None:
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    url = f"http://127.0.0.1:{server.server_port}"
    events = ("STARTED", "SUCCESS", "FAILURE")
    hooks = [{"event": event, "action": "POST", "url": f"{url}/{event}"} for event in events]
    api.create_pipeline("Loud", {"Work": {"type": "CI"}}, notifications={"webhook": hooks})
    with serving(server):
        execution_id = api.start("Loud")
        until(lambda: [path for path, _ in Receiver.received], lambda paths: {*paths} == {"/STARTED", "/SUCCESS"})
    assert {body["executionId"] for _, body in Receiver.received} == {execution_id}


def test_project_ids_can_be_looked_up(api: CodeStream) -> None:
    url = f"{api.root}/iaas/api/projects"
    reply = requests.get(url, params={"$filter": "name eq 'retail'"}, headers=api.headers, timeout=5).json()
    assert [each["id"] for each in reply["content"]] == [api.rows("/pipelines", top=1)[0]["_projectId"]]
