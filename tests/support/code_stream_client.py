"""What the tests in tests/clients/code_stream share."""

from __future__ import annotations

from airflow_provider.execution import ExecutionRef, ExecutionState

S = ExecutionState
FAILED = {
    "id": "b80254a7",
    "status": "FAILED",
    "statusMessage": "Prod.Approve: refused",
    "stageOrder": ["Build", "Prod"],
    "stages": {
        "Prod": {
            "status": "FAILED",
            "taskOrder": ["Approve"],
            "tasks": {"Approve": {"type": "UserOperation", "status": "FAILED", "failureMessage": "rejected by ann"}},
        },
        "Build": {
            "status": "COMPLETED",
            "taskOrder": ["Unit,Lint", "Pack, ship"],
            "tasks": {
                "Pack, ship": {"type": "CI", "status": "COMPLETED"},
                "Lint": {"type": "CI", "status": "FAILED_CONTINUE", "failureMessage": "exit 1"},
                "Unit": {"type": "CI", "status": "COMPLETED"},
            },
        },
    },
    "_requestTimeInMicros": 1767323045000000,
    "_durationInMicros": 60483000,
    "updatedAt": "2026-01-02 08:35:05.483",
}


def approval(user_operation_id: str = "", **where: str) -> ExecutionRef:
    return {
        "system": "code_stream",
        "kind": "approval",
        "id": user_operation_id,
        "execution_id": "",
        "pipeline": "",
    } | where
