"""Turns a Code Stream execution document into an ``Execution``: its state, its steps, why it failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from airflow_provider.clients.code_stream.fields import Document, as_text, fields_of, first_time, id_of, texts_of
from airflow_provider.clients.code_stream.references import execution_reference
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.execution import Execution, ExecutionState, Step

STATES = {
    "NOT_STARTED": ExecutionState.QUEUED,
    "QUEUED": ExecutionState.QUEUED,
    "STARTED": ExecutionState.RUNNING,
    "PREPARING_WORKSPACE": ExecutionState.RUNNING,
    "RUNNING": ExecutionState.RUNNING,
    "RESUMING": ExecutionState.RUNNING,
    "PAUSING": ExecutionState.RUNNING,
    "CANCELING": ExecutionState.RUNNING,
    "ROLLING_BACK": ExecutionState.RUNNING,
    "WAITING": ExecutionState.WAITING,
    "PAUSED": ExecutionState.PAUSED,
    "COMPLETED": ExecutionState.SUCCEEDED,
    "CANCELED": ExecutionState.CANCELED,
    "FAILED": ExecutionState.FAILED,
    "ROLLBACK_COMPLETED": ExecutionState.FAILED,
    "ROLLBACK_FAILED": ExecutionState.FAILED,
    # Outcomes of stages and tasks; for a whole execution they are terminal, and not a success.
    "SKIPPED": ExecutionState.FAILED,
    "FAILED_CONTINUE": ExecutionState.FAILED,
}

_STEP_STATES = {**STATES, "SKIPPED": ExecutionState.SUCCEEDED}

MAY_BE_ROLLED_BACK = "FAILED"
"""The end of an execution, unless a rollback begins a moment later."""

_FROM_THE_EVENT = ("input", "comments", "_triggeredBy")


def state_of(document: Document) -> ExecutionState:
    return STATES.get(str(document.get("status") or "").upper(), ExecutionState.UNKNOWN)


def request_time(document: Document) -> datetime | None:
    """When the execution was requested."""
    return first_time(document, "_requestTimeInMicros", "_createTimeInMicros", "createdAt")


def is_alike(document: Document, other: Document) -> bool:
    """Whether two executions are equal in all fields that they have from their event, so that both may be of one event.

    A list may leave fields out.
    """
    return all(document.get(name, other.get(name)) == other.get(name) for name in _FROM_THE_EVENT)


def execution_of(document: Document, url: str | None) -> Execution:
    """Read an execution document, with or without its stages and tasks.

    :param document: as returned by ``GET /executions/{id}``.
    :param url: of its page, for people.
    """
    state = state_of(document)
    parts = list(_parts(document))
    broken = next((part for _, part in parts if part.get("status") == "FAILED"), None)
    started = request_time(document)
    output = document.get("output")
    return Execution(
        ref=execution_reference(id_of(document)),
        state=state,
        status=str(document.get("status") or ""),
        url=url,
        message=_asked(parts)
        if state is ExecutionState.WAITING
        else _message(document, broken if state is ExecutionState.FAILED else None),
        outputs=output if isinstance(output, dict) else {},
        started_at=started,
        finished_at=_finished(document, started) if state.is_terminal else None,
        steps=tuple(
            Step(
                name,
                str(part.get("status") or ""),
                _first_text(part, "failureMessage", "statusMessage") or None,
                _STEP_STATES.get(str(part.get("status") or "").upper(), ExecutionState.UNKNOWN),
            )
            for name, part in parts
        ),
        rejected=_was_rejected(broken) if state is ExecutionState.FAILED else False,
    )


def _was_rejected(broken: Document | None) -> bool | None:
    """Whether the task that failed was an approval; ``None`` if that is not known."""
    kind = (broken or {}).get("type")
    return str(kind).lower() == "useroperation" if kind else None


def _parts(document: Document) -> Iterator[tuple[str, Document]]:
    """Tasks in the order in which they run, as ``Stage.Task``; a stage without tasks stands for itself."""
    stages = fields_of(document.get("stages"))
    for stage_name in texts_of(document.get("stageOrder"), stages):
        stage = fields_of(stages.get(stage_name))
        tasks = fields_of(stage.get("tasks"))
        if not tasks:
            yield stage_name, stage
        for entry in texts_of(stage.get("taskOrder"), tasks):
            # One entry may name tasks that run in parallel: "Unit,Lint".
            for task_name in [entry] if entry in tasks else entry.split(","):
                if task := fields_of(tasks.get(task_name.strip())):
                    yield f"{stage_name}.{task_name.strip()}", task


def _first_text(part: Document, *names: str) -> str:
    return next((as_text(part[name]) for name in names if part.get(name)), "")


def _asked(parts: list[tuple[str, Document]]) -> str | None:
    """The question to a person, and who may answer it."""
    asked = []
    for name, task in parts:
        if str(task.get("status")).upper() == "WAITING":
            given = fields_of(task.get("input"))
            question = f": {summary}" if (summary := as_text(given.get("summary") or "")) else ""
            approvers = given.get("approvers")
            names = ", ".join(map(str, approvers)) if isinstance(approvers, list) else as_text(approvers or "")
            asked.append(f"{name} requests approval{question}" + (f" (approvers: {names})" if names else ""))
    return "; ".join(asked) or None


def _message(document: Document, broken: Document | None) -> str | None:
    message = _first_text(document, "statusMessage")
    detail = _first_text(broken or {}, "failureMessage", "statusMessage")
    return " ".join(text for text in (message, detail if detail not in message else "") if text) or None


def _finished(document: Document, started: datetime | None) -> datetime | None:
    duration = document.get("_totalDurationInMicros") or document.get("_durationInMicros")
    if started and isinstance(duration, (int, float)):
        with suppress(OverflowError):
            return started + timedelta(microseconds=duration)
    return first_time(document, "_updateTimeInMicros", "updatedAt")


def read_execution(wire: Wire, document: Document) -> Execution:
    """Read an execution document, and add the link to its page."""
    return execution_of(document, wire.page_of(id_of(document)))


def just_started(wire: Wire, execution_id: str) -> Execution:
    """An execution of which only the id is known."""
    url = wire.page_of(execution_id)
    return Execution(execution_reference(execution_id), ExecutionState.QUEUED, status="", url=url)
