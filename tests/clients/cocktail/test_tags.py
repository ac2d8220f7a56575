"""The tag of a run: given, chosen by autotag, or another than asked for."""

from __future__ import annotations

import pytest

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.exceptions import BadRequestError
from airflow_provider.execution import ExecutionState
from tests.support.cocktail_client import AUTOTAG, NO_DIGEST, SHOP, Stand, ended, ref, run_json, scripted_client
from tests.support.scripted import Scripted


def test_a_tag_chosen_by_autotag_is_a_note_and_not_an_error(client: CocktailClient) -> None:
    done = ended(client, client.builds.run(AUTOTAG, tag_name="mine"))
    assert done.state is ExecutionState.SUCCEEDED
    assert done.outputs["tag"] != "mine"
    assert "autotag is on" in str(done.message)


def test_another_tag_without_autotag_is_a_failure(scripted: Scripted) -> None:
    client = scripted_client(scripted, run_json(runState="DONE", tagName="other"))
    seen = client.observe(ref(tag="1.0"))
    assert seen.state is ExecutionState.FAILED
    assert "'other'" in str(seen.message)


def test_no_tag_is_accepted_only_where_autotag_is_on(stand: Stand, client: CocktailClient) -> None:
    assert client.builds.run(AUTOTAG).outputs["tag"].startswith("test-")
    with pytest.raises(BadRequestError, match="tag_name must be given"):
        client.builds.run(SHOP)
    stand.switch(routes={"build": "404"})
    with pytest.raises(BadRequestError, match=r"cannot read whether autotag .* check its host, `api_prefix`"):
        client.builds.run(AUTOTAG)
    assert len(stand.requests("POST")) == 1


def test_a_missing_digest_gives_no_pinned_reference(client: CocktailClient) -> None:
    done = ended(client, client.builds.run(NO_DIGEST, tag_name="1"))
    assert done.state is ExecutionState.SUCCEEDED
    assert done.outputs["digest"] is None
    assert done.outputs["image_ref"] is None


@pytest.mark.parametrize(
    ("image_url", "image"),
    [
        ("registry.example.com/ops/app:1.0", "registry.example.com/ops/app"),
        ("registry.example.com/ops/app", "registry.example.com/ops/app"),
        ("registry.example.com:5000/ops/app", "registry.example.com:5000/ops/app"),
        ("registry.example.com:5000/ops/app:1.0", "registry.example.com:5000/ops/app"),
        ("app:1.0", "app"),
    ],
)
def test_only_a_tag_is_cut_from_the_image_url(scripted: Scripted, image_url: str, image: str) -> None:
    client = scripted_client(scripted, run_json(runState="DONE", imageUrl=image_url, imageDigest="sha256:ab"))
    outputs = client.observe(ref()).outputs
    assert (outputs["image"], outputs["image_ref"]) == (image, f"{image}@sha256:ab")
