"""Paths that an installation may not publish."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.exceptions import (
    AuthenticationError,
    ConnectionConfigError,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    UnexpectedResponseError,
)
from airflow_provider.execution import ExecutionState
from tests.support.cocktail_client import AUTOTAG, INTENT, SHOP, TOKEN, Stand, ended, ref, run_json, scripted_client
from tests.support.scripted import Scripted


@pytest.mark.parametrize("mode", ["404", "403", "K8sApiStatus404"])
def test_a_missing_status_path_is_replaced_by_the_list(stand: Stand, mode: str) -> None:
    client = stand.client()
    run = ended(client, client.builds.run(SHOP, tag_name="1"))
    stand.switch(routes={"status": mode})
    client = stand.client()
    assert client.observe(run.ref).outputs == run.outputs
    before = len(stand.requests("GET"))
    assert client.observe(run.ref).state is ExecutionState.SUCCEEDED
    assert stand.requests("GET")[before:] == ["GET /cocktail/v1/build/run"]


@pytest.mark.parametrize(
    ("routes", "cause", "message"),
    [
        ({"status": "403", "list": "403"}, PermissionDeniedError, "GET /cocktail/v1/build/run/1: the token lacks"),
        ({"status": "403", "list": "404"}, PermissionDeniedError, "GET /cocktail/v1/build/run: not published"),
        ({"status": "404", "list": "K8sApiStatus404"}, UnexpectedResponseError, "`api_prefix` and `paths`"),
    ],
)
def test_without_status_and_list_the_missing_permissions_are_named(
    stand: Stand, client: CocktailClient, routes: dict[str, str], cause: type[ReleasePipelineError], message: str
) -> None:
    run = client.builds.run(SHOP, tag_name="1")
    stand.switch(routes=routes)
    with pytest.raises(cause, match=message):
        client.observe(run.ref)


@pytest.mark.parametrize("code", ["404", "405", 404])
def test_a_path_is_also_missing_if_the_code_is_only_its_status(scripted: Scripted, code: Any) -> None:
    missing = {"status": "error", "code": code, "message": "no such path", "httpStatusCode": 200}
    client = scripted_client(scripted, missing, [run_json(runState="DONE")])
    assert client.observe(ref()).state is ExecutionState.SUCCEEDED


def test_a_run_whose_build_is_not_known_cannot_be_looked_up_in_a_list(stand: Stand, client: CocktailClient) -> None:
    run = client.builds.run(SHOP, tag_name="1")
    assert client.observe(ref(1, "")).ref == run.ref | {"tag": "", "place": client.place}
    stand.switch(routes={"status": "403"})
    with pytest.raises(PermissionDeniedError, match="build_seq"):
        client.observe(ref(1, ""))


@pytest.mark.parametrize("mode", ["404", "403"])
def test_a_missing_cancel_path_is_an_error_and_leaves_the_run_alone(
    stand: Stand, client: CocktailClient, mode: str
) -> None:
    # At its usual pace, a run may have ended before it is canceled.
    stand.post("reset", speed=5)
    run = client.builds.run(SHOP, tag_name="1")
    stand.switch(routes={"cancel": mode})
    with pytest.raises((NotFoundError, PermissionDeniedError)):
        client.cancel(run.ref, "")
    assert ended(client, run).state is ExecutionState.SUCCEEDED


def test_a_build_that_cannot_be_read_is_none(stand: Stand, client: CocktailClient) -> None:
    assert (client.builds.get(AUTOTAG) or {})["autotagUseYn"] == "Y"
    stand.switch(routes={"build": "403"})
    assert client.builds.get(AUTOTAG) is None


def test_paths_of_the_connection_are_used_and_may_be_switched_off(scripted: Scripted) -> None:
    paths = {"status": "runs/{build_run_seq}", "list": "/builds/{build_seq}/runs", "cancel": None, "log": ""}
    client = scripted_client(scripted, run_json(), [run_json()], paths=paths, api_prefix="open/v2/")
    client.runs.get(7)
    client.runs.list(12)
    assert [each.target for each in scripted.requests] == ["/open/v2/runs/7", "/open/v2/builds/12/runs"]
    with pytest.raises(ConnectionConfigError, match="'cancel' is not published"):
        client.runs.cancel(7)
    with pytest.raises(ConnectionConfigError, match="'log' is not published"):
        client.runs.get_log(7)


def test_the_check_says_that_a_connection_publishes_no_reads(scripted: Scripted) -> None:
    client = scripted_client(scripted, paths={"status": "", "list": "", "build": ""})
    for read in (client.check, lambda: client.observe(ref()), lambda: client.waits.find_started(INTENT)):
        with pytest.raises(ConnectionConfigError, match="is not published"):
            read()
    assert scripted.requests == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"token": ""}, "token"),
        ({"paths": {"state": "/x"}}, "'state'"),
        ({"paths": {"status": "/runs/{build_seq}"}}, "'status'"),
        ({"paths": {"status": "/runs"}}, "'status'"),
        ({"paths": {"run": "/builds/{build_seq}/{tag}"}}, "'run'"),
    ],
)
def test_a_connection_that_cannot_work_names_its_field(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConnectionConfigError, match=named):
        CocktailClient("https://cocktail.example.com", **{"token": TOKEN, **options})


@pytest.mark.parametrize(
    ("routes", "used"), [({}, "GET /v1/build/run"), ({"list": "403"}, "GET /v1/build/run/{build_run_seq}")]
)
def test_the_check_needs_any_one_of_the_reads(
    stand: Stand, client: CocktailClient, routes: dict[str, str], used: str
) -> None:
    stand.switch(routes=routes)
    assert f"({used})" in client.check()


@pytest.mark.parametrize("status", [200, 404, 500])
def test_the_check_takes_an_error_about_builds_for_an_accepted_token(scripted: Scripted, status: int) -> None:
    # Some installations send their errors with real HTTP statuses.
    scripted.always = (status, {}, {"status": "error", "code": "CCBDE006000", "message": "no such build"})
    assert "accepts the token" in scripted_client(scripted).check()
    scripted.always = (503, {}, {"status": "error", "code": "GCCME001000", "message": "overloaded"})
    with pytest.raises(ReleasePipelineError, match="overloaded"):
        scripted_client(scripted).check()


def test_the_check_says_that_nothing_is_published_under_a_wrong_prefix(stand: Stand) -> None:
    with pytest.raises(UnexpectedResponseError, match="correct the connection's host"):
        stand.client(api_prefix="/v9").check()


def test_the_check_distinguishes_a_wrong_token_from_one_that_may_read_nothing(stand: Stand) -> None:
    with pytest.raises(AuthenticationError):
        stand.client(token="wrong").check()
    token = stand.post("actions", system="cocktail", action="issue_token", scopes=["run"])["token"]
    with pytest.raises(PermissionDeniedError, match="the token lacks the permission"):
        stand.client(token=token).check()
