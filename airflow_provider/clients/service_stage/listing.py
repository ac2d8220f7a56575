"""The list of release tasks as a wait reads it: only what tells that something has moved, the rest where it has."""

from __future__ import annotations

import functools
import json
from typing import Any

import msgspec


class Glance(msgspec.Struct, frozen=True):
    """What of a list item changes when its release moves on."""

    id: Any = None
    status: Any = None
    last_trigger_at: Any = None
    lastTriggerAt: Any = None  # noqa: N815 - the field's name
    trigger_at: Any = None
    triggerAt: Any = None  # noqa: N815

    @property
    def tells_time(self) -> bool:
        """Whether a second run shows even if it has the status of the first."""
        times = (self.last_trigger_at, self.lastTriggerAt, self.trigger_at, self.triggerAt)
        return any(time is not None for time in times)


class _Wrapped(msgspec.Struct):
    pipelines: list[Glance]


_DECODER = msgspec.json.Decoder(_Wrapped | list[Glance])


class Listing:
    """:param content: the body of the list."""

    def __init__(self, content: bytes, glances: list[Glance]) -> None:
        self._content = content
        self.glances = {str(glance.id): glance for glance in glances}

    def item(self, pipeline_id: str) -> dict[str, Any] | None:
        """The whole list item of a release task."""
        return self._items.get(pipeline_id)

    @functools.cached_property
    def _items(self) -> dict[str, dict[str, Any]]:
        body = json.loads(self._content)
        items = body["pipelines"] if isinstance(body, dict) else body
        return {str(item.get("id")): item for item in items}


def decode(content: bytes) -> Any:
    """A :class:`Listing`, or for an answer that is none (an error, for one) its JSON."""
    try:
        body = _DECODER.decode(content)
    except msgspec.ValidationError:
        return json.loads(content)
    return Listing(content, body.pipelines if isinstance(body, _Wrapped) else body)
