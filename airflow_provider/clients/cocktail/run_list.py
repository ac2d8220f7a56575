"""The list of a build's runs, with the excerpt of each run that a wait reads."""

from __future__ import annotations

from typing import Any

import msgspec

from airflow_provider.clients.answers import Decoder
from airflow_provider.clients.cocktail import fields
from airflow_provider.clients.cocktail.errors import is_path_missing
from airflow_provider.clients.cocktail.wire import Wire
from airflow_provider.clients.decoding import loads
from airflow_provider.clients.listing import Listing, decode_excerpts
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution


class Excerpt(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of a listed run that change with its state."""

    build_run_seq: Any = None
    run_state: Any = None
    tag_name: Any = None
    image_digest: Any = None


class _Envelope(msgspec.Struct):
    result: list[Excerpt]
    status: Any = None


_DECODER = msgspec.json.Decoder(_Envelope | list[Excerpt])


def shows(excerpt: Excerpt, seen: Execution) -> bool:
    """Whether a run in the list has not changed since it was seen."""
    return (
        seen.status == (excerpt.run_state or "")
        and seen.outputs.get("tag") == (excerpt.tag_name or None)
        and seen.outputs.get("digest") == (excerpt.image_digest or None)
    )


def ask_for_runs(wire: Wire, build_seq: int | str, decode: Decoder = loads) -> Any:
    """The server's answer to a request for the list of a build's runs."""
    build_seq = wire.number("build_seq", build_seq)
    params = None if wire.paths.names_build("list") else {"buildSeq": build_seq}
    return wire.call("list", params, decode=decode, build_seq=build_seq)


def excerpts_of_runs(wire: Wire, build_seq: str, decode: Decoder) -> Listing[Excerpt] | None:
    """The list for many waits; ``None`` if it is empty or not published.

    :param decode: :func:`decode_runs`, or something that remembers its results.
    """
    try:
        data = ask_for_runs(wire, build_seq, decode)
    except ReleasePipelineError as error:
        if is_path_missing(error):
            return None
        raise
    if not isinstance(data, (Listing, type(None))):
        raise wire.unexpected("list", "the answer is not a list of build runs")
    return data


def decode_runs(content: bytes) -> Any:
    """A :class:`Listing` by the runs' numbers, or the JSON of an answer that is not a list (an error, for example)."""
    try:
        body = decode_excerpts(content, _DECODER)
    except msgspec.ValidationError:
        return loads(content)
    if not isinstance(body, _Envelope):
        return Listing(content, body, _run_seq_of, None)
    if str(body.status).lower() == "error":
        return loads(content)
    return Listing(content, body.result, _run_seq_of, "result")


def _run_seq_of(excerpt: Excerpt) -> str:
    return fields.number_text(excerpt.build_run_seq)
