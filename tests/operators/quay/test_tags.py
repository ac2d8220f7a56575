"""The operator that promotes a tag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider.clients.quay.tags import Tags
from airflow_provider.exceptions import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider.hooks.quay import QuayHook
from airflow_provider.operators.quay import QuayPromoteTagOperator
from airflow_provider.sandbox import seed
from tests.support.attempts import Task, WorkerKilled
from tests.support.patching import patched
from tests.support.quay_tasks import SHOP, promote, tags
from tests.support.systems import define_connection


def test_a_tag_is_moved_to_a_digest(systems):
    digest = tags()["stable"]
    ended = promote(digest=digest)
    assert ended.error is None
    assert tags()["production"] == digest
    outputs = ended.result["outputs"]
    assert (outputs["repository"], outputs["tag"], outputs["digest"]) == (SHOP, "production", digest)
    assert outputs["image_ref"].endswith(f"/acme/shop@{digest}")
    assert ended.result["state"] == "succeeded"
    assert ended.xcoms["id"] == ended.result["id"] == "production"
    assert ended.xcoms["url"] == f"{systems.url}/quay/repository/acme/shop?tab=tags"


def test_a_tag_is_moved_to_where_another_tag_points():
    ended = promote(source_tag="vulnerable", tag="stable")
    assert ended.result["outputs"]["digest"] == tags()["stable"] == tags()["vulnerable"]


def test_a_tag_that_points_there_already_is_left_alone(systems):
    assert promote(source_tag="stable").error is None
    assert promote(source_tag="stable").error is None
    assert len(systems.requests("quay", "PUT", "/tag/production")) == 1


@pytest.mark.parametrize("source", [{"source_tag": "nothing"}, {"digest": f"sha256:{'0' * 64}"}])
def test_an_image_that_is_not_there_moves_no_tag(source):
    before = tags()
    ended = promote(**source)
    assert isinstance(ended.error, NotFoundError)
    assert tags() == before


def promoting(**source: Any) -> Task:
    return Task(lambda: QuayPromoteTagOperator(task_id="promote", repository=SHOP, tag="production", **source))


def move(tag: str, source_tag: str) -> None:
    """What a colleague does."""
    with QuayHook().get_conn() as client:
        client.tags.promote(SHOP, tag, source_tag=source_tag)


def die(task: Task, *, after_the_request: bool) -> None:
    whole: Callable[..., Any] = Tags.promote

    def dying(*arguments: Any, **named: Any) -> None:
        if after_the_request:
            whole(*arguments, **named)
        raise WorkerKilled

    with patched(Tags, "promote", dying):
        assert isinstance(task.attempt().error, WorkerKilled)


def test_a_retry_does_not_move_a_tag_back_that_somebody_has_moved_since():
    task = promoting(digest=tags()["stable"])
    die(task, after_the_request=True)
    move("production", "vulnerable")
    error = task.attempt().error
    assert isinstance(error, ConflictError)
    assert "somebody else has pointed it to" in str(error)
    assert tags()["production"] == tags()["vulnerable"]
    task.clear()
    assert task.attempt().error is None
    assert tags()["production"] == tags()["stable"]


def test_a_retry_means_the_same_image_although_the_source_tag_has_moved_since():
    meant = tags()["stable"]
    # Quay promotes only what a tag points to.
    move("kept", "stable")
    task = promoting(source_tag="stable")
    die(task, after_the_request=False)
    move("stable", "vulnerable")
    assert task.attempt().error is None
    assert tags()["production"] == meant


def test_an_immutable_tag_is_not_moved(systems):
    systems.switch("quay", immutable_tags=True)
    with QuayHook().get_conn() as client:
        client.tags.set_immutable(SHOP, "stable", True)
    ended = promote(source_tag="vulnerable", tag="stable")
    assert isinstance(ended.error, ConflictError)
    assert "immutable" in str(ended.error)


def test_a_token_that_may_only_read_moves_no_tag(systems):
    host = f"{systems.url}/quay"
    define_connection("quay_reader", conn_type="quay", host=host, password=seed.QUAY_READ_TOKEN)
    ended = promote(source_tag="stable", quay_conn_id="quay_reader")
    assert isinstance(ended.error, PermissionDeniedError)
    assert "production" not in tags()
