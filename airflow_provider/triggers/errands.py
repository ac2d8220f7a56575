"""What one look at many executions asks, in which order, and what an error means for the rest of it. No loop here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from airflow_provider.exceptions import (
    AuthenticationError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)

if TYPE_CHECKING:
    from airflow_provider.clients.base import Observation, ReleaseClient
    from airflow_provider.core.waiting import Wait
    from airflow_provider.execution import ExecutionRef

log = structlog.get_logger(logger_name=__name__)

ALONE = 3
"""References that are looked up one by one and told together, where no request answers for many."""

ERRAND = 3
"""Such lookups, or requests that answer for many, which one thread makes one after the other: the second costs half as
much CPU as the first, which finds nothing in the processor's caches."""


def plan_errands(client: ReleaseClient, waits: list[Wait], turn: int) -> list[list[list[Wait]]]:
    """What one thread asks, one after the other: waits that one request answers stay together, however many.

    :param turn: which of the requests comes first.
    """
    shared: dict[str, list[Wait]] = {}
    alone: list[Wait] = []
    for wait in waits:
        request = client.shared_request(wait.ref)
        (alone if request is None else shared.setdefault(request, [])).append(wait)
    batches = [*shared.values(), *(alone[start : start + ALONE] for start in range(0, len(alone), ALONE))]
    first = turn % len(batches)
    batches = batches[first:] + batches[:first]
    return [batches[start : start + ERRAND] for start in range(0, len(batches), ERRAND)]


@dataclass(slots=True)
class Course:
    """How one look goes.

    :param is_answered: whether the vendor has answered anything well.
    :param last_error: of a request that others need not fail with.
    :param stopped_by: an error that concerns the whole connection: nothing more is asked.
    """

    is_answered: bool = False
    last_error: ReleasePipelineError | None = None
    stopped_by: ReleasePipelineError | None = None


Answer = list["Observation | None"] | ReleasePipelineError


def ask(client: ReleaseClient, requests: list[list[ExecutionRef]]) -> list[Answer]:
    """What was seen for each, or its error; after one that concerns all, nothing more is asked."""
    answers: list[Answer] = []
    for refs in requests:
        try:
            answers.append(client.fetch(refs))
        except ReleasePipelineError as error:
            if concerns_all(error):
                return answers + [error] * (len(requests) - len(answers))
            answers.append(error)
        except Exception as error:
            answers.append(unforeseen(error))
    return answers


def concerns_all(error: ReleasePipelineError) -> bool:
    """Whether any other request would end with it, too."""
    is_out_of_reach = isinstance(error, ServerUnavailableError) and error.status is None
    asks_to_wait = isinstance(error, ThrottledError) or error.retry_after is not None
    return is_out_of_reach or asks_to_wait or isinstance(error, AuthenticationError)


def unforeseen(error: Exception) -> UnexpectedResponseError:
    """One answer that trips a client must not end the waits of the whole connection."""
    log.exception("A look failed in an unforeseen way", exc_info=error)
    return UnexpectedResponseError(f"the answer could not be read: {type(error).__name__}")
