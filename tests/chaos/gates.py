"""The gates of releases at their systems: makes them, decides about them there, and lists what was decided."""

from __future__ import annotations

from typing import Any

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.exceptions import ConflictError, ReleasePipelineError
from airflow_provider.sandbox import seed
from airflow_provider.sandbox.client import SandboxClient
from tests.chaos.approvals import APPROVE, REJECT, Gate

GATED_KINDS = ("code_stream_gates", "service_stage_gates")
"""Releases that ask about the gates of their own execution."""
ASKING_KINDS = ("code_stream_approval", "service_stage_approval")
"""Tasks that start nothing, and ask about an execution of somebody else."""
STAGES = [
    {"name": "build", "tasks": [{"name": "b1", "type": "build"}]},
    {"name": "ask", "tasks": [{"name": "a1", "type": "approval"}]},
    {"name": "deploy", "tasks": [{"name": "d1", "type": "update_component"}]},
]
BUILD = {"taskOrder": ["Unit"], "tasks": {"Unit": {"type": "CI"}}}
DEPLOY = {"taskOrder": ["Deploy"], "tasks": {"Deploy": {"type": "REST"}}}
ASK = {
    "taskOrder": ["Approve"],
    "tasks": {
        "Approve": {
            "type": "UserOperation",
            "input": {"summary": "Go on?", "approvers": [*seed.CODE_STREAM_USERS], "expiration": 3},
        }
    },
}
WAITING, RELEASING, FAILED = "5", "4", "3"
"""Words of ServiceStage."""


class Gates:
    """:param sandbox: of which these are clients, too."""

    def __init__(
        self, sandbox: SandboxClient, code_stream: CodeStreamClient, service_stage: ServiceStageClient
    ) -> None:
        self._sandbox = sandbox
        self._code_stream = code_stream
        self._service_stage = service_stage

    def prepare(self, kind: str, name: str, *, gates: int) -> dict[str, Any]:
        """Make a pipeline, and for a task that starts nothing its execution; returns the arguments of the operator.

        :param gates: how many of them one execution of Code Stream reaches.
        """
        if kind.startswith("code_stream"):
            stages = {"Build": BUILD, **{f"Ask{number}": ASK for number in range(gates)}, "Prod": DEPLOY}
            pipeline = {"enabled": True, "state": "RELEASED", "project": "retail", "input": {}}
            body = {**pipeline, "name": name, "stageOrder": [*stages], "stages": stages}
            made = self._code_stream.pipelines.create(body)
            if kind in ASKING_KINDS:
                return {"execution_id": self._code_stream.pipelines.run(made["id"], inputs={}, comments=name).id}
            return {"pipeline": name, "project": "retail", "comments": name, "approve": True}
        made_there = self._service_stage.release_tasks.create({"name": name, "config_mode": "ui", "stages": STAGES})
        if kind in ASKING_KINDS:
            self._service_stage.releases.act(made_there["id"], "start")
            return {"pipeline": made_there["id"]}
        return {"pipeline": made_there["id"], "approve": True}

    def waiting(self) -> dict[str, dict[str, Any]]:
        """The executions that wait for a decision, by the name of their release."""
        found = {}
        for each in self._sandbox.executions():
            if (each["system"], each["state"]) in (("code_stream", "WAITING"), ("service_stage", WAITING)):
                found[each["pipeline"]] = each
        return found

    def decide(self, name: str, decision: str, words: str) -> bool | None:
        """Decide at the vendor about what a release waits for; returns whether that was accepted, if it is known."""
        execution = self.waiting().get(name)
        if not execution:
            return False
        try:
            if execution["system"] == "code_stream":
                asked = self._code_stream.approvals.find_pending(execution["id"])
                self._code_stream.approvals.answer(asked, decision == APPROVE, words)
            else:
                word = "agree" if decision == APPROVE else "refuse"
                place = execution["pipeline_id"]
                self._service_stage.releases.act(place, "approval", task_name="a1", approval_type=word, message=words)
        except ConflictError:
            return False
        except ReleasePipelineError:
            return None
        return True

    def taken(self) -> dict[str, list[Gate]]:
        """All gates that were reached, by the name of their release; the systems must answer without faults."""
        found: dict[str, list[Gate]] = {}
        decisions = {"APPROVED": APPROVE, "REJECTED": REJECT}
        for each in self._code_stream.approvals.list():
            opened, decision = each["_requestedOnInMicros"] / 1e6, decisions.get(str(each["status"]))
            gate = Gate(str(each["executionId"]), opened, decision, str(each["responseMessage"] or ""))
            found.setdefault(str(each["pipelineName"]), []).append(gate)
        answers = [
            each
            for each in self._sandbox.requests("service_stage", "POST", "/action")
            if "action_id=approval" in each["query"] and each["reached"] and each["status"] in (200, None)
        ]
        for release in self._sandbox.executions("service_stage"):
            sent = [answer for answer in answers if f"/{release['pipeline_id']}/" in answer["path"]]
            found.setdefault(release["pipeline"], []).extend(_gates_of(release, sent))
        return found


def _gates_of(release: dict[str, Any], sent: list[dict[str, Any]]) -> list[Gate]:
    """:param sent: answers to its release task that may have taken effect."""
    gates, states = [], release["states"]
    for number, state in enumerate(states):
        if state["state"] != WAITING:
            continue
        after = states[number + 1] if number + 1 < len(states) else {"state": "", "at": 0.0}
        decision = {RELEASING: APPROVE, FAILED: REJECT}.get(str(after["state"]))
        # The system refuses all but the first; of some, the answer of the system was lost.
        possible = [each for each in sent if state["at"] <= each["time"] <= after["at"]]
        certain = [each for each in possible if each["status"] == 200]
        message = "".join(str((each["body"] or {}).get("message") or "") for each in (certain or possible)[-1:])
        gates.append(Gate(release["id"], state["at"], decision, message))
    return gates
