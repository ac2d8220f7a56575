"""Callbacks of Cocktail: sent once, before the server may have stored what it tells, and never again."""

from __future__ import annotations

import msgspec

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.clients.cocktail.references import run_reference
from airflow_provider.clients.cocktail.run_execution import state_of, type_of
from airflow_provider.execution import ExecutionState
from airflow_provider.webhooks.bodies import RefusedError, decode
from airflow_provider.webhooks.endpoints import Endpoint
from airflow_provider.webhooks.occurrences import Told, of_execution

RUN_STATE = "BUILD_RUN_STATE"
_UNDER_WAY = frozenset({ExecutionState.QUEUED, ExecutionState.RUNNING})

Number = int | str


class Target(msgspec.Struct, rename="camel"):
    build_seq: Number = 0
    build_run_seq: Number = 0


class Run(msgspec.Struct, rename="camel"):
    run_state: str = ""
    run_type: str = ""


class Message(msgspec.Struct):
    """``target`` names the run; of ``data``, only what it claims of the run's state is read."""

    event: str
    target: Target
    data: Run = msgspec.field(default_factory=Run)


def read(body: bytes) -> Message:
    """:raises RefusedError: it is no callback of Cocktail's."""
    message = decode(body, Message)
    if message.event == RUN_STATE and not (_number(message.target.build_run_seq) and _number(message.target.build_seq)):
        raise RefusedError(400, "target.buildRunSeq or target.buildSeq is no number")
    return message


def is_test(message: Message) -> bool:
    """Cocktail sends none."""
    return False


def occurrences(message: Message, endpoint: Endpoint, client: CocktailClient) -> Told:
    """The build run, as Cocktail tells it now. Runs that cancel or remove another are none of their own."""
    claimed = {"runState": message.data.run_state, "runType": message.data.run_type}
    if message.event != RUN_STATE or type_of(claimed) not in ("BUILD", ""):
        return Told()
    told = state_of(claimed)
    if told in _UNDER_WAY and _UNDER_WAY.isdisjoint(endpoint.states):
        # Each step of a build is told; nobody wants to hear of it, so nobody is asked.
        return Told()
    ref = run_reference(_number(message.target.build_run_seq), _number(message.target.build_seq), "")
    return of_execution(client, endpoint, ref, told)


def _number(value: Number) -> str:
    text = str(value).strip()
    return text if text.isascii() and text.isdecimal() and len(text) < 20 and int(text) > 0 else ""
