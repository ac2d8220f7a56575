"""The build operator."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import (
    ConflictError,
    ExecutionCanceled,
    ExecutionFailed,
    ExecutionTimeout,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider.hooks.quay import QuayHook
from airflow_provider.operators.quay import QuayRunBuildOperator
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.meanwhile import meanwhile
from tests.support.quay_tasks import ARCHIVE, SHOP, tags
from tests.support.systems import define_connection

BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])


def build(**arguments: Any) -> TaskRun:
    arguments = {"repository": SHOP, "archive_url": ARCHIVE, "tags": ["1.4.2"], **arguments}
    return run_task(lambda: QuayRunBuildOperator(task_id="build", poll_interval=0.1, **arguments))


def built_from() -> str:
    """The archive of the newest build."""
    with QuayHook().get_conn() as client:
        return client.builds.list(SHOP)[0]["archive_url"]


@BOTH_MODES
def test_the_outputs_of_a_build_are_its_tags_and_its_image_pinned_by_digest(systems, deferrable):
    outputs = build(tags=["1.4.2", "latest"], deferrable=deferrable).result["outputs"]
    assert outputs["tags"] == ["1.4.2", "latest"]
    assert outputs["digest"] == tags()["1.4.2"] == tags()["latest"]
    assert outputs["image_ref"] == f"127.0.0.1:{systems.url.rpartition(':')[2]}/acme/shop@{outputs['digest']}"


@pytest.mark.parametrize("place", [{"subdirectory": "shop"}, {"dockerfile_path": "shop/Dockerfile"}])
def test_a_build_gets_what_the_task_says(systems, place):
    ended = build(**place)
    (request,) = systems.requests("quay", "POST", "/build/")
    # The journal of the sandbox shows no URL that may hold a login.
    assert request["body"] == {"archive_url": "***", "docker_tags": ["1.4.2"], **place}
    assert built_from() == ARCHIVE
    assert ended.result["url"] == f"{systems.url}/quay/repository/acme/shop/build/{ended.result['id']}"


@BOTH_MODES
def test_the_error_of_a_failed_build_says_why(systems, deferrable):
    systems.switch("quay", build_outcome="error")
    ended = build(deferrable=deferrable)
    assert isinstance(ended.error, ExecutionFailed)
    assert "The Dockerfile could not be built" in str(ended.error)


@pytest.mark.parametrize("state", ["read_only_repositories", "mirrored_repositories", "read_only_registry"])
def test_a_start_that_a_read_only_quay_refuses_is_sent_once_and_says_so(systems, state):
    systems.switch("quay", **{state: True if state == "read_only_registry" else [SHOP]})
    ended = build()
    assert isinstance(ended.error, ConflictError)
    assert "read-only" in str(ended.error)
    assert len(systems.requests("quay", "POST", "/build/")) == 1


def test_a_start_with_a_token_that_may_not_cancel_is_warned_about(systems, capsys):
    token = systems.act("quay", "issue_token", user="admin", scopes=["repo:write"])["token"]
    define_connection("quay_writer", conn_type="quay", host=f"{systems.url}/quay", password=token)
    warning = "may not cancel what it starts: that needs the scope repo:admin"
    assert build(quay_conn_id="quay_writer").error is None
    assert warning in capsys.readouterr().out
    assert build(quay_conn_id="quay_writer", cancel_on_kill=False).error is None
    assert build().error is None
    assert warning not in capsys.readouterr().out


def test_an_archive_url_beyond_ascii_is_built(systems):
    assert build(archive_url="https://sources.example.com/größe.tar.gz").error is None
    assert built_from() == "https://sources.example.com/gr%C3%B6%C3%9Fe.tar.gz"


@BOTH_MODES
def test_a_build_that_somebody_cancels_is_canceled_and_not_failed(systems, deferrable):
    def cancel_it() -> bool:
        builds = systems.executions("quay")
        if builds:
            systems.force("quay", builds[0]["id"], "cancelled")
        return bool(builds)

    systems.reset(speed=0.05)
    with meanwhile(cancel_it):
        ended = build(deferrable=deferrable)
    assert isinstance(ended.error, ExecutionCanceled)


@pytest.mark.parametrize("repository", ["acme/nothing", "other/shop"])
def test_a_repository_that_is_not_there_is_found_out_before_the_start(systems, repository):
    ended = build(repository=repository)
    assert isinstance(ended.error, (NotFoundError, PermissionDeniedError))
    assert systems.requests("quay", "POST") == []


def test_a_build_that_has_expired_by_its_deadline_is_not_said_to_be_canceled(systems, mocker):
    mocker.patch.object(DURATIONS, "expired_settling", 60.0)
    systems.switch("quay", build_outcome="expired")
    ended = build(timeout=2)
    assert isinstance(ended.error, ExecutionTimeout)
    assert "expired; a late heartbeat may still revive it" in str(ended.error)
    assert "it was canceled" not in str(ended.error)
    assert systems.requests("quay", "DELETE") == []
