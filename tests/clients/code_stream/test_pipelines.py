"""Pipelines by name or id."""

from __future__ import annotations

import pytest

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    NotFoundError,
)
from tests.support.code_stream_api import Api, listing


def test_a_pipeline_is_found_by_name_or_id_and_what_is_wrong_is_named(client: CodeStreamClient) -> None:
    shop = client.pipelines.find("Deploy shop")
    assert client.pipelines.find(shop["id"])["name"] == "Deploy shop"
    assert client.pipelines.find("Smoke test", "wholesale")["project"] == "wholesale"
    with pytest.raises(ConflictError, match="'retail', 'wholesale'"):
        client.pipelines.find("Smoke test")
    with pytest.raises(ConflictError, match=r"'Disabled pipeline' of project 'retail' is disabled"):
        client.pipelines.find("Disabled pipeline")
    with pytest.raises(NotFoundError, match="similar: 'Deploy shop'"):
        client.pipelines.find("deploy shopp")
    with pytest.raises(NotFoundError, match=r"in project 'wholesale'"):
        client.pipelines.find("Deploy shop", "wholesale")
    with pytest.raises(NotFoundError):
        client.pipelines.find(shop["id"], "wholesale")
    with pytest.raises(BadRequestError, match="pipeline"):
        client.pipelines.find(" ")


def test_an_id_that_is_no_uuid_is_an_id(api: Api) -> None:
    own = {"id": "pl-17", "name": "Deploy", "project": "retail"}
    api.routes["GET", "/pipelines"] = lambda request: listing([] if "$filter" in request.query else [own])
    api.routes["GET", "/pipelines/pl-17"] = own
    assert api.client.pipelines.find("pl-17") == own
    assert api.client.pipelines.find("pl-17", "retail") == own
    with pytest.raises(NotFoundError, match="no pipeline 'pl-17' in project 'wholesale'"):
        api.client.pipelines.find("pl-17", "wholesale")
    with pytest.raises(NotFoundError, match="no pipeline 'Deplyo'; similar: 'Deploy'"):
        api.client.pipelines.find("Deplyo")
    api.routes["GET", "/pipelines/Deplyo"] = (400, {}, {"message": "no id"})
    with pytest.raises(NotFoundError, match="similar: 'Deploy'"):
        api.client.pipelines.find("Deplyo")
    api.routes["GET", "/pipelines"] = listing([own])
    calls = len(api.called("GET", "/pipelines/Deploy"))
    assert api.client.pipelines.find("Deploy") == own
    assert len(api.called("GET", "/pipelines/Deploy")) == calls


@pytest.mark.parametrize("name", ["it's done", "a / b", "Prüfung 100%", "a' or name eq 'Deploy shop"])
def test_names_with_quotes_slashes_and_other_letters_are_found_exactly(client: CodeStreamClient, name: str) -> None:
    client.pipelines.create({"name": name, "project": "retail", "enabled": True})
    assert client.pipelines.find(name, "retail")["name"] == name
    assert client.pipelines.get(("retail", name))["name"] == name
