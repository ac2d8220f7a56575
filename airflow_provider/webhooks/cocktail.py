"""Callbacks of Cocktail: sent once and never repeated, perhaps before the server has stored the state they report."""

from __future__ import annotations

import msgspec

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.clients.cocktail.references import run_reference
from airflow_provider.clients.cocktail.run_execution import state_of, type_of
from airflow_provider.execution import ExecutionState
from airflow_provider.webhooks.bodies import RefusedError, decode
from airflow_provider.webhooks.endpoints import WebhookEndpoint
from airflow_provider.webhooks.occurrences import Report, of_execution

RUN_STATE = "BUILD_RUN_STATE"
_UNFINISHED = frozenset({ExecutionState.QUEUED, ExecutionState.RUNNING})

Seq = int | str


class Target(msgspec.Struct, rename="camel"):
    build_seq: Seq = 0
    build_run_seq: Seq = 0


class Run(msgspec.Struct, rename="camel"):
    run_state: str = ""
    run_type: str = ""


class Message(msgspec.Struct):
    """``target`` names the run; of ``data``, only the claimed state of the run is read."""

    event: str
    target: Target
    data: Run = msgspec.field(default_factory=Run)


def read(body: bytes) -> Message:
    """:raises RefusedError: it is not a callback of Cocktail."""
    message = decode(body, Message)
    if message.event == RUN_STATE and not (_number(message.target.build_run_seq) and _number(message.target.build_seq)):
        raise RefusedError(400, "target.buildRunSeq and target.buildSeq must be numbers")
    return message


def is_test(message: Message) -> bool:
    """Cocktail sends none."""
    return False


def occurrences(message: Message, endpoint: WebhookEndpoint, client: CocktailClient) -> Report:
    """The build run in its current state. Runs that only cancel or remove another one do not count."""
    claimed = {"runState": message.data.run_state, "runType": message.data.run_type}
    if message.event != RUN_STATE or type_of(claimed) not in ("BUILD", ""):
        return Report()
    state = state_of(claimed)
    if state in _UNFINISHED and _UNFINISHED.isdisjoint(endpoint.states):
        # Cocktail sends a callback for each step of a build: one that can become no event needs no request.
        return Report()
    ref = run_reference(_number(message.target.build_run_seq), _number(message.target.build_seq), "")
    return of_execution(client, endpoint, ref, state)


def _number(value: Seq) -> str:
    text = str(value).strip()
    # Without leading zeros: one run has one id.
    return str(int(text)) if text.isascii() and text.isdecimal() and len(text) < 20 and int(text) > 0 else ""
