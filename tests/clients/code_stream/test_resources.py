"""Stored objects: created, read, changed and deleted alike, without showing secrets."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.code_stream.fields import secrets_in, without_secrets
from airflow_provider.exceptions import (
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from tests.support.code_stream_api import Api
from tests.support.scripted import Scripted

SPECS: dict[str, dict[str, Any]] = {
    "pipelines": {"name": "New one", "project": "retail", "enabled": False, "stageOrder": [], "stages": {}},
    "variables": {"name": "colour", "description": "d", "type": "REGULAR", "value": "blue", "project": "retail"},
    "git_webhooks": {"name": "push", "project": "retail", "endpoint": "git", "secretToken": "hook-secret-1"},
    "registry_webhooks": {"name": "push", "project": "retail", "refreshToken": "hook-secret-2"},
    "gerrit_listeners": {
        "name": "l",
        "description": "",
        "endpoint": "g",
        "apiToken": "hook-secret-3",
        "project": "retail",
    },
    "gerrit_triggers": {"name": "t", "branch": "b", "gerritProject": "p", "listener": "l", "project": "retail"},
    "endpoints": {
        "name": "ci",
        "description": "",
        "project": "retail",
        "type": "jenkins",
        "properties": {"url": "https://jenkins.example.com", "username": "bot", "password": "endpoint-secret-4"},
    },
}
INTEGRATION = {"name": "Timer", "description": "waits", "project": "retail", "yaml": "runtime: python3"}


@pytest.mark.parametrize("kind", SPECS)
def test_stored_objects_are_created_read_changed_and_deleted_alike(client: CodeStreamClient, kind: str) -> None:
    resource, spec = getattr(client, kind), SPECS[kind]
    made = resource.create(spec)
    assert resource.get(made["id"])["name"] == spec["name"]
    assert resource.get(("retail", spec["name"]))["id"] == made["id"]
    assert made["id"] in [each["id"] for each in resource.list("project eq 'retail'")]
    assert resource.update(made["id"], spec | {"description": "changed"})["description"] == "changed"
    if hasattr(resource, "patch"):
        field = "connected" if kind == "gerrit_listeners" else "enabled"
        assert resource.patch(("retail", spec["name"]), **{field: False})[field] is False
    if hasattr(resource, "clone"):
        assert resource.clone(made["id"], "a copy / of it")["id"] == resource.get(("retail", "a copy / of it"))["id"]
    assert resource.delete(made["id"])["id"] == made["id"]
    with pytest.raises(NotFoundError):
        resource.get(made["id"])


def test_endpoints_are_tried_and_say_which_types_there_are(client: CodeStreamClient) -> None:
    spec = SPECS["endpoints"]
    assert client.endpoints.validate(spec)["status"] == "COMPLETED"
    assert client.endpoints.validate({**spec, "type": "abacus"})["status"] == "FAILED"
    types = [each["tileId"] for each in client.endpoints.list_types()["tiles"]]
    assert "password" in client.endpoints.get_type("jenkins")
    assert "jenkins" in types
    with pytest.raises(NotFoundError):
        client.endpoints.get_type("abacus")
    (certificate,) = client.endpoints.get_certificate(url="https://server.example.com")["certificates"]
    assert certificate["issuedTo"]["commonName"] == "server.example.com"


def test_secrets_of_an_endpoint_are_masked_by_their_names_and_its_other_properties_are_not(api: Api) -> None:
    properties = {"url": "https://jenkins.example.com", "privateToken": "endpoint-secret-5", "password": "*****"}
    api.routes["GET", "/endpoints/e"] = {"id": "e", "properties": properties}
    api.client.endpoints.get("e")
    shown = api.client.transport.redact("https://jenkins.example.com endpoint-secret-5 *****")
    assert shown == "https://jenkins.example.com *** *****"


def test_a_custom_integration_is_a_draft_and_its_versions(client: CodeStreamClient) -> None:
    integrations = client.custom_integrations
    draft = integrations.create(INTEGRATION)["id"]
    assert integrations.get(draft)["yaml"] == INTEGRATION["yaml"]
    assert draft in [each["id"] for each in integrations.list("project eq 'retail'")]
    first = integrations.create_version(draft, "1.0 a/b", change_log="the first one")
    assert (first["version"], first["status"], first["changeLog"]) == ("1.0 a/b", "NONE", "the first one")
    integrations.update(draft, {**INTEGRATION, "yaml": "runtime: nodejs"})
    integrations.create_version(draft, "2", description="faster")
    assert integrations.get_version(draft, "1.0 a/b")["yaml"] == "runtime: python3"
    assert {each["version"] for each in integrations.list_versions(draft)} == {"1.0 a/b", "2"}
    assert integrations.release_version(draft, "2")["status"] == "RELEASED"
    assert integrations.patch_version(draft, "2", latest=True)["sourceVersion"] == "2"
    assert integrations.deprecate_version(draft, "2")["status"] == "DEPRECATED"
    assert integrations.withdraw_version(draft, "2")["status"] == "NONE"
    assert integrations.restore_version(draft, "1.0 a/b")["yaml"] == "runtime: python3"
    assert integrations.delete_version(draft, "2")["version"] == "2"
    with pytest.raises(NotFoundError):
        integrations.get_version(draft, "2")
    assert integrations.delete(draft)["id"] == draft
    with pytest.raises(NotFoundError):
        integrations.get(draft)


def test_a_text_of_any_type_is_accepted_where_one_is_documented(api: Api) -> None:
    api.routes["GET", "/gerrit-listeners/l1/projects"] = (200, {"Content-Type": "text/plain"}, b"shop, tools")
    assert api.client.gerrit_listeners.list_projects("l1") == "shop, tools"
    assert [each.headers["Accept"] for each in api.called("GET", "/projects")] == ["*/*"]


def test_listeners_are_tried_and_list_their_projects(client: CodeStreamClient) -> None:
    assert client.gerrit_listeners.validate(SPECS["gerrit_listeners"])["_reason"] == ""
    assert client.gerrit_listeners.list_projects(("retail", "gerrit")) == ["shop"]


def test_an_ignored_approval_is_reported_whatever_its_approvers_are(scripted: Scripted) -> None:
    scripted.script = [(200, {}, {"token": "bearer-1"})]
    scripted.always = (200, {}, {"id": "o-1", "status": "ACTIVE", "approvers": [1, None, "a" * 9999]})
    stream = CodeStreamClient(scripted.url, refresh_token="refresh-token-1", attempts=1)
    with pytest.raises(PermissionDeniedError, match="1, None, aaa") as caught:
        stream.approvals.answer("o-1", approve=True)
    assert len(str(caught.value)) < 1000


def test_errors_of_many_answers_are_a_list_whatever_the_server_returns(scripted: Scripted) -> None:
    scripted.script = [(200, {}, {"token": "bearer-1"})]
    scripted.always = (200, {}, {"errors": 5})
    stream = CodeStreamClient(scripted.url, refresh_token="refresh-token-1", attempts=1)
    assert stream.approvals.answer_many(["o-1"], approve=True)["errors"] == []


def test_pipelines_travel_as_yaml(api: Api) -> None:
    text = "---\nname: Deploy shop\nkind: PIPELINE\n"
    api.routes["GET", "/export"] = (200, {"Content-Type": "application/x-yaml"}, text)
    api.routes["POST", "/import"] = (200, {}, "---\nname: Deploy shop\nstatus: UPDATED\n")
    assert api.client.pipelines.export_yaml(pipelines="Deploy shop", project="retail") == text
    assert "UPDATED" in api.client.pipelines.import_yaml(text, "apply")
    sent = api.called("POST", "/import")[0]
    assert (sent.body.decode(), sent.headers["Content-Type"]) == (text, "application/x-yaml")
    assert sent.query["action"] == "apply"


def test_a_pipeline_whose_text_cannot_be_sent_is_refused_before_anything_is_sent(api: Api) -> None:
    with pytest.raises(BadRequestError, match="text must be Unicode text"):
        api.client.pipelines.import_yaml("name: \ud800")
    assert api.called("POST", "/import") == []


def test_sharing_and_tiles_reach_their_paths(api: Api) -> None:
    api.routes["PATCH", "/pipelines/retail/a%2Fb/global"] = {"global": True}
    api.routes["GET", "/pipeline-tiles"] = {"tiles": []}
    assert api.client.pipelines.share(("retail", "a/b"), **{"global": True}) == {"global": True}
    assert api.client.pipelines.list_tiles() == {"tiles": []}


def test_secrets_of_stored_objects_are_masked_in_errors_and_left_out_of_outputs(api: Api) -> None:
    passed_on: list[str] = []
    client = CodeStreamClient(api.scripted.url, refresh_token="refresh-token-1", on_secret=passed_on.append)
    webhook = {"id": "w1", "refreshToken": "stored-secret-1", "list": [{"secretToken": "stored-secret-2"}], "name": "w"}
    api.routes["GET", "/git-webhooks/w1"] = webhook
    api.routes["PUT", "/git-webhooks/w1"] = (
        400,
        {},
        {"message": "cannot use stored-secret-1, stored-secret-2 or new-secret-3"},
    )
    assert client.git_webhooks.get("w1") == webhook
    with pytest.raises(BadRequestError) as caught:
        client.git_webhooks.update("w1", {"secretToken": "new-secret-3"})
    assert "secret-" not in str(caught.value)
    assert {"stored-secret-1", "stored-secret-2", "new-secret-3"} <= set(passed_on)
    assert without_secrets(webhook) == {"id": "w1", "list": [{}], "name": "w"}


@pytest.mark.parametrize(
    ("variable", "found"),
    [
        ({"type": "SECRET", "value": "s3cret"}, ["s3cret"]),
        ({"type": "SECRET", "value": "*****"}, []),
        ({"type": "REGULAR", "value": "blue"}, []),
        ({"token": {"deep": 1}}, []),
    ],
)
def test_only_secret_values_are_masked(variable: dict[str, Any], found: list[str]) -> None:
    assert list(secrets_in(variable)) == found
