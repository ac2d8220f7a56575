"""How Quay behaves where its documentation is unclear."""

from __future__ import annotations

from typing import Any

from airflow_provider.sandbox.quay.images import SCAN_STATES, SEVERITIES
from airflow_provider.sandbox.quay.models import OUTCOMES

DEFAULTS: dict[str, Any] = {
    "server_hostname": "quay.example.com",
    "codes": "server",
    "read_only_registry": False,
    "read_only_repositories": [],
    "mirrored_repositories": [],
    "authorized_emails": [],
    "notification_send_timeout": 10.0,
    "immutable_tags": False,
    "security_scanner": True,
    "scanner_down": False,
    "scan_status": "scanned",
    "new_image_severity": "Low",
    "ephemeral_build_manager": True,
    "reader_build_logs": False,
    "build_support": True,
    "build_outcome": "complete",
    "build_tries": 3,
    "internalerror_loops": 1,
    "build_log_store_down": False,
    "archive_build_logs": True,
    "max_queued_builds": 0,
}
CHOICES: dict[str, tuple[Any, ...]] = {
    "codes": ("server", "vendor_page", "swagger"),
    "scan_status": SCAN_STATES,
    "new_image_severity": ("", *SEVERITIES),
    "build_outcome": OUTCOMES,
}
