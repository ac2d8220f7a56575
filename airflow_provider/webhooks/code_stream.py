"""Webhooks that a Code Stream pipeline sends on its own events (its notifications). Its author writes the payload:
``docs/webhooks.md`` says what it must contain."""

from __future__ import annotations

import re

import msgspec

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.code_stream.references import execution_reference
from airflow_provider.execution import ExecutionState
from airflow_provider.webhooks.bodies import RefusedError, decode
from airflow_provider.webhooks.endpoints import WebhookEndpoint
from airflow_provider.webhooks.occurrences import Report, of_execution

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")

_EVENTS = {
    "SUCCESS": ExecutionState.SUCCEEDED,
    "FAILURE": ExecutionState.FAILED,
    "CANCELED": ExecutionState.CANCELED,
}


class Message(msgspec.Struct, rename="camel"):
    """:param execution_id: the id, or a link that ends in it.
    :param event: the notification's own: SUCCESS, FAILURE, CANCELED, WAITING or STARTED.
    """

    execution_id: str
    event: str = ""


def read(body: bytes) -> Message:
    """:raises RefusedError: it does not have the documented payload."""
    message = decode(body, Message)
    if "${" in message.execution_id:
        raise RefusedError(400, "executionId holds a variable that Code Stream has not filled in")
    if not _ID.fullmatch(_id_of(message)):
        raise RefusedError(400, "executionId must be the id of an execution")
    return message


def is_test(message: Message) -> bool:
    """Code Stream sends none."""
    return False


def occurrences(message: Message, endpoint: WebhookEndpoint, client: CodeStreamClient) -> Report:
    """The execution in its current state."""
    claimed = _EVENTS.get(message.event.upper())
    report = of_execution(client, endpoint, execution_reference(_id_of(message)), claimed)
    if report.finished and report.finished.state is not ExecutionState.SUCCEEDED:
        # It may be rolled back, or the task's next attempt may continue it under the same id: this is left to polls.
        return report._replace(finished=None)
    return report


def _id_of(message: Message) -> str:
    return message.execution_id.rstrip("/").rpartition("/")[2]
