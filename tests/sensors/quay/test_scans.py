"""The sensor of security scans."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider.exceptions import ExecutionFailed, NotFoundError
from airflow_provider.sensors.quay import QuaySecurityScanSensor, QuayTagSensor, Severity
from tests.support.airflow_runs import TaskRun
from tests.support.meanwhile import meanwhile
from tests.support.quay_sensors import BOTH_MODES, polls, push, wait
from tests.support.quay_tasks import SHOP, tags


def scan(**arguments: Any) -> TaskRun:
    return wait(QuaySecurityScanSensor, **arguments)


@BOTH_MODES
@pytest.mark.parametrize("named_by", ["tag", "digest"])
def test_a_clean_image_passes(systems, deferrable, named_by):
    digest = tags()["stable"]
    ended = scan(**{named_by: {"tag": "stable", "digest": digest}[named_by]}, deferrable=deferrable)
    assert ended.error is None
    outputs = ended.result["outputs"]
    assert (outputs["digest"], outputs["severities"], outputs["highest"]) == (digest, {}, None)
    assert (outputs["repository"], outputs["max_severity"]) == (SHOP, "High")
    assert outputs["image_ref"].endswith(f"/acme/shop@{digest}")
    assert ended.xcoms["url"].endswith(f"/repository/acme/shop/manifest/{digest}?tab=vulnerabilities")


@BOTH_MODES
def test_a_finding_above_the_limit_fails_with_its_name(deferrable):
    ended = scan(tag="vulnerable", deferrable=deferrable)
    assert isinstance(ended.error, ExecutionFailed)
    assert "above High" in str(ended.error)
    assert "CVE-2026-1000 (Critical" in str(ended.error)


SEVERITIES = get_args(Severity)


@pytest.mark.parametrize("limit", SEVERITIES)
def test_a_limit_passes_what_it_names_and_fails_what_is_worse(systems, limit):
    worse = SEVERITIES[SEVERITIES.index(limit) + 1 :]
    digest = push(systems, severities=[*SEVERITIES[: SEVERITIES.index(limit)], limit])
    passed = scan(digest=digest, max_severity=limit)
    assert passed.error is None
    assert passed.result["outputs"]["highest"] == limit
    for severity in worse[:1]:
        digest = push(systems, severities=["Unknown", severity])
        failed = scan(digest=digest, max_severity=limit)
        assert isinstance(failed.error, ExecutionFailed)
        assert f"1 finding above {limit}" in str(failed.error)


@BOTH_MODES
def test_a_scan_that_is_queued_and_fails_once_is_waited_for(systems, deferrable):
    digest = push(systems, severities=["Low"])

    def scan_on() -> bool:
        status = ("queued", "failed", "scanned")[min(2, len(systems.requests("quay", "GET", "/security")))]
        systems.act("quay", "set_scan", repository=SHOP, digest=digest, status=status)
        return status == "scanned"

    scan_on()
    with meanwhile(scan_on):
        ended = scan(digest=digest, deferrable=deferrable)
    assert ended.error is None
    assert ended.result["outputs"]["severities"] == {"Low": 1}


@BOTH_MODES
def test_a_scan_that_fails_for_good_is_waited_for_until_the_timeout(systems, deferrable):
    digest = push(systems)
    systems.act("quay", "set_scan", repository=SHOP, digest=digest, status="failed")
    ended = scan(digest=digest, timeout=0.3, deferrable=deferrable)
    assert isinstance(ended.error, AirflowSensorTimeout)
    assert f"last observed: scan {digest} is running (failed): {digest} is failed (Quay retries" in str(ended.error)


MODES = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
    "ended in the triggerer": {"deferrable": True, "finish_in_triggerer": True},
}
EVERY_MODE = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


@EVERY_MODE
def test_a_timeout_says_how_things_stood(systems, mode):
    missing = wait(QuayTagSensor, tag="1.4.2", timeout=0.3, **mode)
    assert "last observed: tag 1.4.2 is running (missing): there is no tag '1.4.2' yet" in str(missing.error)
    other = wait(QuayTagSensor, tag="stable", digest=tags()["vulnerable"], timeout=0.3, **mode)
    assert f"(other_digest): tag 'stable' still points to {tags()['stable']}" in str(other.error)
    systems.act("quay", "set_scan", repository=SHOP, digest=tags()["stable"], status="queued")
    queued = scan(tag="stable", timeout=0.3, **mode)
    assert f"is running (queued): {tags()['stable']} is queued" in str(queued.error)
    assert {type(each.error) for each in (missing, other, queued)} == {AirflowSensorTimeout}


@BOTH_MODES
def test_a_timeout_while_polls_fail_names_the_last_that_was_seen_and_why(systems, deferrable):
    def go_down() -> bool:
        was_asked = polls(systems) > 2
        if was_asked:
            systems.fault("quay", "status", status=500, path="/tag/", times=1000)
        return was_asked

    with meanwhile(go_down):
        ended = wait(QuayTagSensor, tag="1.4.2", timeout=3, deferrable=deferrable)
    assert isinstance(ended.error, AirflowSensorTimeout)
    assert "last observed: tag 1.4.2 is running (missing)" in str(ended.error)
    assert "the last poll failed: quay: the system cannot answer now" in str(ended.error)


@BOTH_MODES
@pytest.mark.parametrize("status", ["unsupported", "manifest_layer_too_large"])
def test_an_image_that_cannot_be_scanned_fails_and_says_so(systems, deferrable, status):
    digest = push(systems)
    systems.act("quay", "set_scan", repository=SHOP, digest=digest, status=status)
    ended = scan(digest=digest, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionFailed)
    assert f"{digest} cannot be scanned: {status}" in str(ended.error)


@pytest.mark.parametrize(("severity", "passes"), [("High", True), ("Critical", False)])
def test_every_platform_of_an_image_must_pass(systems, severity, passes):
    children = [push(systems, tag="amd64", severities=["Low"]), push(systems, tag="arm64", severities=[severity])]
    ended = scan(digest=push(systems, tag="multi", children=children))
    assert (ended.error is None) is passes
    if not passes:
        assert isinstance(ended.error, ExecutionFailed)
        assert severity in str(ended.error)


def test_a_tag_that_is_scanned_may_come_meanwhile(systems):
    with meanwhile(lambda: polls(systems) > 0 and push(systems)):
        ended = scan(tag="1.4.2")
    assert ended.result["outputs"]["digest"] == tags()["1.4.2"]


def test_a_quay_without_a_scanner_says_so(systems):
    systems.switch("quay", security_scanner=False)
    ended = scan(tag="stable")
    assert isinstance(ended.error, NotFoundError)
    assert "its scanner is switched off" in str(ended.error)


def test_a_scanner_that_is_down_for_a_while_is_waited_for(systems):
    systems.switch("quay", scanner_down=True)

    def repair() -> bool:
        was_asked = len(systems.requests("quay", "GET", "/security")) > 4
        if was_asked:
            systems.switch("quay", scanner_down=False)
        return was_asked

    with meanwhile(repair):
        ended = scan(tag="stable")
    assert ended.error is None
