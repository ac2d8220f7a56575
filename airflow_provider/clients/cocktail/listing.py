"""The list of a build's runs as a wait reads it."""

from __future__ import annotations

from typing import Any

import msgspec

from airflow_provider.clients.cocktail import answers
from airflow_provider.clients.decoding import loads
from airflow_provider.clients.listing import Listing, decode_glances


class Glance(msgspec.Struct, frozen=True, rename="camel"):
    """What of a listed run changes when it moves on."""

    build_run_seq: Any = None
    run_state: Any = None
    tag_name: Any = None
    image_digest: Any = None


class _Envelope(msgspec.Struct):
    result: list[Glance]
    status: Any = None


_DECODER = msgspec.json.Decoder(_Envelope | list[Glance])


def decode_runs(content: bytes) -> Any:
    """A :class:`Listing` by the runs' numbers, or for an answer that is none (an error, for one) its JSON."""
    try:
        body = decode_glances(content, _DECODER)
    except msgspec.ValidationError:
        return loads(content)
    if not isinstance(body, _Envelope):
        return Listing(content, body, _run_seq_of, lambda whole: whole)
    if str(body.status).lower() == "error":
        return loads(content)
    return Listing(content, body.result, _run_seq_of, lambda whole: whole["result"])


def _run_seq_of(glance: Glance) -> str:
    return answers.number_text(glance.build_run_seq)
