"""The answers of the sandbox's hostile vendor, as hypothesis draws them and the server of these tests sends them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

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


@dataclass(frozen=True)
class Route:
    """What a vendor answers at some paths.

    :param path: a regular expression; its group, if it has one, is the id.
    :param document: the answer.
    :param id_field: of the document.
    """

    path: str
    document: Any
    id_field: str = ""


def plain_vendor(chance: Chance, routes: Sequence[Route], field: str, words: Sequence[Any]) -> Callable[[str], Raw]:
    """A vendor that answers as documented, with executions in any state: from others, hardly anything ever succeeds.

    :param field: of the state.
    """

    def answer_to(target: str) -> Raw:
        path = unquote(urlsplit(target).path)
        for route in routes:
            if match := re.search(route.path, path):
                document = _in_any_state(chance, route.document, field, words)
                return raw(200, dump({**document, route.id_field: match[1]} if route.id_field else document))
        return raw(404, dump({"message": path}))

    return answer_to


def _in_any_state(chance: Chance, document: Any, field: str, words: Sequence[Any]) -> Any:
    if isinstance(document, dict):
        return {
            name: chance.pick(words) if name == field else _in_any_state(chance, each, field, words)
            for name, each in document.items()
        }
    return [_in_any_state(chance, each, field, words) for each in document] if isinstance(document, list) else document


def raw(status: int, body: bytes, headers: dict[str, str] | None = None, way: int = PLAIN) -> Raw:
    has_no_body = status in (204, 304) or status < 200
    keeps = way not in (CUT, PACKED_AND_CUT, NOTHING, TO_THE_END) and not has_no_body
    return Raw(wire(status, body, headers or {}, way), 0 if way == NOTHING else status, body, keeps)
