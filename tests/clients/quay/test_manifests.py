"""Manifests and their labels."""

from __future__ import annotations

import pytest

from airflow_provider.clients.quay import QuayClient
from airflow_provider.exceptions import (
    BadRequestError,
    NotFoundError,
)
from tests.support.quay_client import SHOP, Stand, scripted_client
from tests.support.scripted import Scripted


def test_manifests_and_their_labels_are_read(stand: Stand, client: QuayClient) -> None:
    digest = stand.push("1.4.2")
    assert client.manifests.get(SHOP, digest)["digest"] == digest
    assert client.labels.list(SHOP, digest) == []
    with pytest.raises(BadRequestError, match="digest"):
        client.manifests.get(SHOP, "1.4.2")


def test_a_manifest_is_labeled(stand: Stand, client: QuayClient) -> None:
    digest = stand.push("1.4.2")
    label = client.labels.create(SHOP, digest, key="approved-by", value="ops")
    assert client.labels.list(SHOP, digest) == [label]
    assert client.labels.get(SHOP, digest, label["id"])["value"] == "ops"
    client.labels.delete(SHOP, digest, label["id"])
    with pytest.raises(NotFoundError):
        client.labels.delete(SHOP, digest, label["id"])
    with pytest.raises(BadRequestError, match="label_id"):
        client.labels.delete(SHOP, digest, "")


def test_a_digest_is_sent_as_quay_writes_it(scripted: Scripted) -> None:
    digest = f"sha256:{'a' * 64}"
    scripted.always = (200, {}, {"digest": digest})
    scripted_client(scripted).manifests.get("acme/shop", digest)
    assert scripted.requests[-1].target == f"/api/v1/repository/acme/shop/manifest/{digest}"
