"""Repositories."""

from __future__ import annotations

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients import listing
from airflow_provider.clients.quay import QuayClient
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnexpectedResponseError,
)
from tests.support.quay_client import SHOP, Stand, scripted_client
from tests.support.scripted import Scripted


def test_a_repository_is_created_described_and_deleted(client: QuayClient) -> None:
    client.repositories.create("acme/new", description="a")
    with pytest.raises(ConflictError):
        client.repositories.create("acme/new")
    client.repositories.update("acme/new", "b")
    assert client.repositories.get("acme/new")["description"] == "b"
    client.repositories.delete("acme/new")
    with pytest.raises(NotFoundError):
        client.repositories.get("acme/new")
    for wrong in ("acme", "acme/", "", "acme/new/"):
        with pytest.raises(BadRequestError, match="repository"):
            client.repositories.delete(wrong)
    with pytest.raises(BadRequestError, match="visibility"):
        client.repositories.create("acme/new", visibility="secret")


def test_the_owner_of_an_address_is_asked_before_it_is_notified(stand: Stand, client: QuayClient) -> None:
    email = "ops+release@example.com"
    with pytest.raises(NotFoundError):
        client.repositories.get_authorized_email(SHOP, email)
    assert client.repositories.authorize_email(SHOP, email)["confirmed"] is False
    assert client.repositories.get_authorized_email(SHOP, email)["confirmed"] is False
    stand.switch(authorized_emails=[email])
    assert client.repositories.get_authorized_email(SHOP, email) == {
        "email": email,
        "namespace": "acme",
        "repository": "shop",
        "confirmed": True,
    }
    created = client.notifications.create(SHOP, event="repo_push", method="email", config={"email": email})
    assert created["method"] == "email"
    for wrong in ("ops", "", None):
        with pytest.raises(BadRequestError, match="email must be an e-mail address"):
            client.repositories.authorize_email(SHOP, wrong)  # type: ignore[arg-type]


def test_repositories_are_listed_over_all_pages(stand: Stand, client: QuayClient) -> None:
    for number in range(101):
        stand.act("push_image", repository=f"acme/app{number}", tag="1")
    names = {each["name"] for each in client.repositories.list("acme")}
    assert {"shop", "app0", "app100"} <= names
    assert set(client.repositories.get(SHOP)["tags"]) == {"stable", "vulnerable"}


def test_a_token_that_quay_ignores_for_a_list_is_refused(stand: Stand) -> None:
    # Quay lists what is public to anybody, whatever the token.
    with pytest.raises(AuthenticationError):
        stand.client(token="wrong-token-of-forty-characters-00000000").repositories.list("acme")
    assert stand.client().repositories.list("nobodys") == []


def test_an_aged_page_token_does_not_lead_round_and_round(scripted: Scripted) -> None:
    scripted.always = (200, {}, {"repositories": [{"name": "shop"}], "next_page": "aged"})
    assert scripted_client(scripted).repositories.list("acme") == [{"name": "shop"}]
    assert len(scripted.requests) == 2


def test_a_list_of_repositories_that_takes_too_long_is_given_up(scripted: Scripted, mocker: MockerFixture) -> None:
    mocker.patch.object(listing, "LONGEST_LIST", -1.0)
    client = scripted_client(scripted)
    scripted.always = (200, {}, {"repositories": [{"name": "shop"}], "next_page": "more"})
    with pytest.raises(UnexpectedResponseError, match="did not end"):
        client.repositories.list("acme")
    assert len(scripted.requests) == 1
