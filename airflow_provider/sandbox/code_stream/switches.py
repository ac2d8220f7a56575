"""How Code Stream behaves where its documentation is unclear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEFAULTS: dict[str, Any] = {
    "about_needs_token": True,
    "answered_twice_status": 200,
    "batch_errors": "objects",
    "bearer_lifetime": 28_800,
    "cancel_loses_race": False,
    "case_sensitive_actions": False,
    "disabled_status": 400,
    "event_resume": "continues",
    "event_status_lags": False,
    "event_time": "text",
    "execution_links": "normal",
    "first_index": 1,
    "insert_per_page": 0,
    "legacy_start_reply": False,
    "login_error_status": 400,
    "missing_input_status": 400,
    "no_pipelines_service": False,
    "omit_document": False,
    "opaque_bearer": False,
    "project_id_field": True,
    "refresh_error_status": 400,
    "refresh_lifetime": 7_776_000,
    "rerun": "link_in_reply",
    "rerun_delay": 2.0,
    "resume_failed": False,
    "rollback": "none",
    "saas_idle": 1500,
    "server_url": "text",
    "shown_status": {},
    "start_status": 202,
    "tags_form": "strings",
    "task_seconds": 3.7,
    "tasks_without_expand": False,
    "top_maximum": 2000,
    "unauthorised_answer": 200,
    "unknown_filter": 400,
    "unzoned_updated_at": False,
    "words": {"rerun": "Rerun", "resume": "Resume", "approve": "Approved", "reject": "Rejected"},
    "wrong_api_version": "ignore",
    "wrong_state_status": 400,
}
CHOICES: dict[str, tuple[Any, ...]] = {
    "answered_twice_status": (200, 400, 409),
    "batch_errors": ("objects", "strings"),
    "event_resume": ("continues", "refused"),
    "event_time": ("text", "int"),
    "execution_links": ("normal", "singular", "pipeline", "host"),
    "login_error_status": (400, 401, 403),
    "refresh_error_status": (400, 403),
    "rerun": ("link_in_reply", "link_later", "new_event", "new_event_in_reply", "message_only"),
    "rollback": ("none", "completed", "failed"),
    "server_url": ("text", "object"),
    "start_status": (200, 202),
    "tags_form": ("strings", "objects"),
    "unauthorised_answer": (200, 403),
    "unknown_filter": (200, 400),
    "wrong_api_version": ("ignore", "400"),
    "wrong_state_status": (200, 400, 409, 500),
}


def words(switches: Mapping[str, Any]) -> dict[str, str]:
    """This server's words for actions on events and for answers; the switch need not set all of them."""
    return {**DEFAULTS["words"], **switches["words"]}
