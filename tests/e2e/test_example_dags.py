"""The example DAGs beside the release train, in a real Airflow: what they do to the systems, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.quay import QuayClient
from airflow_provider.sandbox import seed
from demo.airflow_api import FINISHED, AirflowApi
from tests.chaos import people
from tests.chaos.people import TaskInstance
from tests.e2e.asking import until
from tests.e2e.stage import Stage

SHOP = "acme/shop"


@pytest.fixture(autouse=True)
def _fresh(stage: Stage) -> None:
    stage.reset()


def end_of(stage: Stage, dag_id: str, run_id: str) -> str:
    return until(
        lambda: (state := stage.airflow.api.dag_run(dag_id, run_id)["state"]) in FINISHED and state, f"{run_id} ends"
    )


# --- freeze


def code_stream(stage: Stage) -> CodeStreamClient:
    login, password = next(iter(seed.CODE_STREAM_USERS.items()))
    return CodeStreamClient(f"{stage.sandbox.url}/code_stream", username=login, password=password)


def enabled(stage: Stage) -> dict[str, bool]:
    """What can be enabled and disabled, by its name."""
    with code_stream(stage) as client:
        found = [*client.pipelines.list(), *client.registry_webhooks.list(), *client.gerrit_triggers.list()]
        return {f"{each['project']}/{each['name']}": each["enabled"] for each in found}


def frozen(stage: Stage) -> str:
    """A freeze that lasts; returns the id of its run."""
    run_id = stage.start("freeze")
    disabling = [each["task_id"] for each in stage.airflow.api.tasks("freeze") if each["task_id"].startswith("disable")]
    assert len(disabling) == 4

    def is_frozen() -> bool:
        states = stage.states("freeze", run_id)
        return states["wait_for_end"] == "deferred" and all(states[each] == "success" for each in disabling)

    until(is_frozen, "the freeze has begun")
    return run_id


FREEZES = {
    "retail/Deploy shop",
    "retail/Deploy shop with approval",
    "retail/shop-images",
    "retail/shop-changes",
}


def test_a_freeze_disables_what_it_lists_and_enables_that_again_at_its_end(stage: Stage) -> None:
    before = enabled(stage)
    assert before["retail/Disabled pipeline"] is False
    run_id = frozen(stage)
    assert enabled(stage) == before | dict.fromkeys(FREEZES, False)
    people.mark(stage.airflow.api, TaskInstance("freeze", run_id, "wait_for_end", -1), "success")
    assert end_of(stage, "freeze", run_id) == "success"
    assert enabled(stage) == before


def test_a_freeze_that_is_marked_failed_ends_too(stage: Stage) -> None:
    before = enabled(stage)
    run_id = frozen(stage)
    people.fail_run(stage.airflow.api, TaskInstance("freeze", run_id, "wait_for_end", -1))
    until(lambda: enabled(stage) == before, "everything is enabled again")
    assert end_of(stage, "freeze", run_id) == "failed"


# --- nightly_release


def alone(stage: Stage, dag_id: str) -> None:
    """Unpause a DAG, and end what its schedule starts now: the tests may run at night."""
    api = stage.airflow.api
    api.unpause(dag_id)

    def is_idle() -> bool:
        due = datetime.fromisoformat(api.call("GET", f"dags/{dag_id}")["next_dagrun_run_after"])
        runs = [run_id for run_id in api.run_ids(dag_id) if api.dag_run(dag_id, run_id)["state"] not in FINISHED]
        for run_id in runs:
            people.fail_run(api, TaskInstance(dag_id, run_id, "", -1))
        return not runs and due > datetime.now(due.tzinfo)

    until(is_idle, f"{dag_id} has no runs")
    stage.reset()


def asked(stage: Stage, run_id: str) -> dict[str, Any]:
    """What the release asks, and nobody has answered yet."""

    def action() -> dict[str, Any]:
        found = stage.airflow.api.required_actions("nightly_release", run_id)
        is_open = stage.states("nightly_release", run_id)["release"] == "deferred"
        return next((each for each in found if is_open and not each["response_received"]), {})

    asked = until(action, "the release asks")
    stage.wait_for_its_trigger("nightly_release", run_id, "release")
    return dict(asked)


def answer(stage: Stage, run_id: str, person: str, option: str, comment: str) -> None:
    api = AirflowApi(stage.airflow.url, person, person)
    assert api.answer("nightly_release", run_id, "release", option, comment)


def actions(stage: Stage) -> list[str]:
    return [change.rpartition("action_id=")[2] for change in stage.changes("service_stage")]


def test_a_nightly_release_needs_two_people(stage: Stage) -> None:
    alone(stage, "nightly_release")
    run_id = stage.start("nightly_release")
    assert "2 different people must approve" in asked(stage, run_id)["body"]
    answer(stage, run_id, "ada", "Approve", "tests are green")
    asked(stage, run_id)
    assert actions(stage) == ["start"]
    answer(stage, run_id, "bob", "Approve", "so is the weather")
    run = stage.watch("nightly_release", run_id)
    assert run.state == "success", run.errors
    assert run.results["release_notes"] == {
        "release_record": run.results["release"]["id"],
        "approved_by": ["ada", "bob"],
    }
    assert actions(stage) == ["start", "approval"]
    assert run.states["roll_back"] == "skipped"


def test_a_nightly_release_that_one_person_rejects_is_rolled_back_and_the_run_is_failed(stage: Stage) -> None:
    alone(stage, "nightly_release")
    run_id = stage.start("nightly_release")
    asked(stage, run_id)
    answer(stage, run_id, "bob", "Reject", "not tonight")
    run = stage.watch("nightly_release", run_id)
    assert run.state == "failed"
    assert {task_id: run.states[task_id] for task_id in ("release", "roll_back", "release_notes")} == {
        "release": "failed",
        "roll_back": "success",
        "release_notes": "upstream_failed",
    }, run.errors
    assert actions(stage) == ["start", "approval", "rollback"]


def test_the_next_nightly_release_is_at_the_opening_of_a_window(stage: Stage) -> None:
    alone(stage, "nightly_release")
    due = datetime.fromisoformat(stage.airflow.api.call("GET", "dags/nightly_release")["next_dagrun_run_after"])
    opening = due.astimezone(ZoneInfo("Europe/Berlin"))
    assert (opening.hour, opening.minute) == (22, 0)
    assert opening.weekday() < 4
    assert f"{opening:%m-%d}" not in [f"12-{day}" for day in range(20, 32)] + [f"01-{day:02}" for day in range(1, 4)]


# --- on_image_push, registry_webhooks


@pytest.fixture
def unpaused(stage: Stage) -> Iterator[None]:
    """Both DAGs can run, and are at rest again afterwards."""
    api = stage.airflow.api
    api.unpause("on_image_push")
    # Airflow looks for the watchers of DAGs that are not paused when it parses their files.
    api.call("PUT", f"parseDagFile/{api.call('GET', 'dags/on_image_push')['file_token']}")
    yield
    for dag_id in ("on_image_push", "registry_webhooks"):
        api.call("PATCH", f"dags/{dag_id}", json={"is_paused": True})


def push(stage: Stage, tag: str) -> str:
    return str(stage.sandbox.control.act("quay", "push_image", repository=SHOP, tag=tag, severities=[])["digest"])


def quay(stage: Stage) -> QuayClient:
    return QuayClient(f"{stage.sandbox.url}/quay", token=seed.QUAY_TOKEN)


def released(stage: Stage) -> str | None:
    """The digest of what was released last."""
    with quay(stage) as client:
        tag = client.tags.find(SHOP, "release")
    return tag["manifest_digest"] if tag else None


def is_watched(stage: Stage) -> bool:
    """Whether the watcher has seen what there is: it reports what happens from then on."""
    seen = stage.sandbox.control.requests("quay", "GET", f"/repository/{SHOP}/tag/")
    return any(each["status"] == 200 for each in seen)


def releases(stage: Stage) -> list[str]:
    """What was changed in the systems, apart from the notifications."""
    changes = [re.sub(r"[0-9a-f-]{36}", "PIPELINE", each.split("?")[0]) for each in stage.changes()]
    return [each for each in changes if "/notification/" not in each]


RELEASE = [
    "code_stream POST /code_stream/codestream/api/pipelines/PIPELINE/executions",
    f"quay PUT /quay/api/v1/repository/{SHOP}/tag/release",
]


def over(stage: Stage) -> bool:
    api = stage.airflow.api
    return all(api.dag_run("on_image_push", run_id)["state"] in FINISHED for run_id in api.run_ids("on_image_push"))


def events(stage: Stage) -> list[dict[str, Any]]:
    """Of the asset, the oldest first."""
    found = stage.airflow.api.call("GET", "assets/events", params={"limit": 100, "order_by": "timestamp"})
    return [each["extra"] for each in found["asset_events"] if each.get("name") == "shop-image"]


@pytest.mark.usefixtures("unpaused")
def test_a_pushed_version_is_released_once_whoever_reports_it(stage: Stage) -> None:
    until(lambda: is_watched(stage), "the watcher has begun")
    push(stage, "nightly")
    first = push(stage, "v1.5.0")
    until(lambda: released(stage) == first and over(stage), "the version is released")
    assert releases(stage) == RELEASE

    # Quay sends a webhook as well now.
    run_id = stage.scheduled("registry_webhooks")
    assert end_of(stage, "registry_webhooks", run_id) == "success"
    with quay(stage) as client:
        kept = client.notifications.list(SHOP)
    assert sorted(each["event"] for each in kept) == ["repo_push", "vulnerability_found"]
    second = push(stage, "v1.6.0")
    until(lambda: released(stage) == second, "the second version is released")

    def reported() -> set[bool]:
        return {"payload" in each for each in events(stage) if each.get("payload", each)["digest"] == second}

    until(lambda: reported() == {True, False} and over(stage), "both the watcher and Quay have reported it")
    assert releases(stage) == RELEASE * 2
