"""An end that a vendor may revoke is polled again before it counts; other ends are not."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.quay import QuayClient
from airflow_provider.clients.service_stage.release_states import GRACE, Sighting, accepted, is_old
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.trouble import Trouble
from airflow_provider.core.waiting import Pace
from airflow_provider.exceptions import ThrottledError
from airflow_provider.execution import Execution, ExecutionState
from tests.support.scripted import Received, Reply, Scripted

RUNNING, FAILED = ExecutionState.RUNNING, ExecutionState.FAILED


class Vendor:
    """Answers for one execution, whose status the test sets."""

    def __init__(self, scripted: Scripted, system: str) -> None:
        self.status = ""
        scripted.always = self._quay if system == "quay" else self._code_stream
        self.client: ReleaseClient = (
            QuayClient(scripted.url, token="the-token", attempts=1)
            if system == "quay"
            else CodeStreamClient(scripted.url, refresh_token="the-token", attempts=1)
        )
        self.known: list[dict[str, str] | Execution] = [
            {"system": "quay", "kind": "build", "id": f"b-{number}", "repository": "acme/shop"}
            if system == "quay"
            else {"system": "code_stream", "kind": "execution", "id": f"b-{number}"}
            for number in range(2)
        ]

    def observe(self, together: bool) -> Execution:
        """The first one as a wait observes it, by itself or together with another one."""
        if not together:
            first = self.known[0]
            return self.client.observe(first.ref if isinstance(first, Execution) else first)
        seen = self.client.waits.fetch(self.known)
        self.known = [each for each in seen if isinstance(each, Execution)]
        assert len(self.known) == len(seen)
        return self.known[0]

    def _quay(self, request: Received) -> Reply:
        builds = [{"id": f"b-{number}", "phase": self.status, "tags": ["1"]} for number in range(2)]
        if request.path.endswith("/logs"):
            return 200, {}, {"start": 0, "total": 0, "logs": []}
        if request.path.endswith("/build/"):
            return 200, {}, {"builds": builds}
        return 200, {}, builds["b-1" in request.path]

    def _code_stream(self, request: Received) -> Reply:
        if request.method == "POST":
            return 200, {}, {"token": "bearer-of-this-test"}
        rows: list[dict[str, Any]] = [
            {"id": f"b-{number}", "status": self.status, "_updateTimeInMicros": 1795000000000000} for number in range(2)
        ]
        if request.path.endswith("/executions"):
            links = [f"/codestream/api/executions/{row['id']}" for row in rows]
            return 200, {}, {"links": links, "documents": dict(zip(links, rows, strict=True)), "totalCount": 2}
        return 200, {}, rows["b-1" in request.path]


CASES = [("quay", "building", "expired", "expired_settling"), ("code_stream", "RUNNING", "FAILED", "failed_settling")]


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(("system", "going_on", "end", "settling"), CASES)
def test_an_end_that_may_be_taken_back_counts_after_a_while(
    scripted: Scripted,
    mocker: MockerFixture,
    system: str,
    going_on: str,
    end: str,
    settling: str,
    together: bool,
) -> None:
    mocker.patch.object(DURATIONS, settling, 60.0)
    vendor = Vendor(scripted, system)
    vendor.status = going_on
    assert vendor.observe(together).state is RUNNING
    vendor.status = end
    assert [vendor.observe(together).state for _ in range(3)] == [RUNNING] * 3
    # It goes on after all, and ends again: that is another end.
    vendor.status = going_on
    assert vendor.observe(together).state is RUNNING
    vendor.status = end
    assert vendor.observe(together).state is RUNNING
    mocker.patch.object(DURATIONS, settling, 0.0)
    assert vendor.observe(together).state is FAILED


@pytest.mark.parametrize(("system", "going_on", "end", "settling"), CASES)
def test_an_old_end_is_believed_at_once(
    scripted: Scripted, mocker: MockerFixture, system: str, going_on: str, end: str, settling: str
) -> None:
    mocker.patch.object(DURATIONS, settling, 60.0)
    vendor = Vendor(scripted, system)
    vendor.status = end
    assert vendor.observe(together=False).state is FAILED


def test_a_start_that_is_answered_with_an_end_is_not_believed_at_once() -> None:
    ref = {"system": "service_stage", "kind": "release", "id": "12", "pipeline_id": "p", "action": "start"}
    ref |= {"status_before": "3", "triggered_before": "", "since": "1000.0", "clock": "vendor"}
    seen = accepted(ref, {"id": 12, "status": 2})
    assert seen.state is ExecutionState.QUEUED
    record = Sighting({"id": 12, "status": 2}, certain=True)
    assert is_old(seen.ref, record, 1001.0)
    assert not is_old(seen.ref, record, 1000.0 + GRACE + 1)
    assert not is_old(seen.ref, Sighting({"id": 12, "status": 3}, certain=True), 1001.0)
    assert not is_old(accepted(ref, {"id": 12, "status": 4}).ref, record, 1001.0)


def test_the_deadline_comes_before_a_retry_after() -> None:
    error = ThrottledError("too many", retry_after=300.0)
    pace = Pace()
    pace.note(error)
    assert pace.pause(10.0, until_deadline=5.0) == 5.0
    assert pace.pause(10.0) == 300.0
    trouble = Trouble()
    for started in (0.0, -1.0):
        trouble.note_error(error, started, 0.5, 10.0, 5.0)
        assert trouble.until <= 5.5
