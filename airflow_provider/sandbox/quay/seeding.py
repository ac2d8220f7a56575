"""The images that Quay holds after a reset."""

from __future__ import annotations

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.quay.images import Manifest, digest_of, findings_of
from airflow_provider.sandbox.quay.state import State


def load(state: State) -> None:
    """Fills an empty state."""
    for image in seed.QUAY_IMAGES:
        repository = state.ensure(image["repository"])
        pushed = state.now - image["age"]
        manifest = Manifest(digest_of(image["tag"]), image["size"], pushed, findings_of(image["severities"]))
        repository.manifests[manifest.digest] = manifest
        repository.point(image["tag"], manifest.digest, pushed)
