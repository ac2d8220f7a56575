"""Operators that point a system at Airflow's own webhook, and notifications of Quay that are kept as code."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any

import pytest
import requests
from airflow.sdk import Asset

from airflow_provider.exceptions import BadRequestError, ConnectionConfigError, ReleasePipelineError
from airflow_provider.hooks.quay import QuayHook
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.quay import QuayCreateNotificationOperator, QuayNotificationsOperator
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.quay_calls import TOKEN
from tests.support.until import until

SHOP = "acme/shop"
SECRET, NEW = "known-secret-of-an-endpoint-0000000001", "known-secret-of-an-endpoint-0000000002"
URL = "https://airflow.example.com/release-pipelines/webhooks"
PUSHES = {"event": "repo_push", "asset": "shop-image"}
HOOK = {"event": "repo_push", "config": {"url": "https://hooks.example.com/quay"}, "title": "tell the chat"}


@pytest.fixture(autouse=True)
def declared(systems, mocker) -> Any:
    """Declare a webhook of Quay's and one of Cocktail's, with these secrets."""

    def declare(*secrets: str) -> None:
        endpoints = {
            "shop": {"source": "quay", "asset": "shop-image", "secrets": secrets},
            "builds": {"source": "cocktail", "asset": "shop-build", "secrets": secrets},
        }
        mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__WEBHOOKS": json.dumps(endpoints)})

    systems.reset(speed=100)
    mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__WEBHOOKS_URL": "https://airflow.example.com"})
    declare(SECRET)
    return declare


def create(**arguments: Any) -> TaskRun:
    arguments = {"repository": SHOP, "event": "repo_push", **arguments}
    return run_task(lambda: QuayCreateNotificationOperator(task_id="create", **arguments))


def keep(*wanted: Any, kept_by: str | None = "us", **arguments: Any) -> TaskRun:
    given = {"repository": SHOP, "notifications": list(wanted), "kept_by": kept_by, **arguments}
    return run_task(lambda: QuayNotificationsOperator(task_id="keep", **given))


def kept(*wanted: Any, **arguments: Any) -> dict[str, Any]:
    ended = keep(*wanted, **arguments)
    assert ended.error is None
    return ended.result


def stored() -> list[dict[str, Any]]:
    with QuayHook().get_conn() as client:
        return client.notifications.list(SHOP)


def urls() -> list[str]:
    return sorted(each["config"]["url"] for each in stored())


# --- pointing at the webhook


@pytest.mark.parametrize("asset", ["shop-image", Asset("shop-image", uri="x-image://shop")])
def test_a_notification_of_an_asset_has_the_url_of_its_webhook(asset):
    ended = create(asset=asset)
    assert ended.error is None
    assert urls() == [f"{URL}/shop/{SECRET}"]
    assert ended.result["config"] == {"url": "https://airflow.example.com/***"}
    assert create(asset=asset).result["uuid"] == ended.result["uuid"]


def test_an_asset_without_a_webhook_is_named_and_nothing_is_sent(systems):
    ended = create(asset="another")
    assert isinstance(ended.error, ConnectionConfigError)
    assert "asset 'another', got none; endpoints of this source: 'shop'" in str(ended.error)
    assert systems.requests("quay", "POST") == []


def test_an_event_that_the_webhook_would_pass_over_is_refused(systems):
    ended = create(asset="shop-image", event="build_failure")
    assert isinstance(ended.error, BadRequestError)
    assert "webhook 'shop' accepts only the states succeeded, and this one reports 'failed'" in str(ended.error)
    assert systems.requests("quay", "POST") == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "config or asset must be given, but not both, got neither"),
        ({"asset": "a", "config": {"url": "https://x.example"}}, "config or asset must be given"),
        ({"asset": "a", "method": "slack"}, "method must be 'webhook' with an asset, got 'slack'"),
        ({"asset": 3}, "asset must be an Asset, or the name or URI of one, got 3"),
    ],
)
def test_ways_that_do_not_go_together_are_refused_when_the_dag_is_parsed(arguments, problem):
    with pytest.raises(BadRequestError, match=problem):
        QuayCreateNotificationOperator(task_id="create", repository=SHOP, event="repo_push", **arguments)


def build(**arguments: Any) -> TaskRun:
    given = {"build_seq": 12, "tag_name": "1.4.2", **arguments}
    return run_task(lambda: CocktailRunBuildOperator(task_id="build", poll_interval=0.1, **given))


@pytest.mark.parametrize("callback", [True, "builds"])
def test_a_build_with_a_callback_calls_the_webhook(systems, callback):
    assert build(callback=callback).error is None
    (request,) = systems.requests("cocktail", "POST", "/build/run/12")
    from airflow_provider.hooks.cocktail import CocktailHook

    with CocktailHook().get_conn() as client:
        (run,) = client.runs.list(12)
    assert run["callbackUrl"].startswith(f"{URL}/builds/{SECRET}?")
    assert SECRET not in str(request)


@pytest.mark.parametrize(("callback", "problem"), [("shop", "the name 'shop'"), ("nobodys", "the name 'nobodys'")])
def test_a_callback_without_a_webhook_is_named_and_nothing_is_started(systems, callback, problem):
    ended = build(callback=callback)
    assert isinstance(ended.error, ConnectionConfigError)
    assert problem in str(ended.error)
    assert systems.requests("cocktail", "POST") == []


def test_two_callbacks_are_refused_when_the_dag_is_parsed():
    with pytest.raises(BadRequestError, match="callback or callback_url must be given, not both"):
        CocktailRunBuildOperator(task_id="b", build_seq=12, callback=True, callback_url="https://x.example/y")


# --- notifications as code


def test_what_is_missing_is_created_and_a_second_time_nothing_is_done(systems):
    first = kept(PUSHES, HOOK)
    assert urls() == sorted([f"{URL}/shop/{SECRET}", "https://hooks.example.com/quay"])
    assert len(first["created"]) == 2
    assert {each["title"] for each in first["notifications"]} == {
        "repo_push [airflow:us]",
        "tell the chat [airflow:us]",
    }
    before = len(systems.requests("quay", "POST"))
    second = kept(PUSHES, HOOK)
    assert second == {**first, "created": []}
    assert len(systems.requests("quay", "POST")) == before


def test_what_is_no_longer_wanted_is_deleted_and_what_a_person_made_is_not():
    persons = [
        create(config={"url": "https://person.example.com"}, title=title) for title in ("mine", "[airflow:us] x")
    ]
    bare = create(config={"url": "https://person.example.com/bare"})
    others = kept(HOOK, kept_by="them")
    kept(PUSHES, HOOK)
    ended = kept(PUSHES)
    assert len(ended["deleted"]) == 1
    left = {each["uuid"] for each in stored()}
    assert left == {
        *(each.result["uuid"] for each in (*persons, bare)),
        *(each["uuid"] for each in (*others["notifications"], *ended["notifications"])),
    }
    assert kept() == {"notifications": [], "created": [], "reset": [], "deleted": [ended["notifications"][0]["uuid"]]}
    assert len(stored()) == 4


def test_a_rotated_secret_leads_to_a_new_notification_and_the_old_one_goes(declared):
    kept(PUSHES)
    declared(NEW, SECRET)
    ended = kept(PUSHES)
    assert urls() == [f"{URL}/shop/{NEW}"]
    assert (len(ended["created"]), len(ended["deleted"])) == (1, 1)


def test_what_quay_has_disabled_is_reset(systems):
    refusing = {"event": "repo_push", "config": {"url": f"{systems.url.replace('127.0.0.1', '127.0.0.2')}/nobody"}}
    (uuid,) = kept(refusing)["created"]
    systems.act("quay", "raise_event", repository=SHOP, event="repo_push")
    until(lambda: stored()[0]["number_of_failures"] >= 3)
    ended = kept(refusing)
    assert (ended["reset"], ended["created"], ended["deleted"]) == ([uuid], [], [])
    assert [each["disabled"] for each in ended["notifications"]] == [False]


def test_of_doubles_of_ours_one_is_left(systems):
    kept(HOOK)
    body = {"event": "repo_push", "method": "webhook", "config": HOOK["config"], "eventConfig": {}}
    requests.post(
        f"{systems.url}/quay/api/v1/repository/{SHOP}/notification/",
        json=body | {"title": "tell the chat [airflow:us]"},
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=60,
    ).raise_for_status()
    assert len(stored()) == 2
    assert len(kept(HOOK)["deleted"]) == 1
    assert len(stored()) == 1


@pytest.mark.parametrize("fault", ["reset_before", "reset_after", "truncate"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_whatever_is_cut_off_the_next_try_ends_with_exactly_what_is_wanted(systems, fault, method):
    kept(HOOK)
    systems.fault("quay", fault, method=method, path="/notification/", times=20)
    keep(PUSHES, {"event": "build_success", "asset": "shop-image"})
    systems.clear_faults()
    kept(PUSHES, {"event": "build_success", "asset": "shop-image"})
    assert sorted(each["event"] for each in stored()) == ["build_success", "repo_push"]


def test_a_host_of_airflow_that_quay_refuses_is_named_with_its_option(systems, declared, mocker):
    for host in ("localhost", "127.0.0.1"):
        mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__WEBHOOKS_URL": f"http://{host}:8080"})
        said = str(keep(PUSHES).error)
        assert "[release_pipelines] webhooks_url, or [api] base_url without it, must be" in said
        assert f"Quay refuses {host}" in said
    assert systems.requests("quay", "POST") == []


def test_one_that_quay_would_not_serve_is_named_and_nothing_is_changed(systems):
    kept(HOOK)
    before = len(systems.requests("quay", "POST"))
    ended = keep(PUSHES, {"event": "repo_push", "config": {"url": "https://localhost/x"}})
    assert isinstance(ended.error, ReleasePipelineError)
    assert "must not name localhost" in str(ended.error)
    assert len(systems.requests("quay", "POST")) == before
    assert systems.requests("quay", "DELETE") == []


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (["repo_push"], "must be a list in which item 0 must be a mapping, got a str"),
        ([PUSHES, {"asset": "a"}], r"\[1\]: must have an event"),
        ([{"event": "repo_push"}], r"\[0\]: must have exactly one of config and asset"),
        ([PUSHES | {"url": "x"}], r"\[0\]: must have only .*, got 'url'"),
        ([PUSHES | {"event": "push"}], r"\[0\]: event must be "),
        ([PUSHES | {"method": "email"}], r"\[0\]: method must be 'webhook' with an asset"),
        ([{"event": "repo_push", "config": "x"}], r"\[0\]: config must be a mapping"),
    ],
)
def test_a_wrong_list_is_refused_when_the_dag_is_parsed(wanted, problem):
    with pytest.raises(BadRequestError, match=f"'keep': notifications {problem}"):
        QuayNotificationsOperator(task_id="keep", repository=SHOP, notifications=wanted)


def test_the_same_one_twice_is_refused(systems):
    ended = keep(PUSHES, dict(PUSHES))
    assert isinstance(ended.error, BadRequestError)
    assert "must all be different" in str(ended.error)


def test_who_keeps_them_is_the_task_of_this_airflow_unless_said_otherwise():
    ended = kept(PUSHES, kept_by=None)
    (title,) = [each["title"] for each in ended["notifications"]]
    assert title.startswith("repo_push [airflow:airflow.example.com/test_")
    assert title.endswith("/keep]")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("https://airflow.example.com/staging", "shop", "keep"), ("https://airflow.example.com/live", "shop", "keep")),
        (("https://airflow.example.com:8080", "shop", "keep"), ("https://airflow.example.com:8081", "shop", "keep")),
        (("https://airflow.example.com", "team.shop", "keep"), ("https://airflow.example.com", "team", "shop.keep")),
        (
            ("https://airflow.example.com", "shop" * 60, "k" * 200),
            ("https://airflow.example.com", "shop" * 60, "k" * 201),
        ),
    ],
    ids=["two Airflows below one host", "two ports", "ids with dots", "very long ids"],
)
def test_no_two_tasks_keep_each_others(systems, mocker, one, other):
    for url, dag_id, task_id in (one, other):
        mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__WEBHOOKS_URL": url})
        arguments = {"task_id": task_id, "repository": SHOP, "notifications": [HOOK]}
        assert run_task(partial(QuayNotificationsOperator, **arguments), dag_id=dag_id).state == "success"
    assert len(stored()) == 2


# --- secrets


@pytest.mark.parametrize(
    "task",
    [
        lambda: QuayCreateNotificationOperator(task_id="t", repository=SHOP, **PUSHES),
        lambda: QuayNotificationsOperator(task_id="t", repository=SHOP, notifications=[PUSHES]),
        lambda: CocktailRunBuildOperator(task_id="t", build_seq=12, tag_name="1.4.2", callback=True, poll_interval=0.1),
    ],
    ids=["create", "keep", "build"],
)
@pytest.mark.parametrize("refused", [False, True], ids=["taken", "refused"])
def test_the_url_of_a_webhook_is_stored_and_shown_nowhere(systems, task, refused, capfd, caplog):
    from tests.support import secrets

    if refused:
        body = {"message": f"cannot use {URL}/shop/{SECRET}", "error_message": f"cannot use {URL}/builds/{SECRET}"}
        for system, path in (("quay", "/notification/$"), ("cocktail", "/build/run/12$")):
            systems.fault(system, "status", method="POST", path=path, status=400, body=body, times=9)
    ended = run_task(task)
    assert (ended.error is not None) is refused
    # The sandbox's own server logs what it is asked for, if another test has let it.
    logged = [each.getMessage() for each in caplog.records if not each.name.startswith("uvicorn")]
    shown = [*secrets.kept_by_airflow(), "".join(capfd.readouterr()), *logged, str(ended), repr(ended.error)]
    assert secrets.found_in(shown, [SECRET]) == []


@pytest.mark.parametrize("is_native", [False, True], ids=["text", "mapping"])
def test_what_should_be_a_list_of_notifications_is_refused_without_showing_it(is_native, mocker, capfd):
    from tests.support import secrets

    url = "https://hooks.example.com/quay/known-word-of-a-single-notification"
    one = {"event": "repo_push", "config": {"url": url}}
    mocker.patch.dict(os.environ, {"AIRFLOW_VAR_WANTED_OF_A_TEST": json.dumps(one)})
    template = "{{ var.json.wanted_of_a_test }}" if is_native else "{{ var.value.wanted_of_a_test }}"
    ended = run_task(
        lambda: QuayNotificationsOperator(
            task_id="keep",
            repository=SHOP,
            notifications=template,
            render_template_as_native_obj=is_native,
        )
    )
    assert isinstance(ended.error, BadRequestError)
    assert f"notifications must be a list, got a {'dict' if is_native else 'str'}" in str(ended.error)
    shown = [*secrets.kept_by_airflow(), "".join(capfd.readouterr()), repr(ended.error)]
    assert secrets.found_in(shown, [url, "known-word-of-a-single-notification"]) == []
