"""What the Code Stream stand-in promises, over real HTTP and against the contract, never through our client."""

from __future__ import annotations

import pytest

from tests.support.code_stream_calls import CodeStream


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name eq 'Smoke test'", ["Smoke test", "Smoke test"]),
        ("name eq 'Smoke test' and project eq 'retail'", ["Smoke test"]),
        ("startswith(name, 'Deploy')", ["Deploy shop with approval", "Deploy shop"]),
        ("toupper(name) eq 'ALWAYS FAILS'", ["Always fails"]),
        ("substringof('approval',tolower(name))", ["Deploy shop with approval"]),
        (
            "((name eq 'Always fails') or (name eq 'Deploy shop')) and (enabled eq 'true')",
            ["Deploy shop", "Always fails"],
        ),
        ("enabled eq 'false'", ["Disabled pipeline"]),
        ("not (project eq 'retail')", ["Smoke test"]),
        ("concurrency lt 10", []),
        ("name eq 'smoke test'", []),
    ],
)
def test_the_filter_grammar_selects(api: CodeStream, text: str, names: list[str]) -> None:
    assert [row["name"] for row in api.rows("/pipelines", filter=text)] == names


@pytest.mark.parametrize(
    "text",
    ["name = 'x'", "name eq x", "enabled eq true", "name eq 'x", "eq", "(name eq 'x'", "name eq 'x' or", "foo(name)"],
)
def test_what_is_outside_the_filter_grammar_is_refused(api: CodeStream, text: str) -> None:
    assert api.call("GET", "/pipelines", **{"$filter": text}).status_code == 400
    api.switch(unknown_filter=200)
    assert len(api.rows("/pipelines", filter=text)) == 6


def test_two_filters_are_refused(api: CodeStream) -> None:
    reply = api.call("GET", "/pipelines", **{"$filter": ["name eq 'x'", "name eq 'y'"]})
    assert reply.status_code == 400


def test_lists_are_objects_of_25_rows_by_name_descending(api: CodeStream) -> None:
    api.do("insert_executions", pipeline="Smoke test", count=30)
    page = api.get("/executions")
    assert isinstance(page["documents"], dict)
    assert (page["count"], page["totalCount"], len(page["links"])) == (25, 32, 25)
    assert {page["documents"][link]["name"] for link in page["links"]} == {"Smoke test"}


def test_pages_of_100_hold_every_execution_once(api: CodeStream) -> None:
    api.do("insert_executions", pipeline="Smoke test", count=248)
    order = {"$orderby": "_requestTimeInMicros desc", "$top": 100}
    pages = [api.get("/executions", **order, **{"$skip": skip}) for skip in (0, 100, 200)]
    assert [page["count"] for page in pages] == [100, 100, 50]
    times = [page["documents"][link]["_requestTimeInMicros"] for page in pages for link in page["links"]]
    assert times == sorted(times, reverse=True)
    assert len({link for page in pages for link in page["links"]}) == 250


def test_rows_can_arrive_between_two_pages(api: CodeStream) -> None:
    api.do("insert_executions", pipeline="Smoke test", count=10)
    api.switch(insert_per_page=3)
    query = {"orderby": "_requestTimeInMicros desc", "top": 5}
    first = [row["id"] for row in api.rows("/executions", **query)]
    second = [row["id"] for row in api.rows("/executions", **query, skip=5)]
    assert set(first) & set(second) == set(first[2:])


@pytest.mark.parametrize(
    ("query", "count"),
    [({"$top": 2}, 2), ({"$skip": 5}, 1), ({"$size": 4, "page": 1}, 2), ({"$top": 0}, 0), ({"page": 3}, 6)],
)
def test_paging_parameters(api: CodeStream, query: dict[str, int], count: int) -> None:
    page = api.get("/pipelines", **query)
    assert (page["count"], page["totalCount"]) == (count, 6)


@pytest.mark.parametrize("query", [{"$top": "many"}, {"$skip": "-1"}, {"$orderby": "name sideways"}])
def test_wrong_paging_is_refused(api: CodeStream, query: dict[str, str]) -> None:
    assert api.call("GET", "/pipelines", **query).status_code == 400


def test_a_link_can_be_missing_from_the_documents(api: CodeStream) -> None:
    api.switch(omit_document=True)
    page = api.get("/pipelines")
    assert len(page["links"]) - len(page["documents"]) == 1
