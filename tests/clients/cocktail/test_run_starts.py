"""Which run belongs to a start whose answer was lost."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.exceptions import (
    ConflictError,
    Effect,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from tests.support.cocktail_client import INTENT, SHOP, Stand, ended, ref, scripted_client
from tests.support.scripted import Scripted


def test_a_start_whose_answer_was_lost_is_found_by_its_marker(stand: Stand, client: CocktailClient) -> None:
    assert client.waits.find_started(INTENT) == []
    stand.post("faults", system="cocktail", method="POST", path="/build/run/", fault="reset_after")
    with pytest.raises(ServerUnavailableError) as caught:
        client.builds.run(SHOP, tag_name="1.4.2", description="release 1.4.2 #af-9c1")
    assert caught.value.effect is Effect.UNKNOWN
    (found,) = client.waits.find_started(INTENT)
    assert found.ref == ref(1, SHOP, "1.4.2", place=client.place)
    assert client.waits.find_started({**INTENT, "marker": "#af-other"}) == []


@pytest.mark.parametrize("omitted", [[], ["runType"]], ids=["with types", "without types"])
@pytest.mark.parametrize("routes", [{}, {"status": "403"}], ids=["readable", "unreadable"])
def test_a_cancel_run_with_the_same_description_is_not_taken_for_the_start(
    stand: Stand, client: CocktailClient, omitted: list[str], routes: dict[str, str]
) -> None:
    stand.post("reset", speed=5)
    run = client.builds.run(SHOP, tag_name="1.4.2", description="#af-9c1")
    client.cancel(run.ref, "")
    stand.switch(list_omits=omitted, routes=routes)
    assert [found.id for found in client.waits.find_started(INTENT)] == [run.id]


@pytest.mark.parametrize("omitted", [[], ["runType"]], ids=["with types", "without types"])
def test_all_runs_with_the_marker_are_reported_oldest_first(
    stand: Stand, client: CocktailClient, omitted: list[str]
) -> None:
    for tag in ("1", "2"):
        ended(client, client.builds.run(SHOP, tag_name=tag, description="#af-9c1"))
    stand.switch(list_omits=omitted)
    assert [found.id for found in client.waits.find_started(INTENT)] == ["1", "2"]


def test_an_intent_of_another_installation_finds_nothing_and_asks_nothing(stand: Stand, client: CocktailClient) -> None:
    with pytest.raises(ConflictError, match=r"https://cocktail\.example\.com"):
        client.waits.find_started({**INTENT, "place": "https://cocktail.example.com"})
    assert stand.requests() == []


@pytest.mark.parametrize(("mode", "cause"), [("403", PermissionDeniedError), ("404", UnexpectedResponseError)])
def test_without_a_list_nobody_can_say_whether_the_build_was_started(
    stand: Stand, client: CocktailClient, mode: str, cause: type[ReleasePipelineError]
) -> None:
    stand.switch(routes={"list": mode})
    with pytest.raises(cause, match="could not find out whether an earlier attempt started the build"):
        client.waits.find_started(INTENT)


@pytest.mark.parametrize("body", [None, " \n"])
def test_an_empty_answer_says_neither_that_a_run_is_gone_nor_that_there_is_none(scripted: Scripted, body: Any) -> None:
    client = scripted_client(scripted)
    scripted.always = (200, {}, body)
    for read in (
        lambda: client.waits.find_started(INTENT),
        lambda: client.observe(ref()),
        lambda: client.builds.get(SHOP),
    ):
        with pytest.raises(UnexpectedResponseError) as caught:
            read()
        assert caught.value.effect is Effect.UNKNOWN
