"""What a webhook reports, as it is counted: with an id that stays the same however often the system reports it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.exceptions import NotFoundError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState
from airflow_provider.webhooks.endpoints import WebhookEndpoint

COUNTED_FOR = 7 * 86400.0
"""Seconds for which counted ids are kept: the systems repeat a message within minutes."""

POLLS = 3
PAUSE = 0.5
"""How often to poll an execution that has been reported as finished but is not yet, and the seconds in between: a
system may send a message before it stores the state."""


class Occurrence(msgspec.Struct, frozen=True):
    """One thing that happened.

    :param id: the same in every report of it, different for anything else.
    :param about: what it is, for the log.
    :param extra: ``extra`` of the asset's event.
    :param known_for: seconds after which the same id is another occurrence.
    """

    id: str
    about: str
    extra: Mapping[str, Any]
    known_for: float = COUNTED_FOR


Alternatives = Sequence[Occurrence]
"""What one report may be about: the first that is not counted yet. Empty: nothing is counted."""


class Report(NamedTuple):
    """A verified message.

    :param occurrences: to be counted.
    :param finished: an execution that the system shows as finished for good, so that the waits for it can end.
    :param is_early: whether the system reports an end that it does not show yet.
    """

    occurrences: Sequence[Alternatives] = ()
    finished: Execution | None = None
    is_early: bool = False


def of_execution(
    client: ReleaseClient, endpoint: WebhookEndpoint, ref: ExecutionRef, claimed: ExecutionState | None = None
) -> Report:
    """The execution that a message is about. Its state is read from the system, the message is only a hint.

    :param claimed: the state according to the message, if the system may not show it yet.
    :raises ReleasePipelineError: the system could not be polled, and the message claims no end that could be trusted.
    """
    try:
        seen = _poll(client, ref, claimed)
    except NotFoundError:
        return Report()
    except ReleasePipelineError:
        if claimed is None or not claimed.is_terminal:
            raise
        seen = None
    if seen is not None and (claimed is None or not claimed.is_terminal or seen.state.is_terminal):
        wanted = _if_wanted(client, endpoint, seen.state, seen.to_result() | {"confirmed": True}, ref)
        is_final = seen.state.is_terminal and not client.waits.settling_of(seen)
        return Report([wanted], seen if is_final else None)
    # The message is not repeated, and its sender knows the secret: an unconfirmed event is better than none.
    state = claimed or ExecutionState.UNKNOWN
    unconfirmed = {"system": client.system, "id": ref["id"], "ref": dict(ref), "state": state.value, "confirmed": False}
    return Report([_if_wanted(client, endpoint, state, unconfirmed, ref)], is_early=True)


def _poll(client: ReleaseClient, ref: ExecutionRef, claimed: ExecutionState | None) -> Execution:
    for _ in range(POLLS - 1):
        seen = client.observe(dict(ref))
        if claimed is None or not claimed.is_terminal or seen.state.is_terminal:
            return seen
        time.sleep(PAUSE)
    return client.observe(dict(ref))


def _if_wanted(
    client: ReleaseClient, endpoint: WebhookEndpoint, state: ExecutionState, extra: Mapping[str, Any], ref: ExecutionRef
) -> Alternatives:
    if state not in endpoint.states:
        return []
    where = ref.get("repository", "")
    about = " ".join(part for part in (ref["kind"].replace("_", " "), ref["id"], where and f"of {where}") if part)
    named = "/".join(part for part in (client.place, ref["kind"], where, ref["id"], state.value) if part)
    return [Occurrence(named, f"{about} {state.value}", extra)]


def of_message(
    client: ReleaseClient, event: str, body: Mapping[str, Any], about: str, repeated_within: float
) -> Alternatives:
    """A message that cannot be verified, because there is nothing to read, and that holds no id of its own.

    :param repeated_within: seconds within which an equal message counts as a repetition of this one.
    """
    text = msgspec.json.encode(body, order="deterministic")
    named = f"{client.place}/{event}/{hashlib.sha256(text).hexdigest()}"
    return [Occurrence(named, about, {"system": client.system, "event": event, **body}, repeated_within)]
