"""Security scans: a pass only if everything was scanned and is below the limit."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from airflow_provider.clients.quay import QuayClient
from airflow_provider.exceptions import (
    BadRequestError,
    NotFoundError,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionState
from tests.support.quay_client import DIGEST, Stand, ended, scan_ref, scripted_client
from tests.support.scripted import Scripted
from tests.support.until import until


def test_a_clean_image_passes_with_its_findings_counted(stand: Stand, client: QuayClient) -> None:
    digest = stand.push("1.4.2", severities=["High", "Low", "Low"])
    done = ended(client, client.observe(scan_ref(digest)))
    assert done.state is ExecutionState.SUCCEEDED
    assert done.outputs["severities"] == {"High": 1, "Low": 2}
    assert list(done.outputs["severities"]) == ["High", "Low"]
    assert (done.outputs["highest"], done.outputs["max_severity"], done.outputs["tag"]) == ("High", "High", None)
    assert done.outputs["image_ref"].endswith(f"/acme/shop@{digest}")


def test_an_image_above_the_limit_fails_naming_the_worst(stand: Stand, client: QuayClient) -> None:
    stand.push("1.4.2", severities=["Critical", "Medium", "Low"])
    failed = ended(client, client.observe(scan_ref(tag="1.4.2", max_severity="Low")))
    assert failed.state is ExecutionState.FAILED
    assert str(failed.message).startswith("2 findings above Low: ")
    assert str(failed.message).index("Critical") < str(failed.message).index("Medium")
    assert failed.outputs["highest"] == "Critical"


def test_a_scan_of_a_tag_names_the_digest_that_it_was_of(stand: Stand, client: QuayClient) -> None:
    stand.post("reset", speed=1)
    assert client.observe(scan_ref(tag="1.4.2")).status == "missing"
    digest = stand.push("1.4.2")
    seen = client.observe(scan_ref(tag="1.4.2"))
    assert (seen.state, seen.status) == (ExecutionState.RUNNING, "queued")
    assert seen.ref == scan_ref(tag="1.4.2") | {"digest": digest, "place": f"{stand.url}/quay"}
    stand.control.advance(60)
    assert ended(client, seen).outputs["tag"] == "1.4.2"


def test_a_failed_scan_is_waited_for(stand: Stand, client: QuayClient) -> None:
    stand.post("reset", speed=1)
    stand.switch(scan_status="failed_then_scanned")
    seen = set()
    digest = stand.push("1.4.2")

    def observe() -> Execution:
        scan = client.observe(scan_ref(digest))
        seen.add((scan.status, scan.state))
        stand.control.advance(0.3)
        return scan

    assert until(observe, lambda scan: scan.state.is_terminal).state is ExecutionState.SUCCEEDED
    assert ("failed", ExecutionState.RUNNING) in seen


def scanned(*findings: tuple[str, str]) -> dict[str, Any]:
    found = [{"Name": name, "Severity": severity, "FixedBy": ""} for name, severity in findings]
    features = [{"Name": "openssl", "Version": "3.0", "Vulnerabilities": found}, {"Name": "zlib", "Version": "1"}]
    return {"status": "scanned", "data": {"Layer": {"Features": features}}}


def manifest_list(*children: str) -> dict[str, Any]:
    entries: list[dict[str, Any]] = [{"digest": child} for child in children]
    entries.append({"digest": "sha256:" + "f" * 64, "annotations": {"vnd.docker.reference.type": "attestation"}})
    return {"digest": DIGEST, "is_manifest_list": True, "manifest_data": json.dumps({"manifests": entries})}


UNSUPPORTED = {"status": "unsupported", "data": None}
PLATFORMS = ("sha256:" + "1" * 64, "sha256:" + "2" * 64)
NO_MANIFEST = (404, {}, {"error_type": "not_found", "detail": "Not Found"})
ABSENT = (NO_MANIFEST, NO_MANIFEST)


@pytest.mark.parametrize(
    ("script", "state", "message"),
    [
        ([UNSUPPORTED, {"is_manifest_list": False}], "failed", "unsupported"),
        ([{"status": "manifest_layer_too_large", "data": None}], "failed", "manifest_layer_too_large"),
        ([{"status": "pondering", "data": None}], "unknown", ""),
        ([scanned(("CVE-1", "Defcon1"))], "failed", r"CVE-1 \(Defcon1, openssl 3.0, no fix\)"),
        ([scanned(*((f"CVE-{n}", "Critical") for n in range(7)))], "failed", "7 findings.*CVE-4.*and 2 more"),
        ([UNSUPPORTED, manifest_list(*PLATFORMS), scanned(), scanned()], "succeeded", ""),
        ([UNSUPPORTED, manifest_list(*PLATFORMS), scanned(), {"status": "queued"}], "running", ""),
        ([UNSUPPORTED, manifest_list(*PLATFORMS), scanned(), UNSUPPORTED], "failed", f"{PLATFORMS[1]} cannot be"),
        (
            [UNSUPPORTED, manifest_list(*PLATFORMS), scanned(("CVE-1", "Critical")), scanned(("CVE-1", "Critical"))],
            "failed",
            "1 finding above High: CVE-1",
        ),
        (
            [UNSUPPORTED, manifest_list(*PLATFORMS), scanned(), *ABSENT],
            "succeeded",
            f"not scanned, because this registry does not have it: {PLATFORMS[1]}",
        ),
        ([UNSUPPORTED, manifest_list(*PLATFORMS), *ABSENT, {"status": "queued"}], "running", PLATFORMS[0]),
        (
            [UNSUPPORTED, manifest_list(*PLATFORMS), *ABSENT, scanned(("CVE-1", "Critical"))],
            "failed",
            f"CVE-1.*; not scanned.*{PLATFORMS[0]}",
        ),
        (
            [UNSUPPORTED, manifest_list(*PLATFORMS), *ABSENT, *ABSENT],
            "failed",
            f"has none of its platforms.*{PLATFORMS[0]}, {PLATFORMS[1]}",
        ),
    ],
)
def test_a_scan_passes_only_if_everything_was_scanned_and_is_below_the_limit(
    scripted: Scripted, script: list[Any], state: str, message: str
) -> None:
    seen = scripted_client(scripted, *script).observe(scan_ref(DIGEST))
    assert seen.state == state
    assert scripted.unexpected == []
    assert re.search(message, seen.message or "")


def test_a_platform_that_is_there_but_whose_scan_is_not_found_does_not_pass(scripted: Scripted) -> None:
    script = [UNSUPPORTED, manifest_list(*PLATFORMS), scanned(), NO_MANIFEST, {"is_manifest_list": False}]
    with pytest.raises(NotFoundError, match="scanner is switched off"):
        scripted_client(scripted, *script).observe(scan_ref(DIGEST))


def test_a_report_that_cannot_be_read_does_not_pass(scripted: Scripted) -> None:
    with pytest.raises(UnexpectedResponseError, match="cannot be read"):
        scripted_client(scripted, {"status": "scanned", "data": None}).observe(scan_ref(DIGEST))


def test_a_quay_without_a_scanner_says_so(stand: Stand, client: QuayClient) -> None:
    stand.switch(security_scanner=False)
    with pytest.raises(NotFoundError, match="scanner is switched off"):
        client.observe(scan_ref(stand.push("1.4.2")))


def test_a_scanner_that_is_down_is_not_a_bad_image(stand: Stand, client: QuayClient) -> None:
    stand.switch(scanner_down=True)
    with pytest.raises(ServerUnavailableError) as caught:
        client.observe(scan_ref(stand.push("1.4.2")))
    assert caught.value.status == 520


def test_an_unknown_limit_is_refused(scripted: Scripted) -> None:
    with pytest.raises(BadRequestError, match="max_severity"):
        scripted_client(scripted).observe(scan_ref(DIGEST, max_severity="high"))
    assert scripted.requests == []
