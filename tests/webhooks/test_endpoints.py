"""How webhooks are declared, which URL belongs to which, and that nothing shows a secret."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.exceptions import ConnectionConfigError
from airflow_provider.webhooks.endpoints import declared, endpoint_for, matching, url_of
from tests.webhooks.conftest import SECOND, SECRET, Declare

OPTION = "AIRFLOW__RELEASE_PIPELINES__WEBHOOKS"
GOOD: dict[str, Any] = {"source": "quay", "asset": "image", "secrets": [SECRET]}


@pytest.mark.parametrize(
    ("differs", "problem"),
    [
        ({"source": "github"}, "source must be one of quay, cocktail, code_stream"),
        ({"source": SECRET}, "source must be one of"),
        ({"source": 3}, "source is wrong: Expected `str`, got `int`"),
        ({"asset": ""}, "asset must not be empty"),
        ({"asset": None}, "asset is wrong: Expected `str`, got `null`"),
        ({"secrets": []}, "secrets must be 1 or 2"),
        ({"secrets": [SECRET, SECRET]}, "1 or 2 different texts"),
        ({"secrets": [SECRET, SECOND, SECRET + "x"]}, "secrets must be 1 or 2"),
        ({"secrets": [SECRET[:31]]}, "32 to 128 letters"),
        ({"secrets": [SECRET + "/x"]}, "32 to 128 letters"),
        ({"secrets": SECRET}, "secrets is wrong: Expected `array`, got `str`"),
        ({"secrets": [SECRET, 7]}, r"secrets\[1\] is wrong: Expected `str`, got `int`"),
        ({"secrets": {SECRET: SECRET}}, "secrets is wrong: Expected `array`, got `object`"),
        ({"conn_id": [SECRET]}, "conn_id is wrong: Expected `str`, got `array`"),
        ({"states": ["done"]}, "each of states must be one of queued"),
        ({"states": [SECRET]}, "each of states must be one of queued"),
        ({"states": []}, "states must not be empty"),
        ({"aset": "x"}, "unknown field `aset`"),
    ],
)
def test_a_bad_declaration_is_reported_with_its_field_and_without_its_secret(
    declare: Declare, differs: dict[str, Any], problem: str
) -> None:
    declare(good=GOOD, hook=GOOD | differs)
    endpoints, problems = declared()
    assert ([*endpoints], [*problems]) == (["good"], ["hook"])
    assert "[release_pipelines] webhooks: endpoint 'hook': " in str(problems["hook"])
    assert re.search(problem, str(problems["hook"]))
    assert SECRET[:31] not in str(problems["hook"])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "3",
        '{"a": "\udcff"}',
        "[" * 5000,
    ],
)
def test_an_option_that_declares_nothing_is_refused(mocker: MockerFixture, text: str) -> None:
    mocker.patch.dict(os.environ, {OPTION: text})
    with pytest.raises(ConnectionConfigError, match=r"\[release_pipelines\] webhooks"):
        declared()


@pytest.mark.parametrize(
    "text",
    ['{"a": 1}', '{"a": [1]}', '{"a": {"source": "quay"}}', '{"Hook!": ' + json.dumps(GOOD) + "}"],
)
def test_an_endpoint_that_is_none_is_named(mocker: MockerFixture, text: str) -> None:
    mocker.patch.dict(os.environ, {OPTION: text})
    endpoints, problems = declared()
    assert endpoints == {}
    assert [str(each).startswith("[release_pipelines] webhooks: ") for each in problems.values()] == [True]


def test_without_the_option_there_is_no_webhook() -> None:
    assert declared() == ({}, {})


def test_either_of_two_secrets_opens_an_endpoint_and_no_other_text_does(declare: Declare) -> None:
    declare(hook={"secrets": [SECOND, SECRET]}, other={"secrets": [SECRET + "-other"]})
    endpoints = declared().endpoints
    for secret in (SECRET, SECOND):
        assert matching(endpoints, "hook", secret) is endpoints["hook"]
    for name, secret in (
        ("hook", ""),
        ("hook", SECRET[:-1]),
        ("hook", SECRET + "x"),
        ("hook", SECRET + "-other"),
        ("hook", "\ud800" + SECRET),
        ("nobodys", SECRET),
        ("", ""),
    ):
        assert matching(endpoints, name, secret) is None


@pytest.mark.parametrize("name", ["hook", "two", "nobodys"])
@pytest.mark.parametrize("secret", [SECRET, "x", "x" * 100_000], ids=["right", "short", "long"])
def test_a_wrong_secret_and_an_unknown_endpoint_cost_the_same_comparisons(
    declare: Declare, mocker: MockerFixture, name: str, secret: str
) -> None:
    import hmac

    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def noted(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    declare(hook={}, two={"secrets": [SECRET, SECOND]})
    endpoints = declared().endpoints
    mocker.patch.object(hmac, "compare_digest", noted)
    matching(endpoints, name, secret)
    assert compared == [(32, 32), (32, 32)]


def test_an_endpoint_shows_no_secret(declare: Declare) -> None:
    declare(hook={})
    assert SECRET not in f"{declared()!r} {declared().endpoints['hook']}"


def test_airflow_shows_the_option_to_nobody(declare: Declare) -> None:
    from airflow.configuration import conf

    declare(hook={})
    shown = conf.as_dict(display_source=True, display_sensitive=False)
    assert SECRET not in str(shown)


def test_new_urls_have_the_first_secret_and_the_chosen_base(declare: Declare, mocker: MockerFixture) -> None:
    declare(hook={"secrets": [SECOND, SECRET]})
    mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__WEBHOOKS_URL": "https://airflow.example.com/prod/"})
    assert (
        url_of(declared().endpoints["hook"])
        == f"https://airflow.example.com/prod/release-pipelines/webhooks/hook/{SECOND}"
    )


def test_without_a_chosen_base_that_of_the_api_counts(declare: Declare, mocker: MockerFixture) -> None:
    declare(hook={})
    mocker.patch.dict(os.environ, {"AIRFLOW__API__BASE_URL": "https://airflow.example.com"})
    assert url_of(declared().endpoints["hook"]).startswith("https://airflow.example.com/release-pipelines/")


@pytest.mark.parametrize("base", ["", "airflow.example.com", "ftp://airflow.example.com", "https://a.example.com/?x=1"])
def test_a_base_that_no_system_could_call_is_named(declare: Declare, mocker: MockerFixture, base: str) -> None:
    declare(hook={})
    mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__WEBHOOKS_URL": base})
    mocker.patch.dict(os.environ, {"AIRFLOW__API__BASE_URL": ""})
    with pytest.raises(ConnectionConfigError, match=r"\[release_pipelines\] webhooks_url must be"):
        url_of(declared().endpoints["hook"])


def test_an_operator_finds_the_one_endpoint_of_its_asset_and_connection(declare: Declare) -> None:
    declare(
        app={"asset": "app"},
        app_elsewhere={"asset": "app", "conn_id": "quay_elsewhere"},
        by_uri={"asset": "x-image://shop"},
        builds={"source": "cocktail", "asset": "app"},
    )
    assert endpoint_for("quay", conn_id="quay_default", asset="app").name == "app"
    assert endpoint_for("quay", conn_id="quay_elsewhere", asset="app").name == "app-elsewhere"
    assert endpoint_for("quay", conn_id="quay_default", asset="shop", uri="x-image://shop").name == "by-uri"
    assert endpoint_for("cocktail", conn_id="cocktail_default").name == "builds"
    with pytest.raises(ConnectionConfigError, match="asset 'other', got none; endpoints of this source: 'app'"):
        endpoint_for("quay", conn_id="quay_default", asset="other")
    with pytest.raises(ConnectionConfigError, match="got several: 'app', 'by-uri'"):
        endpoint_for("quay", conn_id="quay_default")


def test_an_operator_finds_its_endpoint_although_another_is_declared_wrongly(declare: Declare) -> None:
    declare(app={"asset": "app"}, wrong={"asset": "other", "states": []})
    assert endpoint_for("quay", conn_id="quay_default", asset="app").name == "app"
    with pytest.raises(ConnectionConfigError, match="endpoint 'wrong': states must not be empty"):
        endpoint_for("quay", conn_id="quay_default", asset="other")
