"""The webhooks that a pipeline declares for the events of its executions."""

from __future__ import annotations

from airflow_provider.sandbox.code_stream.models import Execution
from airflow_provider.sandbox.core.outbox import Outbox

EVENTS = {
    "STARTED": "STARTED",
    "COMPLETED": "SUCCESS",
    "FAILED": "FAILURE",
    "WAITING": "WAITING",
    "CANCELED": "CANCELED",
}
TIMEOUT = 10.0


class Notices:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def send(self, execution: Execution, status: str) -> None:
        """Notifies the webhooks of the pipeline that an execution has entered ``status``."""
        event = EVENTS.get(status)
        webhooks = (execution.definition.get("notifications") or {}).get("webhook") or ()
        for webhook in webhooks:
            if event is not None and webhook.get("event") == event and webhook.get("url"):
                payload = webhook.get("payload") or {"event": event, "executionId": execution.id, "status": status}
                self._outbox.post(
                    webhook["url"],
                    payload,
                    webhook.get("headers"),
                    system="code_stream",
                    about=f"{event} of execution {execution.id}",
                    timeout=TIMEOUT,
                )
