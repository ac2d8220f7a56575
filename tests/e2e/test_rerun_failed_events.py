"""The rerun of failed events in a real Airflow: one mapped task for each event without a successful execution."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.e2e.conftest import BadDay
from tests.e2e.stage import EVENT_TYPES


def is_recent(event: Mapping[str, Any]) -> bool:
    return datetime.fromisoformat(event["createdAt"]) > datetime.now(UTC) - timedelta(days=1)


def is_without_success(event: Mapping[str, Any]) -> bool:
    return event["executionLink"] is None or event["pipeline"] == "Always fails"


def test_each_event_of_the_last_day_without_success_is_rerun_once(bad_day: BadDay) -> None:
    rerun = [match[1] for change in bad_day.changes if (match := re.search(r"-events/([\w-]+)\?action=Rerun", change))]
    wanted = [event["id"] for event in bad_day.events if is_recent(event) and is_without_success(event)]
    assert len(wanted) == 2 * len(EVENT_TYPES)
    seeded = {event["id"] for event in bad_day.events}
    assert sorted(event_id for event_id in rerun if event_id in seeded) == sorted(wanted)


def test_reruns_end_each_on_its_own(bad_day: BadDay) -> None:
    assert bad_day.rerun_states == ["failed"] * len(EVENT_TYPES) + ["success"] * len(EVENT_TYPES), bad_day.reruns.errors
    assert bad_day.reruns.state == "failed"
