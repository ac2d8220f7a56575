"""How Cocktail behaves where its documentation is unclear."""

from __future__ import annotations

from typing import Any

DEFAULTS: dict[str, Any] = {
    "prefix": "/v1",
    "wrapped": False,
    "real_http_codes": False,
    "severity_letter": "W",
    "invalid_state_code": "CCCMW001000",
    "korean_messages": False,
    "auth_header": "Authorization",
    "auth_scheme": "Bearer",
    "refusal_body": "json",
    "allow_addresses": [],
    "deny_addresses": [],
    "routes": {},
    "step_seconds": {"INIT": 1.0, "CODE_DOWN": 2.0, "CREATE_IMAGE": 5.0, "CANCEL": 0.5, "DELETE": 1.0},
    "failing_step": "",
    "build_server_unreachable": False,
    "refuse_build_server": False,
    "stuck_created": False,
    "no_digest": False,
    "reproducible_builds": False,
    "account_parallel_limit": 10,
    "created_counts_as_running": True,
    "failed_runs_block_their_tag": False,
    "autotag_zone": "UTC",
    "refuse_missing_tag": False,
    "cancel_loses_race": False,
    "description_limit": 0,
    "image_url_with_tag": True,
    "list_omits": [],
    "db_log": True,
    "logs": "per_step",
    "callbacks_lost": False,
    "callbacks_duplicated": False,
    "callbacks_reordered": False,
    "callback_delay": 0.0,
    "callback_timeout": 5.0,
}
CHOICES: dict[str, tuple[Any, ...]] = {
    "refusal_body": ("json", "empty", "html"),
    "failing_step": ("", "INIT", "CODE_DOWN", "CREATE_IMAGE"),
    "logs": ("per_step", "at_end", "never"),
}
