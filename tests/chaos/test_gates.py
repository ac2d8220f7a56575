"""What ``make chaos`` reads at the systems about gates is what they were told."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.hooks.service_stage import ServiceStageHook
from airflow_provider.sandbox.client import SandboxClient
from tests.chaos.approvals import APPROVE, AT_THE_VENDOR, REJECT, Said, wrong_decisions
from tests.chaos.gates import Gates
from tests.support.until import until

CODE_STREAM, SERVICE_STAGE = "w00-code-stream-approval-0", "w00-service-stage-approval-0"


@pytest.fixture
def gates(release_sandbox: SandboxClient) -> Iterator[Gates]:
    with CodeStreamHook().get_conn() as code_stream, ServiceStageHook().get_conn() as service_stage:
        gates = Gates(release_sandbox, code_stream, service_stage)
        gates.prepare("code_stream_approval", CODE_STREAM, gates=2)
        gates.prepare("service_stage_approval", SERVICE_STAGE, gates=1)
        until(lambda: gates.waiting().keys() == {CODE_STREAM, SERVICE_STAGE})
        yield gates


def decided(gates: Gates, name: str) -> list[tuple[str | None, str]]:
    return [(each.decision, each.message) for each in gates.taken()[name]]


def test_each_gate_has_the_decision_that_was_made_there(gates: Gates) -> None:
    assert decided(gates, CODE_STREAM) == decided(gates, SERVICE_STAGE) == [(None, "")]
    assert gates.decide(CODE_STREAM, APPROVE, "no. 1.")
    assert gates.decide(SERVICE_STAGE, REJECT, "no. 1.")
    until(lambda: CODE_STREAM in gates.waiting())
    assert gates.decide(CODE_STREAM, REJECT, "no. 2.")
    assert decided(gates, CODE_STREAM) == [(APPROVE, "no. 1."), (REJECT, "no. 2.")]
    assert decided(gates, SERVICE_STAGE) == [(REJECT, "no. 1.")]
    assert gates.decide(SERVICE_STAGE, APPROVE, "no. 2.") is False


def test_a_decision_whose_reply_was_lost_is_seen(gates: Gates, release_sandbox: SandboxClient) -> None:
    release_sandbox.fault("code_stream", "reset_after", method="PATCH")
    release_sandbox.fault("service_stage", "reset_after", path="/action")
    for name in (CODE_STREAM, SERVICE_STAGE):
        gates.decide(name, APPROVE, "no. 1.")
        assert decided(gates, name)[0] == (APPROVE, "no. 1.")
    lost = [each for each in release_sandbox.requests() if each["fault"] == "reset_after"]
    assert [each["system"] for each in lost] == ["code_stream", "service_stage"]


@pytest.mark.parametrize("name", [CODE_STREAM, SERVICE_STAGE])
def test_a_decision_that_nobody_made_and_the_contrary_of_one_are_complaints(gates: Gates, name: str) -> None:
    at = time.time()
    gates.decide(name, APPROVE, "no. 1.")

    def complaints(*decisions: str) -> list[str]:
        said = [Said(at, each, "no. 1.", AT_THE_VENDOR) for each in decisions]
        return wrong_decisions(gates.taken()[name][:1], said, is_touched_after=lambda _: False)

    assert complaints(APPROVE) == []
    (unsaid,) = complaints()
    assert "nobody said that" in unsaid
    (contrary,) = complaints(REJECT)
    assert "they said reject" in contrary
