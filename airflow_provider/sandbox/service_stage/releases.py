"""The routes of releases: the execution records of a release task, and the actions on its newest one."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.service_stage.arguments import body_of, release_task_of, wrong_state
from airflow_provider.sandbox.service_stage.formats import ROOT, id_in_form, millis, status_in_form
from airflow_provider.sandbox.service_stage.models import (
    BUSY,
    FAILED,
    PAUSED,
    RELEASING,
    SUCCEEDED,
    TO_APPROVE,
    Release,
    ReleaseTask,
    phases,
)
from airflow_provider.sandbox.service_stage.refusals import bad_parameter
from airflow_provider.sandbox.service_stage.running import Runner
from airflow_provider.sandbox.service_stage.state import State

ACTIONS = ("start", "stop", "retry", "approval", "continue", "rollback")
TAKEN_IN = {
    "stop": (RELEASING, TO_APPROVE),
    "continue": (PAUSED,),
    "retry": (FAILED,),
    "rollback": (SUCCEEDED, FAILED),
    "approval": (TO_APPROVE,),
}


class Releases:
    def __init__(self, state: State, runner: Runner) -> None:
        self._state = state
        self._runner = runner

    def add_routes(self, router: Router) -> None:
        router.add("GET", f"{ROOT}/{{id}}/records", self._records)
        router.add("POST", f"{ROOT}/{{id}}/action", self._act)

    def _records(self, call: Call) -> Response:
        shown_at = call.now - call.switches["record_lag"]
        shown = [each for each in release_task_of(call, self._state).releases if each.at <= shown_at]
        return json_reply({"count": len(shown), "records": [_record(call, each) for each in reversed(shown)]})

    def _act(self, call: Call) -> Response:
        release_task = release_task_of(call, self._state)
        action = call.query("action_id")
        if action not in ACTIONS:
            raise bad_parameter(f"action_id must be one of {', '.join(ACTIONS)}")
        body = body_of(call)
        if action == "start":
            release = self._start(call, release_task, body)
        else:
            release = self._move(call, release_task, body, action)
        return json_reply(
            {
                "id": id_in_form(release.id, call.switches["reply_id"]),
                "pipeline_id": release_task.id,
                "status": status_in_form(release.status, call.switches),
            }
        )

    def _start(self, call: Call, release_task: ReleaseTask, body: dict[str, Any]) -> Release:
        selected = _selected(release_task, body.get("selected_tasks"))
        if not release_task.stages:
            raise bad_parameter("the release task has no stages")
        if release_task.status in BUSY:
            raise wrong_state(call, "start", release_task.status)
        return self._runner.start(release_task, call.login, call.user, selected, call.now)

    def _move(self, call: Call, release_task: ReleaseTask, body: dict[str, Any], action: str) -> Release:
        release = release_task.releases[-1] if release_task.releases else None
        if action == "stop" and release is not None:
            release.track.cancel_received(call.now)
        if action == "approval":
            _check_approval(body)
        if release is None or release.status not in TAKEN_IN[action]:
            raise wrong_state(call, action, release_task.status)
        if action == "stop":
            self._runner.stop(release, call.now)
        elif action == "continue":
            self._runner.continue_(release, call.now)
        elif action == "retry":
            return self._runner.retry(release, call.login, call.user, call.now)
        elif action == "rollback":
            self._runner.roll_back(release, call.now)
        else:
            self._approve(release, body, call.now)
        return release

    def _approve(self, release: Release, body: dict[str, Any], now: float) -> None:
        waiting = [task for task in release.current_tasks if task.status == TO_APPROVE]
        task = next((each for each in waiting if each.name == body["task_name"]), None)
        if task is None:
            raise bad_parameter(f"no approval task {body['task_name']} is waiting")
        self._runner.answer(release, task, agreed=body["approval_type"] == "agree", at=now)


def _record(call: Call, release: Release) -> dict[str, Any]:
    switches = call.switches
    camel = switches["record_case"] == "camel"
    record = {
        "id": id_in_form(release.id, switches["record_id"]),
        "pipelineId" if camel else "pipeline_id": release.release_task.id,
        "version": release.release_task.version,
        "trigger": release.user,
        "triggerAt" if camel else "trigger_at": millis(release.at),
    }
    if switches["record_status"]:
        lag = switches["record_lag"]
        status = release.status_at(call.now - lag) if lag else release.status
        record["status"] = status_in_form(status, switches)
    return record


def _selected(release_task: ReleaseTask, selected: Any) -> dict[str, list[str]] | None:
    """The chosen task names by stage name; unknown ones are refused by name."""
    if selected is None:
        return None
    known = {phase.name: {task.name for task in phase.tasks} for phase in phases(release_task.stages)}
    chosen: dict[str, list[str]] = {}
    try:
        for entry in selected:
            chosen[entry["stage_name"]] = list(entry["tasks"])
    except (TypeError, KeyError):
        raise bad_parameter("selected_tasks must be a list of stage_name and tasks") from None
    for stage, tasks in chosen.items():
        unknown = set(tasks) - known.get(stage, set())
        if stage not in known or unknown:
            raise bad_parameter(f"selected_tasks names what does not exist: {stage} {', '.join(map(str, unknown))}")
    return chosen


def _check_approval(body: dict[str, Any]) -> None:
    if not isinstance(body.get("task_name"), str) or not body["task_name"]:
        raise bad_parameter("task_name is required for approval")
    if body.get("approval_type") not in ("agree", "refuse"):
        raise bad_parameter("approval_type must be agree or refuse")
