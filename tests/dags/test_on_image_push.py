"""Which of the events of its asset the example DAG releases."""

from __future__ import annotations

import runpy
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider.hooks.quay import QuayHook
from tests.support.systems import Systems

DAG_FILE = Path(__file__).parents[2] / "dags" / "on_image_push.py"
BY_HAND: dict[str, Any] = {"from_rest_api": True}
BUILT: dict[str, Any] = {"system": "quay", "id": "b1", "state": "succeeded", "outputs": {"tags": ["v2"]}}


def newest_version(*extras: dict[str, Any]) -> dict[str, str]:
    module = runpy.run_path(str(DAG_FILE))
    events = [SimpleNamespace(extra=extra, timestamp=datetime.now(UTC)) for extra in extras]
    task = module["on_image_push"]().get_task("newest_version")
    found: dict[str, str] = task.python_callable(triggering_asset_events={module["IMAGE"]: events})
    return found


def push(systems: Systems, tag: str) -> dict[str, str]:
    digest = systems.act("quay", "push_image", repository="acme/shop", tag=tag)["digest"]
    systems.post("clock", advance=1)
    return {"tag": tag, "digest": str(digest)}


def test_the_version_that_was_pushed_last_is_released_whichever_way_and_in_whatever_order_it_is_reported(
    systems: Systems,
) -> None:
    first, second = push(systems, "v1"), push(systems, "v2")
    push(systems, "nightly")
    for extras in ([first], [{"payload": second}, first, BY_HAND, BUILT]):
        assert newest_version(*extras) == second


def test_an_image_that_its_tag_has_left_is_not_released(systems: Systems) -> None:
    """Quay reports two pushes of a tag by equal messages, and in no order."""
    first, second = push(systems, "v1"), push(systems, "v1")
    assert newest_version(first) == second


def test_what_is_reported_again_after_a_younger_version_was_released_is_not_released_again(systems: Systems) -> None:
    first, second = push(systems, "v1"), push(systems, "v2")
    with QuayHook().get_conn() as client:
        client.tags.promote("acme/shop", "release", digest=second["digest"])
    with pytest.raises(AirflowSkipException, match="v2 is released already"):
        newest_version(first)


@pytest.mark.parametrize("extra", [BY_HAND, BUILT, {"payload": {"kind": "deleted", "tag": "v1", "digest": None}}])
def test_an_event_without_an_image_releases_nothing(systems: Systems, extra: dict[str, Any]) -> None:
    push(systems, "v1")
    with pytest.raises(AirflowSkipException, match="no version was pushed"):
        newest_version(extra)
