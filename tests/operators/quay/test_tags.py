"""The operator that promotes a tag."""

from __future__ import annotations

import pytest

from airflow_provider.exceptions import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider.hooks.quay import QuayHook
from airflow_provider.sandbox import seed
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
