"""What the Code Stream stand-in promises, over real HTTP and against the contract, never through our client."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import yaml

from tests.support.code_stream_calls import API, CodeStream
from tests.support.receiver import Receiver
from tests.support.until import until


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
        reply = requests.post(url, params={"action": action}, data=text, headers=api.headers, timeout=60)
        assert reply.headers["content-type"].startswith("application/x-yaml")
        return list(yaml.safe_load_all(reply.text))

    text = api.call("GET", "/export", pipelines="Deploy shop", project="retail").text
    assert [item["status"] for item in load("create")] == ["FAILED"]
    assert [item["status"] for item in load("apply")] == ["UPDATED"]
    text = text.replace("name: Deploy shop", "name: Copied")
    assert [item["status"] for item in load("create")] == ["CREATED"]
    assert api.get("/pipelines/retail/Copied")["stageOrder"] == ["Build", "Prod"]


def test_notifications_of_a_pipeline_are_delivered(api: CodeStream, receiver: Receiver) -> None:
    events = ("STARTED", "SUCCESS", "FAILURE")
    hooks = [{"event": event, "action": "POST", "url": f"{receiver.url}/{event}"} for event in events]
    api.create_pipeline("Loud", {"Work": {"type": "CI"}}, notifications={"webhook": hooks})
    execution_id = api.start("Loud")
    until(lambda: {each["path"] for each in receiver.received}, lambda paths: paths == {"/STARTED", "/SUCCESS"})
    assert {body["executionId"] for body in receiver.bodies()} == {execution_id}


def test_project_ids_can_be_looked_up(api: CodeStream) -> None:
    url = f"{api.root}/iaas/api/projects"
    reply = requests.get(url, params={"$filter": "name eq 'retail'"}, headers=api.headers, timeout=60).json()
    assert [each["id"] for each in reply["content"]] == [api.rows("/pipelines", top=1)[0]["_projectId"]]
