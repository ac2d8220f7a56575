"""A webhook becomes one event of its asset, with what the system itself answers; or the system must send it again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.hooks.cocktail import CocktailHook
from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.hooks.quay import QuayHook
from airflow_provider.webhooks import clients, counting, occurrences, quay
from airflow_provider.webhooks.counting import count
from airflow_provider.webhooks.occurrences import Occurrence
from tests.support.patching import patched
from tests.support.until import until
from tests.webhooks.conftest import RECORDED, SECOND, Declare, Route, callback, events, recorded

EVENTS = "acme/events"
"""The repository of the recorded webhooks."""
PUSH = recorded("repo_push")


@pytest.fixture(autouse=True)
def hook(systems: Any, declare: Declare, asset: str) -> None:
    systems.reset(speed=100)
    declare(hook={"asset": asset})


def push(systems: Any, tag: str = "ok", repository: str = EVENTS) -> str:
    """Somebody pushes an image; returns its digest."""
    return str(systems.act("quay", "push_image", repository=repository, tag=tag)["digest"])


# --- Quay


def test_a_push_becomes_an_event_with_the_image_that_quay_reports(systems, route: Route, asset: str) -> None:
    digest = push(systems)
    assert route.post(PUSH) == 200
    (event,) = events(asset)
    assert event["event"] == "repo_push"
    assert (event["repository"], event["tag"], event["digest"]) == (EVENTS, "ok", digest)
    assert event["image_ref"].endswith(f"/{EVENTS}@{digest}")
    assert event["webhook"] == "hook"


def test_a_push_that_is_reported_again_is_counted_once(systems, route: Route, asset: str) -> None:
    push(systems)
    assert [route.post(PUSH) for _ in range(3)] == [200, 200, 200]
    assert len(events(asset)) == 1


def test_two_pushes_of_one_tag_are_reported_in_the_same_words_and_counted_as_two(
    systems, route: Route, asset: str
) -> None:
    digests = [push(systems)]
    route.post(PUSH)
    systems.advance(2)
    digests.append(push(systems))
    route.post(PUSH)
    assert [event["digest"] for event in events(asset)] == digests


def test_pushes_that_are_reported_when_both_have_happened_are_counted_as_two(systems, route: Route, asset: str) -> None:
    first = push(systems)
    systems.advance(2)
    second = push(systems)
    assert [route.post(PUSH) for _ in range(3)] == [200, 200, 200]
    assert [event["digest"] for event in events(asset)] == [second, first]


def test_a_tag_that_is_moved_back_is_pushed_again(systems, route: Route, asset: str) -> None:
    first = push(systems)
    route.post(PUSH)
    systems.advance(2)
    push(systems)
    route.post(PUSH)
    systems.advance(2)
    with QuayHook().get_conn() as client:
        client.tags.restore(EVENTS, "ok", digest=first)
    assert [route.post(PUSH) for _ in range(2)] == [200, 200]
    assert len(events(asset)) == 3
    assert events(asset)[-1]["digest"] == first


def test_two_pushes_within_a_second_are_two(systems, route: Route, asset: str) -> None:
    systems.reset(speed=1e-6)
    digests = {push(systems), push(systems)}
    assert [route.post(PUSH) for _ in range(3)] == [200] * 3
    assert {event["digest"] for event in events(asset)} == digests


def test_a_push_that_names_its_tag_twice_is_one(systems, route: Route, asset: str) -> None:
    push(systems)
    systems.advance(2)
    push(systems)
    assert route.post(PUSH | {"updated_tags": ["ok", "ok"]}) == 200
    assert len(events(asset)) == 1


def test_the_first_known_state_of_a_tag_is_no_event(systems, route: Route, asset: str) -> None:
    push(systems)
    systems.advance(1000)
    digest = push(systems)
    assert [route.post(PUSH) for _ in range(3)] == [200, 200, 200]
    assert [event["digest"] for event in events(asset)] == [digest]


def test_a_push_of_two_tags_is_an_event_of_each(systems, route: Route, asset: str) -> None:
    push(systems, "ok")
    push(systems, "latest")
    assert route.post(PUSH | {"updated_tags": ["ok", "latest"]}) == 200
    assert [event["tag"] for event in events(asset)] == ["ok", "latest"]


@pytest.mark.parametrize("event", [each["event"] for each in RECORDED if each["kind"] == "test"])
def test_a_test_of_a_real_quay_is_answered_and_counted_never(systems, route: Route, asset: str, event: str) -> None:
    for tag in ("latest", "foo"):
        push(systems, tag)
    assert route.post(recorded(event, "test")) == 200
    assert systems.requests("quay") == []
    assert events(asset) == []


@pytest.mark.parametrize("event", ["quota_warning", "quota_error"])
def test_a_quota_that_is_really_reached_is_an_event(route: Route, asset: str, event: str) -> None:
    assert route.post(recorded(event, "test") | {"usage_bytes": 123456789}) == 200
    (counted,) = events(asset)
    assert counted["event"] == "quota"


@pytest.mark.parametrize("event", [each["event"] for each in RECORDED if each["kind"] == "real"])
def test_every_message_of_a_real_quay_is_understood(systems, route: Route, event: str) -> None:
    assert route.post(recorded(event)) == 200


def build(systems: Any, **switches: Any) -> str:
    systems.switch("quay", **switches)
    with QuayHook().get_conn() as client:
        found = client.builds.start(
            repository="acme/shop", archive_url="https://sources.example.com/a.tar.gz", tags=["1.4.2"]
        )
        until(lambda: client.observe(found.ref).state.is_terminal)
    return found.id


def built(build_id: str) -> dict[str, Any]:
    return recorded("build_success") | {"repository": "acme/shop", "build_id": build_id}


def test_a_build_becomes_an_event_when_it_has_succeeded_whatever_the_message_says(
    systems, route: Route, asset: str
) -> None:
    good, bad = build(systems), build(systems, build_outcome="error")
    assert [route.post(built(each)) for each in (good, bad, good)] == [200, 200, 200]
    (event,) = events(asset)
    assert (event["id"], event["state"], event["confirmed"]) == (good, "succeeded", True)
    assert event["outputs"]["digest"].startswith("sha256:")


def test_states_say_what_is_an_event(systems, route: Route, asset: str, declare: Declare) -> None:
    declare(hook={"asset": asset, "states": ["failed"]})
    good, bad = build(systems), build(systems, build_outcome="error")
    assert [route.post(built(each)) for each in (good, bad)] == [200, 200]
    assert [event["id"] for event in events(asset)] == [bad]


@pytest.mark.parametrize(
    "finding", [{"id": "CVE-2026-H2"}, {"id": None, "link": None, "priority": None, "has_fix": None}]
)
def test_a_finding_with_fields_missing_is_taken_all_the_same(
    systems, route: Route, asset: str, finding: dict[str, Any]
) -> None:
    # A refusal would be repeated, and the third one disables the notification.
    assert route.post(recorded("vulnerability_found") | {"namespace": None, "vulnerability": finding}) == 200
    assert [event["vulnerability"]["id"] for event in events(asset)] == [finding["id"]]


def test_a_finding_that_is_sent_once_for_each_notification_is_one_event(
    systems, route: Route, asset: str, mocker: MockerFixture
) -> None:
    found = recorded("vulnerability_found")
    other = found | {"vulnerability": found["vulnerability"] | {"id": "CVE-2026-H3"}}
    assert [route.post(each) for each in (found, found, other)] == [200, 200, 200]
    assert [event["vulnerability"]["id"] for event in events(asset)] == ["CVE-2026-H2", "CVE-2026-H3"]
    mocker.patch.object(quay, "REPEATED_WITHIN", 0.0)
    assert route.post(found) == 200
    assert len(events(asset)) == 3


def test_each_run_of_a_mirror_is_an_event_although_quay_reports_them_by_equal_messages(
    systems, route: Route, asset: str
) -> None:
    from airflow.models.asset_state_store import AssetStateStoreModel
    from airflow.utils.session import create_session
    from sqlalchemy import update

    synchronized = recorded("repo_push") | {"updated_tags": None, "message": "quay.io/acme/shop: v*"}
    assert [route.post(synchronized) for _ in range(2)] == [200, 200]
    assert len(events(asset)) == 1, "Quay sends a message again that was not accepted"
    with create_session() as session:
        session.execute(update(AssetStateStoreModel).values(updated_at=datetime.now(UTC) - timedelta(minutes=10)))
    assert route.post(synchronized) == 200
    assert len({event["event_id"] for event in events(asset)}) == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "text",
        None,
        {"updated_tags": ["ok"]},
        {"repository": "acme"},
        {"repository": "acme/events"},
        {"repository": "../../user", "updated_tags": ["ok"]},
        {"repository": EVENTS, "updated_tags": []},
        {"repository": EVENTS, "updated_tags": "ok"},
        {"repository": EVENTS, "updated_tags": ["../x"]},
        {"repository": EVENTS, "updated_tags": ["ok"] * 51},
        {"repository": EVENTS, "updated_tags": [{"name": "ok"}]},
        {"repository": EVENTS, "build_id": "a/../b"},
        {"repository": {"$ne": 1}, "build_id": "a"},
        {"repository": f"acme/{'a' * 1000}", "updated_tags": ["ok"]},
        {"repository": EVENTS, "build_id": "a" * 256},
        {"namespace": "acme\nshop", "threshold_percent": 80},
        {"namespace": "a" * 256, "threshold_percent": 80},
    ],
)
def test_what_is_no_message_of_quays_is_refused_and_asks_quay_nothing(
    systems, route: Route, asset: str, body: Any
) -> None:
    assert route.post(body) == 400
    assert events(asset) == []
    assert systems.requests("quay") == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"NaN"])
def test_what_is_no_json_is_refused(route: Route, content: bytes) -> None:
    assert route.post(data=content, headers={"content-type": "application/json"}) == 400


@pytest.mark.parametrize("fault", ["status", "reset_before", "truncate", "html"])
def test_while_quay_cannot_be_asked_it_shall_come_again_and_nothing_is_lost(
    systems, route: Route, asset: str, fault: str
) -> None:
    push(systems)
    systems.fault("quay", fault, method="GET", path="/tag/", times=1, **({"status": 502} if fault == "status" else {}))
    assert [route.post(PUSH), route.post(PUSH)] == [503, 200]
    assert len(events(asset)) == 1


def test_credentials_that_were_mended_count_at_once(systems, route: Route, asset: str) -> None:
    from tests.support.systems import LOGINS, define_connection

    push(systems)
    define_connection("quay_default", conn_type="quay", host=f"{systems.url}/quay", password="x" * 40)
    assert route.post(PUSH) == 503
    define_connection("quay_default", conn_type="quay", host=f"{systems.url}/quay", **LOGINS["quay"])
    assert route.post(PUSH) == 200
    assert len(events(asset)) == 1


# --- Cocktail


@pytest.fixture
def run(systems, declare: Declare, asset: str) -> str:
    """A build run of Cocktail that has ended well."""
    declare(hook={"asset": asset, "source": "cocktail"})
    with CocktailHook().get_conn() as client:
        found = client.builds.run(12, tag_name="1.4.2")
        until(lambda: client.observe(found.ref).state.is_terminal)
    return found.id


def test_callbacks_of_a_build_become_one_event_with_its_image(systems, route: Route, asset: str, run: str) -> None:
    states = ["RUNNING", "RUNNING", "DONE", "DONE"]
    assert [route.post(callback(run, state)) for state in states] == [200] * 4
    (event,) = events(asset)
    assert (event["id"], event["state"], event["confirmed"]) == (run, "succeeded", True)
    assert event["outputs"]["image_ref"]


def test_a_run_whose_number_is_spelled_in_another_way_is_the_same_run(
    systems, route: Route, asset: str, run: str
) -> None:
    body = callback(run, "DONE")
    for number in (int(run), run, f"0{run}", f" {run} "):
        target = body["target"] | {"buildRunSeq": number, "buildSeq": "012"}
        assert route.post(body | {"target": target}) == 200
    assert [event["id"] for event in events(asset)] == [run]


@pytest.mark.parametrize("number", [0, -1, "0", "1.0", "1e3", "\u0661", "9" * 30, "../1", ""])
def test_a_run_whose_number_is_none_is_refused(systems, route: Route, asset: str, run: str, number: Any) -> None:
    body, before = callback(run, "DONE"), len(systems.requests("cocktail"))
    assert route.post(body | {"target": body["target"] | {"buildRunSeq": number}}) == 400
    assert len(systems.requests("cocktail")) == before


def test_what_is_reported_again_to_an_api_server_that_has_been_restarted_is_counted_once(
    systems, route: Route, asset: str
) -> None:
    push(systems)
    assert route.post(PUSH) == 200
    counting.swept_at.clear()
    clients.kept.clear()
    with Route() as restarted:
        assert [restarted.post(PUSH), route.post(PUSH)] == [200, 200]
    assert len(events(asset)) == 1


def test_a_step_that_nobody_wants_to_hear_of_asks_cocktail_nothing(systems, route: Route, run: str) -> None:
    before = len(systems.requests("cocktail"))
    assert route.post(callback(run, "RUNNING")) == 200
    assert len(systems.requests("cocktail")) == before


def test_an_end_that_cocktail_does_not_show_yet_is_an_event_that_says_so(
    systems, route: Route, asset: str, declare: Declare, mocker: MockerFixture
) -> None:
    mocker.patch.object(occurrences, "PAUSE", 0.01)
    declare(hook={"asset": asset, "source": "cocktail"})
    systems.reset(speed=0.01)
    with CocktailHook().get_conn() as client:
        run = client.builds.run(12, tag_name="1.4.2").id
    assert route.post(callback(run, "DONE")) == 200
    (event,) = events(asset)
    assert (event["id"], event["state"], event["confirmed"]) == (run, "succeeded", False)


def test_an_end_while_cocktail_cannot_be_asked_is_an_event_because_it_never_comes_again(
    systems, route: Route, asset: str, run: str
) -> None:
    systems.fault("cocktail", "status", method="GET", status=502, times=50)
    assert route.post(callback(run, "DONE")) == 200
    systems.clear_faults()
    assert route.post(callback(run, "DONE")) == 200
    assert [(event["id"], event["confirmed"]) for event in events(asset)] == [(run, False)]


def test_a_run_that_cocktail_does_not_know_is_no_event(systems, route: Route, asset: str, run: str) -> None:
    assert route.post(callback("999999", "DONE")) == 200
    assert events(asset) == []


@pytest.mark.parametrize("kind", ["CANCEL", "REMOVE"])
def test_runs_that_are_no_builds_are_no_events(route: Route, asset: str, run: str, kind: str) -> None:
    assert route.post(callback(run, "DONE", runType=kind)) == 200
    assert route.post({"event": "BUILD_STATE", "target": {"buildSeq": 12}, "data": {}}) == 200
    assert events(asset) == []


@pytest.mark.parametrize(
    "body", [{}, {"event": "BUILD_RUN_STATE"}, {"event": "BUILD_RUN_STATE", "target": {"buildSeq": 12}}]
)
def test_what_is_no_callback_is_refused(route: Route, run: str, body: Any) -> None:
    assert route.post(body) == 400


# --- Code Stream


def test_a_webhook_of_a_pipeline_becomes_an_event_with_its_execution(
    systems, route: Route, asset: str, declare: Declare
) -> None:
    declare(hook={"asset": asset, "source": "code_stream"})
    with CodeStreamHook().get_conn() as client:
        pipeline = client.pipelines.find("Deploy shop", "retail")
        started = client.pipelines.run(pipeline["id"], inputs={"tag": "1.4.2"})
        until(lambda: client.observe(started.ref).state.is_terminal)
    links = [started.id, f"/codestream/api/executions/{started.id}"]
    assert [route.post({"executionId": link, "event": "SUCCESS", "free": {"text": 1}}) for link in links] == [200, 200]
    (event,) = events(asset)
    assert (event["system"], event["id"], event["state"]) == ("code_stream", started.id, "succeeded")


@pytest.mark.parametrize(
    "link", ["", "${executionId}", "{executionId}", "https://vra.example.com/executions/${executionId}"]
)
def test_a_variable_that_code_stream_has_not_filled_in_is_refused_and_asks_nothing(
    systems, route: Route, asset: str, declare: Declare, link: str, caplog: pytest.LogCaptureFixture
) -> None:
    declare(hook={"asset": asset, "source": "code_stream"})
    assert route.post({"executionId": link, "event": "${status}"}) == 400
    assert systems.requests("code_stream") == []
    if "${" in link:
        assert "executionId holds a variable that Code Stream has not filled in" in caplog.text


def test_an_event_that_code_stream_has_not_filled_in_claims_nothing(
    systems, route: Route, asset: str, declare: Declare
) -> None:
    declare(hook={"asset": asset, "source": "code_stream"})
    with CodeStreamHook().get_conn() as client:
        pipeline = client.pipelines.find("Deploy shop", "retail")
        started = client.pipelines.run(pipeline["id"], inputs={"tag": "1.4.2"})
        until(lambda: client.observe(started.ref).state.is_terminal)
    assert route.post({"executionId": started.id, "event": "${status}"}) == 200
    assert [event["state"] for event in events(asset)] == ["succeeded"]


def test_an_execution_that_code_stream_does_not_know_is_no_event(
    systems, route: Route, asset: str, declare: Declare
) -> None:
    declare(hook={"asset": asset, "source": "code_stream"})
    for event in ("SUCCESS", "FAILURE", ""):
        assert route.post({"executionId": "no-such-execution", "event": event}) == 200
    assert events(asset) == []


@pytest.mark.parametrize("body", [{}, {"executionId": ""}, {"executionId": 3}, {"executionId": "a b"}])
def test_a_payload_without_an_execution_is_refused(route: Route, asset: str, declare: Declare, body: Any) -> None:
    declare(hook={"asset": asset, "source": "code_stream"})
    assert route.post(body) == 400


# --- Airflow


def queued(asset: str) -> list[Any]:
    """When the DAGs that wait for a run by this asset were put into the queue."""
    from airflow.models.asset import AssetDagRunQueue, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = select(AssetDagRunQueue.created_at).join(AssetModel, AssetModel.id == AssetDagRunQueue.asset_id)
        return list(session.scalars(rows.where(AssetModel.name == asset)))


def times(asset: str) -> list[Any]:
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = select(AssetEvent.timestamp).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        return list(session.scalars(rows.where(AssetModel.name == asset)))


def some(number: int) -> Occurrence:
    return Occurrence(f"it-{number}", "it", {"number": number})


def test_the_run_that_waits_takes_the_last_event_with_it(asset: str, systems) -> None:
    """Airflow gives a run the events up to the time of its entry in the queue."""
    for number in range(3):
        assert count(asset, [some(number)], "hook")
        (entry,) = queued(asset)
        assert entry >= max(times(asset))


def test_many_that_report_the_same_at_once_are_counted_once(asset: str, systems) -> None:
    ready = threading.Barrier(4)

    def post(_: int) -> int:
        ready.wait()
        counted = 0
        for number in range(10):
            while True:
                try:
                    counted += bool(count(asset, [some(number)], "hook"))
                    break
                except Exception:
                    continue
        return counted

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(post, range(4))) == 10
    assert sorted(event["number"] for event in events(asset)) == list(range(10))


def test_an_asset_is_found_by_its_uri_too(systems, route: Route, asset: str, declare: Declare) -> None:
    declare(hook={"asset": f"x-image://{asset}"})
    push(systems)
    assert route.post(PUSH) == 200
    assert len(events(asset)) == 1


def test_an_asset_that_no_dag_names_lets_the_system_come_again_and_is_reported(
    systems, route: Route, declare: Declare, caplog: pytest.LogCaptureFixture
) -> None:
    declare(hook={"asset": "nobodys"})
    push(systems)
    assert route.post(PUSH) == 503
    assert "no DAG in Airflow names the asset 'nobodys'" in caplog.text


def test_an_asset_that_no_dag_names_any_more_lets_the_system_come_again(systems, route: Route, asset: str) -> None:
    from airflow.models.asset import AssetActive
    from airflow.utils.session import create_session

    push(systems)
    with create_session() as session:
        session.query(AssetActive).filter(AssetActive.name == asset).delete()
    assert route.post(PUSH) == 503
    assert events(asset) == []


def test_a_database_that_breaks_after_the_event_was_written_leaves_all_or_nothing(
    systems, route: Route, asset: str
) -> None:
    from sqlalchemy.exc import OperationalError

    push(systems)

    def breaks(*args: Any, **options: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("the database is away"))

    with (
        patched(counting.asset_manager, "_queue_dagruns", breaks, create=True),
        patched(type(counting.asset_manager), "_queue_dagruns", breaks),
    ):
        assert route.post(PUSH) == 503
        assert events(asset) == []
    assert route.post(PUSH) == 200
    assert len(events(asset)) == 1


def test_what_was_counted_long_ago_is_not_kept(asset: str, mocker: MockerFixture, systems) -> None:
    from airflow.models.asset import AssetModel
    from airflow.models.asset_state_store import AssetStateStoreModel
    from airflow.utils.session import create_session

    def kept() -> int:
        with create_session() as session:
            return session.query(AssetStateStoreModel).filter(AssetStateStoreModel.value == '"it"').count()

    before = kept()
    mocker.patch.object(counting, "SWEEP_EVERY", 0.0)
    count(asset, [some(1)], "hook")
    count(asset, [some(2)], "hook")
    assert kept() == before + 2
    # Of an author's own, of the same asset.
    with create_session() as session:
        asset_id = session.query(AssetModel.id).filter(AssetModel.name == asset).scalar()
        session.add(AssetStateStoreModel(asset_id=asset_id, key="own", value='"own"'))
    mocker.patch.object(counting, "COUNTED_FOR", 0.0)
    count(asset, [some(3)], "hook")
    assert kept() == before + 1
    with create_session() as session:
        assert session.get(AssetStateStoreModel, (asset_id, "own"))


def test_an_event_can_be_kept_whatever_the_system_says(asset: str, systems) -> None:
    count(
        asset,
        [Occurrence("it", "it", {"text": "a\0b\ud800", "number": float("nan"), "many": ["x" * 10] * 20_000})],
        "h",
    )
    (event,) = events(asset)
    assert event["text"] == "a\ufffdb\ufffd"
    assert event["number"] is None
    assert event["many"] == "... (too large)"


def test_a_second_secret_leads_to_the_same_event(systems, route: Route, asset: str, declare: Declare) -> None:
    from tests.webhooks.conftest import SECRET

    declare(hook={"asset": asset, "secrets": [SECOND, SECRET]})
    push(systems)
    assert [route.post(PUSH, secret=SECRET), route.post(PUSH, secret=SECOND)] == [200, 200]
    assert len(events(asset)) == 1
