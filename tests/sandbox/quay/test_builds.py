"""What the Quay stand-in promises, over real HTTP; webhooks are compared with those recorded from a real server."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from tests.support.quay_calls import READ_TOKEN, SHOP, TOKEN, Api, digest_of
from tests.support.receiver import Receiver


def test_a_build_goes_through_its_phases_and_pushes_its_tags(api: Api) -> None:
    api.post("reset", speed=40)
    build = api.build(docker_tags=["a", "b"], subdirectory="/app")
    assert (build["phase"], build["tags"], build["manual_user"]) == ("waiting", ["a", "b"], "admin")
    assert (build["dockerfile_path"], build["repository"]) == ("/app/Dockerfile", {"namespace": "acme", "name": "shop"})
    assert (build["subdirectory"], build["context"]) == ("/app/Dockerfile", "/app")
    assert "digest" not in json.dumps(build)
    api.phase(build["id"], "complete")
    (execution,) = requests.get(f"{api.url}/_sandbox/executions", params={"system": "quay"}, timeout=60).json()
    assert [each["state"] for each in execution["states"]] == [
        "waiting",
        "build-scheduled",
        "unpacking",
        "pulling",
        "building",
        "pushing",
        "complete",
    ]
    assert execution["states"][-1]["at"] - execution["states"][0]["at"] == pytest.approx(10 / 40, abs=0.01)
    assert execution["started_by"] == "admin"
    assert digest_of(api, "a") == digest_of(api, "b")


def test_the_answer_to_a_start_leads_to_the_status(api: Api) -> None:
    reply = api.call("POST", f"{SHOP}/build/", {"archive_url": "https://example.com/a.tgz"})
    assert (
        requests.get(
            api.url + reply.headers["location"], headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60
        ).json()["id"]
        == (reply.json()["id"])
    )
    assert reply.json()["tags"] == ["latest"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"archive_url": "ftp://example.com/a"}, 400),
        ({"file_id": "unknown"}, 400),
        ({"archive_url": "https://example.com/a", "docker_tags": []}, 400),
        ({"archive_url": "https://example.com/a", "docker_tags": ["a", "a"]}, 400),
        ({"archive_url": "https://example.com/a", "pull_robot": "acme+none"}, 404),
    ],
)
def test_a_build_without_what_it_needs_is_refused(api: Api, body: dict[str, Any], status: int) -> None:
    assert api.call("POST", f"{SHOP}/build/", body).status_code == status
    assert api.call("GET", f"{SHOP}/build/").json() == {"builds": []}


def test_too_many_queued_builds_are_refused_without_retry_after(api: Api) -> None:
    api.post("reset", speed=1)
    api.switch(max_queued_builds=1)
    api.build()
    reply = api.call("POST", f"{SHOP}/build/", {"archive_url": "https://example.com/a.tgz"})
    assert (reply.status_code, set(reply.json())) == (429, {"message"})
    assert "retry-after" not in reply.headers


def test_builds_are_listed_newest_first_five_by_default(api: Api) -> None:
    made = [api.build()["id"] for _ in range(6)]
    listed = api.call("GET", f"{SHOP}/build/").json()["builds"]
    assert [each["id"] for each in listed] == made[:0:-1]
    assert len(api.call("GET", f"{SHOP}/build/", params={"limit": 10}).json()["builds"]) == 6
    since = int(time.time()) + 100
    assert api.call("GET", f"{SHOP}/build/", params={"since": since}).json()["builds"] == []
    assert len({each["display_name"] for each in listed}) == 1


@pytest.mark.parametrize(("tail", "status"), [("", 404), ("/status", 400), ("/logs", 400)])
def test_an_unknown_build_is_400_on_status_and_logs(api: Api, tail: str, status: int) -> None:
    reply = api.call("GET", f"{SHOP}/build/nope{tail}")
    assert reply.status_code == status
    if status == 400:
        assert reply.json() == {"message": "Unable to locate a build by id: nope"}


def test_a_build_of_another_repository_is_404(api: Api) -> None:
    api.push("v1", "acme/app")
    build_id = api.build()["id"]
    for tail in ("", "/status", "/logs"):
        assert api.call("GET", f"/repository/acme/app/build/{build_id}{tail}").status_code == 404


@pytest.mark.parametrize(
    ("switches", "phase"),
    [({"build_outcome": "error"}, "error"), ({"build_outcome": "expired"}, "expired"), ({}, "complete")],
)
def test_builds_end_as_scripted(api: Api, switches: dict[str, Any], phase: str) -> None:
    api.switch(**switches)
    api.phase(api.build()["id"], phase)


def test_an_internal_error_loops_and_then_completes(api: Api) -> None:
    api.switch(build_outcome="internalerror", internalerror_loops=2)
    api.phase(api.build()["id"], "complete")
    (execution,) = requests.get(f"{api.url}/_sandbox/executions", params={"system": "quay"}, timeout=60).json()
    assert [each["state"] for each in execution["states"]].count("internalerror") == 2


def test_a_build_log_store_that_is_down_hides_the_phase(api: Api) -> None:
    build_id = api.build()["id"]
    api.switch(build_log_store_down=True)
    shown = api.call("GET", f"{SHOP}/build/{build_id}").json()
    assert (shown["phase"], bool(shown["error"])) == ("cannot_load", True)
    assert api.call("GET", f"{SHOP}/build/{build_id}/logs").json()["total"] == 0


def test_a_running_build_is_cancelled_with_201_okay(api: Api) -> None:
    api.switch(build_outcome="hang")
    build_id = api.build()["id"]
    api.phase(build_id, "building")
    reply = api.call("DELETE", f"{SHOP}/build/{build_id}")
    assert (reply.status_code, reply.json()) == (201, "Okay")
    assert api.call("GET", f"{SHOP}/build/{build_id}").json()["phase"] == "cancelled"


def test_a_second_cancel_within_seconds_dies(api: Api) -> None:
    api.post("reset", speed=1)
    build_id = api.build()["id"]
    assert [api.call("DELETE", f"{SHOP}/build/{build_id}").status_code for _ in range(2)] == [201, 500]
    assert api.call("GET", f"{SHOP}/build/{build_id}/logs").json()["total"] == 0
    api.post("clock", advance=10)
    assert api.call("DELETE", f"{SHOP}/build/{build_id}").status_code == 400


def test_only_the_log_of_a_failed_build_says_why(api: Api) -> None:
    api.switch(build_outcome="error")
    build = api.phase(api.build()["id"], "error")
    entries = api.call("GET", f"{SHOP}/build/{build['id']}/logs").json()["logs"]
    assert build["error"] is None
    assert [each["message"] for each in entries if each.get("type") == "error"] == ["The Dockerfile could not be built"]


def test_without_builders_a_build_is_taken_and_never_run(api: Api) -> None:
    api.switch(build_support=False)
    build_id = api.build()["id"]
    api.post("clock", advance=3600)
    assert api.call("GET", f"{SHOP}/build/{build_id}").json()["phase"] == "waiting"


@pytest.mark.parametrize(
    ("given", "kept"), [("t" * 128, "t" * 127), ("-bad tag", "_bad_tag"), ("a/b:c", "a_b_c"), ("", "latest")]
)
def test_the_tags_of_a_build_are_rewritten_when_it_is_stored(api: Api, given: str, kept: str) -> None:
    build = api.build(docker_tags=[given])
    assert build["tags"] == [kept]
    api.phase(build["id"], "complete")
    assert digest_of(api, kept)


def test_an_archive_url_that_is_not_ascii_dies_and_starts_nothing(api: Api) -> None:
    reply = api.call("POST", f"{SHOP}/build/", {"archive_url": "https://example.com/größe.tgz"})
    assert (reply.status_code, reply.headers["content-type"]) == (500, "text/html")
    assert api.call("GET", f"{SHOP}/build/").json() == {"builds": []}


@pytest.mark.parametrize(("limit", "status", "number"), [(0, 200, 6), (-1, 500, None), ("x", 400, None)])
def test_limits_of_builds(api: Api, limit: Any, status: int, number: int | None) -> None:
    for _ in range(6):
        api.build()
    reply = api.call("GET", f"{SHOP}/build/", params={"limit": limit})
    assert reply.status_code == status
    assert number is None or len(reply.json()["builds"]) == number


def test_a_finished_build_cannot_be_cancelled(api: Api) -> None:
    build_id = api.build()["id"]
    api.phase(build_id, "complete")
    reply = api.call("DELETE", f"{SHOP}/build/{build_id}")
    assert (reply.status_code, reply.json()["detail"]) == (400, "Build is currently running or has finished")


def test_a_refused_cancel_takes_the_remaining_tries_away(api: Api, receiver: Receiver) -> None:
    api.switch(build_outcome="hang", ephemeral_build_manager=False)
    api.notify(receiver.url, "build_failure")
    build_id = api.build()["id"]
    api.phase(build_id, "building")
    assert api.call("DELETE", f"{SHOP}/build/{build_id}").status_code == 400
    api.post(f"executions/quay/{build_id}", state="error")
    assert receiver.bodies(1)[0]["build_id"] == build_id


def test_logs_grow_need_write_and_are_archived(api: Api) -> None:
    build_id = api.build()["id"]
    path = f"{SHOP}/build/{build_id}/logs"
    api.phase(build_id, "complete")
    logs = api.call("GET", path).json()
    assert logs["total"] == len(logs["logs"]) > 5
    assert {"message", "type", "data"} == set(logs["logs"][0])
    assert api.call("GET", path, params={"start": logs["total"]}).json()["logs"] == []
    assert api.call("GET", path, token=READ_TOKEN).status_code == 403
    api.switch(reader_build_logs=True)
    assert api.call("GET", path, token=READ_TOKEN).status_code == 200
    api.post("clock", advance=400)
    archive = api.call("GET", path).json()["logs_url"]
    assert requests.get(api.url + archive, timeout=60).json()["logs"] == logs["logs"]


def test_the_archive_url_is_for_writers(api: Api) -> None:
    build_id = api.build()["id"]
    assert "archive_url" in api.call("GET", f"{SHOP}/build/{build_id}").json()
    reader = api.call("GET", f"{SHOP}/build/{build_id}", token=READ_TOKEN).json()
    assert (reader["is_writer"], "archive_url" in reader) == (False, False)
