"""The list of release tasks, with the excerpt of each item that a wait reads."""

from __future__ import annotations

from typing import Any

import msgspec

from airflow_provider.clients.answers import Decoder
from airflow_provider.clients.decoding import loads
from airflow_provider.clients.listing import Listing, decode_excerpts
from airflow_provider.clients.service_stage.wire import Wire, not_answered
from airflow_provider.exceptions import NotFoundError


class Excerpt(msgspec.Struct, frozen=True):
    """The fields of a list item that change with its release."""

    id: Any = None
    status: Any = None
    last_trigger_at: Any = None
    lastTriggerAt: Any = None  # noqa: N815 - the field's name
    trigger_at: Any = None
    triggerAt: Any = None  # noqa: N815

    @property
    def has_time(self) -> bool:
        """Whether it has a trigger time, which shows a second run even with the same status."""
        times = (self.last_trigger_at, self.lastTriggerAt, self.trigger_at, self.triggerAt)
        return any(time is not None for time in times)


class _Wrapped(msgspec.Struct):
    pipelines: list[Excerpt]


_DECODER = msgspec.json.Decoder(_Wrapped | list[Excerpt])


def decode_tasks(content: bytes) -> Any:
    """A :class:`Listing` by the tasks' ids, or the JSON of an answer that is not a list (an error, for example)."""
    try:
        body = decode_excerpts(content, _DECODER)
    except msgspec.ValidationError:
        return loads(content)
    if isinstance(body, _Wrapped):
        return Listing(content, body.pipelines, _id_of, "pipelines")
    return Listing(content, body, _id_of, None)


def _id_of(excerpt: Excerpt) -> str:
    return str(excerpt.id)


def excerpts_of_tasks(wire: Wire, decode: Decoder) -> Listing[Excerpt]:
    """The list for many waits.

    :param decode: :func:`decode_tasks`, or something that remembers its results.
    """
    try:
        answer = wire.get("", decode=decode)
    except NotFoundError as error:
        raise not_answered(error) from None
    if not isinstance(answer, Listing):
        raise wire.unexpected("a list of pipelines", answer)
    return answer
