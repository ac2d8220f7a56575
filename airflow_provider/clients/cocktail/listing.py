"""The list of a build's runs as a wait reads it: only what tells that a run moved, the rest of it where it did."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from airflow_provider.clients.cocktail import answers


class Glance(msgspec.Struct, frozen=True, rename="camel"):
    """What of a listed run changes when it moves on."""

    build_run_seq: Any = None
    run_state: Any = None
    tag_name: Any = None
    image_digest: Any = None


class _Envelope(msgspec.Struct):
    result: list[msgspec.Raw]
    status: Any = None


_LIST = msgspec.json.Decoder(_Envelope | list[msgspec.Raw])
_GLANCE = msgspec.json.Decoder(Glance)


class Runs:
    """:param runs: the JSON of each."""

    def __init__(self, runs: list[msgspec.Raw]) -> None:
        self.glances: dict[str, Glance] = {}
        self._runs: dict[str, msgspec.Raw] = {}
        for run in runs:
            glance = _GLANCE.decode(run)
            run_seq = answers.number_text(glance.build_run_seq)
            self.glances[run_seq] = glance
            self._runs[run_seq] = run

    def run(self, run_seq: str) -> Any:
        """The whole of a run that is in the list."""
        return json.loads(bytes(self._runs[run_seq]))


def decode_runs(content: bytes) -> Any:
    """:class:`Runs`, or for an answer that is no list (an error, for one) its JSON."""
    try:
        body = _LIST.decode(content)
        if isinstance(body, _Envelope):
            return json.loads(content) if str(body.status).lower() == "error" else Runs(body.result)
        return Runs(body)
    except msgspec.ValidationError:
        return json.loads(content)
