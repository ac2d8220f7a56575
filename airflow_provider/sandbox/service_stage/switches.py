"""How ServiceStage behaves where its documentation is unclear."""

from __future__ import annotations

from typing import Any

DEFAULTS: dict[str, Any] = {
    "empty_body_status": 200,
    "list_form": "wrapped",
    "list_lag": 0.0,
    "list_time_lags": False,
    "plus_is_blank": False,
    "quota_per_second": 0,
    "record_case": "snake",
    "record_id": "integer",
    "record_lag": 0.0,
    "record_status": True,
    "reply_id": "integer",
    "retry_keeps_id": True,
    "rollback_fails": False,
    "shown_status": {},
    "status_form": "integer",
    "stop_ends_failed": False,
    "task_seconds": 3.9,
    "token_length": 1500,
    "token_lifetime": 86_400,
    "wrong_state_status": 400,
}
CHOICES: dict[str, tuple[Any, ...]] = {
    "empty_body_status": (200, 400),
    "list_form": ("wrapped", "bare"),
    "record_case": ("snake", "camel"),
    "record_id": ("integer", "text"),
    "reply_id": ("integer", "text"),
    "status_form": ("integer", "text"),
    "wrong_state_status": (400, 409),
}
