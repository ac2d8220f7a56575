"""Reads the parts of a call: its JSON object, and the release task in its path."""

from __future__ import annotations

from typing import Any

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.service_stage.models import ReleaseTask
from airflow_provider.sandbox.service_stage.refusals import CONFLICT, UNKNOWN_TASK, Refusal, bad_parameter
from airflow_provider.sandbox.service_stage.state import State


def body_of(call: Call) -> dict[str, Any]:
    try:
        body = call.json()
    except ValueError as error:
        raise bad_parameter(f"malformed JSON: {error}") from None
    if body is None and call.switches["empty_body_status"] == 400:
        raise bad_parameter("the request body is missing")
    if body is not None and not isinstance(body, dict):
        raise bad_parameter("the request body must be an object")
    return body or {}


def named_body_of(call: Call) -> dict[str, Any]:
    """The body of a call that creates or changes something with a name."""
    body = body_of(call)
    if not isinstance(body.get("name"), str) or not body["name"]:
        raise bad_parameter("name is required")
    return body


def release_task_of(call: Call, state: State) -> ReleaseTask:
    found = state.release_tasks.get(call.params["id"])
    if found is None or found.project_id != call.params["project_id"]:
        raise Refusal(404, UNKNOWN_TASK, "release task not found")
    return found


def wrong_state(call: Call, action: str, status: int) -> Refusal:
    """The refusal of an action that is not allowed in this status."""
    message = f"{action} is not allowed in status {status}"
    return Refusal(409, CONFLICT, message) if call.switches["wrong_state_status"] == 409 else bad_parameter(message)
