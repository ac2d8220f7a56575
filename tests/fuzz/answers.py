"""The answers of the sandbox's hostile vendor, as hypothesis draws them and the server of these tests sends them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from airflow_provider.sandbox.core.hostile import dump
from airflow_provider.sandbox.core.hostile_bytes import CUT, NOTHING, PACKED_AND_CUT, PLAIN, TO_THE_END, wire
from airflow_provider.sandbox.core.hostile_documents import Chance
from airflow_provider.sandbox.core.hostile_values import NASTY_TEXTS
from tests.fuzz.server import Raw

texts = st.one_of(st.sampled_from(NASTY_TEXTS), st.text(max_size=20))


def answer(chance: Chance, documents: Sequence[Any]) -> Raw:
    """One answer as it goes over the wire."""
    body = chance.some_bytes() if chance.one_in(4) else dump(chance.mutant(chance.pick(documents)))
    return raw(chance.some_status(), body, chance.headers() if chance.one_in(2) else {}, chance.way())


def raw(status: int, body: bytes, headers: dict[str, str] | None = None, way: int = PLAIN) -> Raw:
    has_no_body = status in (204, 304) or status < 200
    keeps = way not in (CUT, PACKED_AND_CUT, NOTHING, TO_THE_END) and not has_no_body
    return Raw(wire(status, body, headers or {}, way), 0 if way == NOTHING else status, body, keeps)
