"""Which trigger events count as failed for the example DAG, read from the sandbox."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.hooks.code_stream import CodeStreamHook
from tests.support.systems import Systems

DAG_FILE = Path(__file__).parents[2] / "dags" / "rerun_failed_events.py"
NO_EXECUTION, DELETED = "", "deleted"


@pytest.mark.parametrize(
    ("execution", "is_failed"),
    [
        (NO_EXECUTION, True),
        ("FAILED", True),
        ("CANCELED", True),
        ("COMPLETED", False),
        ("RUNNING", False),
        ("WAITING", False),
        ("PAUSED", False),
        (DELETED, False),
    ],
)
def test_an_event_is_rerun_only_if_its_execution_is_missing_or_ended_badly(
    systems: Systems, execution: str, is_failed: bool
) -> None:
    led_to_nothing = runpy.run_path(str(DAG_FILE))["led_to_nothing"]
    with CodeStreamHook().get_conn() as client:
        event: dict[str, Any] = {"executionLink": None}
        if execution != NO_EXECUTION:
            started = client.pipelines.run(client.pipelines.find("Deploy shop")["id"], inputs={"tag": "1"})
            event["executionLink"] = f"/codestream/api/executions/{started.id}"
            if execution == DELETED:
                systems.force("code_stream", started.id, "COMPLETED")
                client.executions.delete(started.id)
            else:
                systems.force("code_stream", started.id, execution)
        assert led_to_nothing(client, event) is is_failed
