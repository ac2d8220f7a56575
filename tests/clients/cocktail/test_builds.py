"""What the Cocktail client promises beyond executions: build definitions, and removing runs."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import pytest

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.clients.transport import MAX_ANSWER_BYTES
from airflow_provider.exceptions import BadRequestError, NotFoundError, ReleasePipelineError, UnexpectedResponseError
from airflow_provider.sandbox import seed
from tests.support.cocktail_client import TOKEN
from tests.support.control import Control
from tests.support.scripted import Scripted
from tests.support.until import until

SHOP = 12


@pytest.fixture
def client(control: Control) -> Iterator[CocktailClient]:
    control.post("reset", speed=100)
    control.post("switches", system="cocktail", reproducible_builds=True)
    with CocktailClient(f"{control.url}/cocktail", token=seed.COCKTAIL_TOKEN) as api:
        yield api


def built(client: CocktailClient, tag: str) -> dict[str, Any]:
    run = client.builds.run(SHOP, tag_name=tag)
    return until(lambda: client.runs.get(run.id), lambda seen: seen["runState"] == "DONE")


def test_runs_are_found_by_success_image_and_step(client: CocktailClient) -> None:
    first, second = built(client, "1"), built(client, "2")
    latest = client.runs.list_latest(account_seq=1, limit=1)
    assert [run["buildRunSeq"] for run in latest] == [second["buildRunSeq"]]
    assert (client.runs.find(first["imageUrl"], build_seq=SHOP) or {})["buildRunSeq"] == first["buildRunSeq"]
    assert client.runs.find("registry.example.com/acme/nothing:1") is None
    step = client.runs.get_step_log(first["buildStepRuns"][0]["buildStepRunSeq"])
    assert [each["stepType"] for each in step["buildRunLogs"]] == ["INIT"]


def test_removing_a_run_takes_along_what_shares_its_digest(client: CocktailClient) -> None:
    first, second = built(client, "1"), built(client, "2")
    shared = client.runs.list_sharing_digest(first["buildRunSeq"])
    assert [run["buildRunSeq"] for run in shared] == [second["buildRunSeq"]]
    client.runs.remove(first["buildRunSeq"])
    assert client.runs.list(SHOP) == []
    third = built(client, "3")
    assert client.runs.remove_tags(SHOP, [third["buildRunSeq"]]) == 1
    with pytest.raises(NotFoundError):
        client.runs.get(third["buildRunSeq"])


def test_a_build_is_created_changed_run_and_deleted(client: CocktailClient) -> None:
    before = client.builds.count(1)
    build = client.builds.create({"editType": "N", "buildName": "cart", "imageName": "cart"})
    assert client.builds.count(1) == before + 1
    client.builds.update(build["buildSeq"], {"editType": "U", "buildDesc": "a cart"})
    assert [build["buildSeq"], "cart"] in [[each["buildSeq"], each["buildName"]] for each in client.builds.list_names()]
    assert "a cart" in [each["buildDesc"] for each in client.builds.list(account_seq=1)]
    assert client.builds.list_images(build["buildSeq"], order="ASC", order_column="TAG")["tags"] == []
    assert client.builds.delete(build["buildSeq"])["runType"] == "REMOVE"


def test_a_build_is_exported_byte_by_byte(client: CocktailClient) -> None:
    run = built(client, "1")
    with zipfile.ZipFile(io.BytesIO(client.runs.export(run["buildRunSeq"]))) as archive:
        assert json.loads(archive.read("build.json"))["buildSeq"] == SHOP
    with pytest.raises(ReleasePipelineError, match="build run is not found"):
        client.runs.export(999_999)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/json", b"{}"), ("text/html", b"<html>Sign in</html>"), ("application/zip", b"")],
)
def test_what_is_no_file_is_not_exported(scripted: Scripted, content_type: str, body: bytes) -> None:
    scripted.always = (200, {"Content-Type": content_type}, body)
    with CocktailClient(scripted.url, token=TOKEN) as client, pytest.raises(UnexpectedResponseError):
        client.runs.export(7)


def test_an_exported_file_has_a_limit(scripted: Scripted) -> None:
    scripted.always = (200, {"Content-Type": "application/zip"}, b"PK" + b"\0" * MAX_ANSWER_BYTES)
    with CocktailClient(scripted.url, token=TOKEN) as client, pytest.raises(UnexpectedResponseError, match="bytes"):
        client.runs.export(7)


def test_a_build_is_run_again_with_edits(client: CocktailClient) -> None:
    first = built(client, "1")
    run = client.builds.rerun(SHOP, first["buildRunSeq"], {"editType": "U", "buildDesc": "edited"}, tag_name="2")
    assert (run["tagName"], run["buildDesc"]) == ("2", "edited")


@pytest.mark.parametrize(
    ("operation", "arguments", "named"),
    [
        ("runs.list_latest", {}, "account_seq"),
        ("builds.list", {}, "account_seq"),
        ("runs.find", {"image_url": ""}, "image_url"),
        ("runs.remove", {"build_run_seq": ""}, "build_run_seq"),
        ("runs.remove", {"build_run_seq": "7/tag"}, "build_run_seq"),
        ("runs.remove_tags", {"build_seq": SHOP, "build_run_seqs": []}, "build_run_seqs"),
        ("builds.delete", {"build_seq": SHOP, "callback_url": "https://a.example.com/?b"}, "callback_url"),
    ],
)
def test_a_wrong_argument_is_named(operation: str, arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(BadRequestError, match=named):
        attrgetter(operation)(CocktailClient("http://127.0.0.1:9", token="t"))(**arguments)


def test_what_does_not_exist_is_an_error(client: CocktailClient) -> None:
    with pytest.raises(ReleasePipelineError):
        client.runs.remove(99)


def test_a_file_is_asked_for_as_one(scripted: Scripted) -> None:
    scripted.always = (200, {"Content-Type": "application/zip"}, b"PK")
    with CocktailClient(scripted.url, token=TOKEN) as client:
        client.runs.export(7)
    # A server that writes only zip files would answer 406 to "application/json".
    assert scripted.requests[-1].headers["Accept"] == "*/*"
