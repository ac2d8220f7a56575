"""Many waits on one build cost one request."""

from __future__ import annotations

import pytest

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.exceptions import (
    NotFoundError,
    ThrottledError,
)
from airflow_provider.execution import Execution, ExecutionState
from tests.support.cocktail_client import BROKEN, NO_DIGEST, SHOP, Stand, ended, ref


def test_many_runs_of_one_build_cost_one_request(stand: Stand, client: CocktailClient) -> None:
    runs = [ended(client, client.builds.run(SHOP, tag_name=tag)) for tag in ("1", "2", "3")]
    other = ended(client, client.builds.run(NO_DIGEST, tag_name="1"))
    before = len(stand.requests())
    seen = client.waits.fetch([runs[2].ref, runs[0].ref, other.ref, runs[1].ref])
    assert [each.id for each in seen if isinstance(each, Execution)] == ["3", "1", other.id, "2"]
    assert next(each.outputs for each in seen if isinstance(each, Execution)) == runs[2].outputs
    assert stand.requests()[before:] == ["GET /cocktail/v1/build/run", f"GET /cocktail/v1/build/run/{other.id}"]


def test_a_failure_seen_in_a_list_says_as_much_as_one_looked_up_alone(client: CocktailClient) -> None:
    runs = [ended(client, client.builds.run(BROKEN, tag_name=tag)) for tag in ("1", "2")]
    seen = client.waits.fetch([run.ref for run in runs])
    assert [each.message for each in seen if isinstance(each, Execution)] == [run.message for run in runs]


def test_a_run_that_is_gone_is_its_own_error_among_many(client: CocktailClient) -> None:
    run = ended(client, client.builds.run(SHOP, tag_name="1"))
    seen = client.waits.fetch([run.ref, ref(99, SHOP)])
    assert isinstance(seen[0], Execution)
    assert isinstance(seen[1], NotFoundError)


def test_many_runs_are_looked_up_one_by_one_where_there_is_no_list(stand: Stand, client: CocktailClient) -> None:
    runs = [ended(client, client.builds.run(SHOP, tag_name=tag)) for tag in ("1", "2")]
    stand.switch(routes={"list": "403"})
    assert [each.state for each in client.waits.fetch([run.ref for run in runs]) if isinstance(each, Execution)] == [
        ExecutionState.SUCCEEDED
    ] * 2


def test_throttling_concerns_all_of_them(stand: Stand, client: CocktailClient) -> None:
    run = client.builds.run(SHOP, tag_name="1")
    stand.post("faults", system="cocktail", method="GET", fault="status", status=429, headers={"Retry-After": "7"})
    with pytest.raises(ThrottledError) as caught:
        client.waits.fetch([run.ref, run.ref])
    assert caught.value.retry_after == 7
