"""Lists: filtering, sorting and paging by the query, and the shape of a list reply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from airflow_provider.sandbox.code_stream.filters import Document, FilterError, compile_filter, text_of
from airflow_provider.sandbox.code_stream.refusals import Refusal
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply

DEFAULT_TOP = 25
DEFAULT_ORDER = "name desc"


def order(documents: Iterable[Document], text: str) -> list[Document]:
    """The documents in the order of ``field asc|desc, ...``."""
    ordered = list(documents)
    for clause in reversed(text.split(",")):
        words = clause.split()
        if not words or len(words) > 2 or (len(words) == 2 and words[1] not in ("asc", "desc")):
            raise Refusal(400, f"Invalid $orderby clause {clause.strip()!r}")
        ordered.sort(key=_sort_key(words[0]), reverse=words[-1] == "desc")
    return ordered


def _sort_key(name: str) -> Callable[[Document], tuple[int, Any]]:
    def key(document: Document) -> tuple[int, Any]:
        value = document.get(name)
        if isinstance(value, (int, float)):
            return 1, value
        return (0, "") if value is None else (2, text_of(value))

    return key


def _number(call: Call, name: str, default: int) -> int:
    text = call.query(name)
    if text is None:
        return default
    if not text.isdigit():
        raise Refusal(400, f"Invalid value {text!r} for {name}")
    return int(text)


def listed(call: Call, documents: Iterable[Document]) -> Response:
    """The answer to a list call over these documents."""
    return list_reply(call, *select(call, documents))


def select(call: Call, documents: Iterable[Document]) -> tuple[list[Document], int]:
    """The page of documents that the query asks for, and how many match altogether."""
    filters = [value for name, value in call.pairs if name == "$filter"]
    if len(filters) > 1:
        raise Refusal(400, "Only one $filter parameter is allowed")
    if filters:
        try:
            predicate = compile_filter(filters[0])
        except FilterError as error:
            if call.switches["unknown_filter"] == 400:
                raise Refusal(400, f"Invalid $filter: {error}") from None
        else:
            documents = [document for document in documents if predicate(document)]
    ordered = order(documents, call.query("$orderby") or DEFAULT_ORDER)
    size = _number(call, "$size", 0)
    top = min(size or _number(call, "$top", DEFAULT_TOP), call.switches["top_maximum"])
    skip = _number(call, "$skip", 0) + (_number(call, "page", 0) * size if size else 0)
    return ordered[skip : skip + top], len(ordered)


def list_reply(
    call: Call, page: Sequence[Document], total: int, encode: Callable[[Document], Any] | None = None
) -> Response:
    """``documents`` is an object keyed by link; only ``links`` holds the order.

    :param encode: gives the JSON of a document where it is kept already
    """
    links = [document["_link"] for document in page]
    documents: dict[str, Any] = {document["_link"]: encode(document) if encode else document for document in page}
    if call.switches["omit_document"] and links:
        del documents[links[0]]
    return json_reply({"count": len(page), "totalCount": total, "links": links, "documents": documents})


def as_raw(document: Document) -> msgspec.Raw:
    """The JSON of a document, to be kept beside it."""
    return msgspec.Raw(msgspec.json.encode(document))
