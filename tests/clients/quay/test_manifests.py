"""Manifests and their labels."""

from __future__ import annotations

import pytest

from airflow_provider.clients.quay import QuayClient
from airflow_provider.exceptions import (
    BadRequestError,
    NotFoundError,
)
from tests.support.quay_client import SHOP, Stand


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
