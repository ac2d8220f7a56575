"""A cancel that is retried, run against a real client without an operator."""

from __future__ import annotations

import time
from typing import Any

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.core.canceling import cancel
from airflow_provider.core.commands import Cancel, Command, Pause
from airflow_provider.execution import ExecutionRef
from airflow_provider.operators.carrying_out import Clock, carry_out


def cancel_surely(client: ReleaseClient, ref: ExecutionRef, reason: str, seconds: float) -> None:
    """:raises ReleasePipelineError: it could not be canceled."""
    clock = Clock()

    def perform(command: Command) -> Any:
        if isinstance(command, Cancel):
            client.cancel(command.ref, command.reason)
        elif isinstance(command, Pause):
            time.sleep(command.seconds)

    if problem := carry_out(cancel(clock, ref, reason, seconds), clock, perform):
        raise problem
