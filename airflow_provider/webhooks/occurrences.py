"""What a webhook has led to, as it is counted: with an id that is the same however often the system tells of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.exceptions import NotFoundError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState
from airflow_provider.webhooks.endpoints import Endpoint

COUNTED_FOR = 7 * 86400.0
"""Seconds for which what was counted is remembered: the systems send again within minutes."""
REPEATED_WITHIN = 3600.0
"""Seconds in which an equal message, of which nothing but its text is known, is taken for a repetition."""

LOOKS = 3
PAUSE = 0.5
"""Looks at an execution that is told to have ended and is not seen to have, and seconds between them: a system may send
before it has stored."""


class Occurrence(msgspec.Struct, frozen=True):
    """One thing that happened.

    :param id: the same for each telling of it, different for anything else.
    :param about: what it is, for the log.
    :param extra: of the asset's event.
    :param known_for: seconds after which the same id is another occurrence.
    """

    id: str
    about: str
    extra: Mapping[str, Any]
    known_for: float = COUNTED_FOR


Alternatives = Sequence[Occurrence]
"""What one telling may be of: the first that was not counted yet is. None: nothing is to be counted."""


class Told(NamedTuple):
    """What a message tells.

    :param counts: each is to be counted.
    :param over: an execution that is over for good, as the system shows it: nobody needs to wait for it any more.
    """

    counts: Sequence[Alternatives] = ()
    over: Execution | None = None


def of_execution(
    client: ReleaseClient, endpoint: Endpoint, ref: ExecutionRef, told: ExecutionState | None = None
) -> Told:
    """An execution that a message is about. What is true is read from the system, the message is only a hint.

    :param told: the state of which the message tells, if it tells one that the system might not tell yet.
    :raises ReleasePipelineError: the system cannot be asked, and the message tells no end that could be taken for true.
    """
    try:
        seen = _look(client, ref, told)
    except NotFoundError:
        return Told()
    except ReleasePipelineError:
        if told is None or not told.is_terminal:
            raise
        seen = None
    if seen is not None and (told is None or not told.is_terminal or seen.state.is_terminal):
        counts = _if_wanted(client, endpoint, seen.state, seen.to_result() | {"confirmed": True}, ref)
        is_over = seen.state.is_terminal and not client.settling_of(seen)
        return Told([counts], seen if is_over else None)
    # It is not told again, and whoever told it knows the secret: better one event to be looked into than none.
    state = told or ExecutionState.UNKNOWN
    told_only = {"system": client.system, "id": ref["id"], "ref": dict(ref), "state": state.value, "confirmed": False}
    return Told([_if_wanted(client, endpoint, state, told_only, ref)])


def _look(client: ReleaseClient, ref: ExecutionRef, told: ExecutionState | None) -> Execution:
    for _ in range(LOOKS - 1):
        seen = client.look(dict(ref))
        if told is None or not told.is_terminal or seen.state.is_terminal:
            return seen
        time.sleep(PAUSE)
    return client.look(dict(ref))


def _if_wanted(
    client: ReleaseClient, endpoint: Endpoint, state: ExecutionState, extra: Mapping[str, Any], ref: ExecutionRef
) -> Alternatives:
    if state not in endpoint.states:
        return []
    where = ref.get("repository", "")
    about = " ".join(part for part in (ref["kind"].replace("_", " "), ref["id"], where and f"of {where}") if part)
    named = "/".join(part for part in (client.place, ref["kind"], where, ref["id"], state.value) if part)
    return [Occurrence(named, f"{about} {state.value}", extra)]


def of_message(client: ReleaseClient, event: str, body: Mapping[str, Any], about: str) -> Alternatives:
    """A message that is all there is to know: nothing can be read again, and nothing in it is its own."""
    text = msgspec.json.encode(body, order="deterministic")
    named = f"{client.place}/{event}/{hashlib.sha256(text).hexdigest()}"
    return [Occurrence(named, about, {"system": client.system, "event": event, **body}, REPEATED_WITHIN)]
