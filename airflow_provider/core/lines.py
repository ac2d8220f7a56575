"""The lines of a task's log: the wording and level of each kind of line, for operators, sensors and triggers.

Errors are failures, warnings are what a person should notice or do, everything else is information: Airflow's UI
filters by level. No I/O and no clock.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState, Step

SYSTEM_NAMES = {
    "code_stream": "Code Stream",
    "service_stage": "ServiceStage",
    "cocktail": "Cocktail",
    "quay": "Quay",
}

LONGEST_ARGUMENT = 80
"""Characters of one argument in the first line of a log."""
LONGEST_LIST = 2000
"""Characters of the names that a line lists."""

_CONDITIONS = frozenset({"event", "approval", "tag", "scan"})
"""Kinds of references to something that must exist, not to an execution."""

_DOING = {
    ExecutionState.QUEUED: "is queued",
    ExecutionState.RUNNING: "is running",
    ExecutionState.WAITING: "is waiting for a person",
    ExecutionState.PAUSED: "is paused until a person resumes it",
    ExecutionState.SUCCEEDED: "succeeded",
    ExecutionState.FAILED: "failed",
    ExecutionState.CANCELED: "was canceled",
    ExecutionState.UNKNOWN: "is in a status unknown to this provider",
}
_STILL = {
    ExecutionState.WAITING: "waiting for a person",
    ExecutionState.UNKNOWN: "in a status unknown to this provider",
}
_AT_WORK = (ExecutionState.RUNNING, ExecutionState.WAITING, ExecutionState.PAUSED)


class Level(enum.StrEnum):
    """The level of a line: the name of a logger's method."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogLine(Struct, frozen=True):
    """A line of a task's log."""

    text: str
    level: Level = Level.INFO


def warning(text: str) -> LogLine:
    """Something that a person should notice or do."""
    return LogLine(text, Level.WARNING)


def error(text: str) -> LogLine:
    """Something that failed."""
    return LogLine(text, Level.ERROR)


# --- parts of lines ---


def name_of(ref: Mapping[str, Any]) -> str:
    """What a reference names, for people: ``build run 7``."""
    kind = str(ref.get("kind") or "execution").replace("_", " ")
    if kind == "scan" and ref.get("id"):
        return f"scan of {ref['id']}"
    if kind == "release" and ref.get("action") == "rollback":
        kind = "rollback"
    return f"{kind} {ref['id']}" if ref.get("id") else kind


def span(seconds: float) -> str:
    """A duration for people: ``45 s``, ``32 min``, ``2 h 5 min``, ``3 days``."""
    minutes, hours, days = (int(seconds // unit) for unit in (60, 3600, 86400))
    if minutes < 2:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if hours < 2:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days < 3 else f"{days} days"


def shortened(text: str, longest: int = LONGEST_ARGUMENT) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def shown(value: object) -> str:
    """An argument as the first line of a log shows it. For a mapping only the keys, because a value may be secret."""
    if isinstance(value, Mapping):
        return shortened(", ".join(map(str, value)))
    return shortened(repr(value))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _vendors_word(state: ExecutionState, status: str) -> str:
    """The vendor's own word for the state, if it says more than ours."""
    # What Quay has scanned may pass or fail.
    if status.lower() in ("", state.value, "scanned"):
        return ""
    return f"status {status}" if status.isdigit() else status


def doing(state: ExecutionState, status: str) -> str:
    """What an execution is doing, or did, in our words and the vendor's."""
    word = _vendors_word(state, status)
    return f"{_DOING[state]} ({word})" if word else _DOING[state]


def _doing(seen: Execution) -> str:
    return doing(seen.state, seen.status)


def _with(text: str, *details: str | None) -> str:
    return ": ".join(filter(None, (text, *details)))


# --- how a task begins ---


def begins(purpose: str, system: str, arguments: Mapping[str, object], who: str, conn_id: str, place: str) -> LogLine:
    """The first line: what the task does, with which arguments and as which user.

    :param purpose: what it does, such as ``run build 12``.
    :param arguments: only those that cannot be secret.
    :param who: ``as user release-bot``, ``with an API token``.
    """
    listed = ", ".join(f"{name} {shown(value)}" for name, value in arguments.items() if value not in (None, "", [], {}))
    where = SYSTEM_NAMES.get(system, system)
    how = " ".join(filter(None, (who, f"over connection {conn_id}", f"to {place}" if place else "")))
    return LogLine(f"{_capital(purpose)} in {where}{f' ({listed})' if listed else ''}, {how}")


def undeclared_inputs(given: Iterable[str], declared: Iterable[str]) -> LogLine:
    """Inputs that the pipeline does not declare: probably misspelled."""
    names, known = (shortened(", ".join(map(repr, each)), LONGEST_LIST) for each in (given, declared))
    return warning(f"The pipeline does not declare the inputs {names}, only {known}")


def started(execution: Execution, place: str) -> LogLine:
    return LogLine(f"Started {name_of(execution.ref)}{_where(execution, place)}")


def guess(execution: Execution) -> LogLine:
    text = f"Found {execution.id}, which this task probably started: waiting for it, but it will never be canceled"
    return warning(_with(text, execution.url))


def found(execution: Execution, place: str) -> LogLine:
    return LogLine(f"Found what this task started: {name_of(execution.ref)}{_where(execution, place)}")


def still_running(execution: Execution, place: str) -> LogLine:
    where = _where(execution, place)
    return LogLine(f"Continuing with what an earlier attempt started: {name_of(execution.ref)}{where}")


def arguments_changed(execution: Execution) -> LogLine:
    return warning(
        f"The arguments of this task have changed since it started {name_of(execution.ref)}, which has the earlier "
        "ones. Clear the task to start anew with the current ones"
    )


def _where(execution: Execution, place: str) -> str:
    return f": {execution.url}" if execution.url else f" at {place}"


def act_taken(execution: Execution) -> LogLine:
    return LogLine(_with(f"Request accepted: {name_of(execution.ref)}", execution.url))


def nothing_to_act_on(execution: Execution) -> LogLine:
    return LogLine(_with(f"Nothing to do: {name_of(execution.ref)} {_doing(execution)}", execution.url))


# --- during a wait ---


def led_to(execution: Execution) -> LogLine:
    """The reference now names an execution, such as the one that a rerun event led to."""
    return LogLine(_with(f"It resulted in {name_of(execution.ref)}", execution.url))


def changed(seen: Execution) -> LogLine:
    """The status changed."""
    if seen.ref.get("kind") in _CONDITIONS:
        return _changed_condition(seen)
    text = f"{_capital(name_of(seen.ref))} {_doing(seen)}"
    link = seen.url if seen.state.needs_a_person else None
    return LogLine(_with(text, seen.message, link), _level_of(seen.state))


def changes_too_often(ref: Mapping[str, Any]) -> LogLine:
    return warning(f"{_capital(name_of(ref))} changes very often: from now on, only its end is logged")


def _changed_condition(seen: Execution) -> LogLine:
    if seen.state is ExecutionState.SUCCEEDED:
        return LogLine(_with(f"{_capital(name_of(seen.ref))} {_met(seen.ref)}", seen.message))
    if seen.state.is_terminal or seen.state is ExecutionState.UNKNOWN:
        text = f"{_capital(name_of(seen.ref))} {_doing(seen)}"
        return LogLine(_with(text, seen.message), _level_of(seen.state))
    return LogLine(f"Waiting: {seen.message or _not_yet(seen.ref)}")


def _met(ref: Mapping[str, Any]) -> str:
    return "passed" if ref.get("kind") == "scan" else "is there"


def _not_yet(ref: ExecutionRef) -> str:
    return f"{name_of(ref)} is not ready yet" if ref.get("id") else f"no {name_of(ref)} yet"


def _level_of(state: ExecutionState) -> Level:
    if state is ExecutionState.FAILED:
        return Level.ERROR
    # Not an error: some tasks exist to cancel. If a cancel is a failure, the task's last line is an error.
    needs_attention = state.needs_a_person or state in (ExecutionState.UNKNOWN, ExecutionState.CANCELED)
    return Level.WARNING if needs_attention else Level.INFO


def step_changed(step: Step) -> LogLine:
    level = Level.ERROR if step.state is ExecutionState.FAILED else Level.INFO
    return LogLine(f"  {step.name}: {step.status}" + (f" - {step.message}" if step.message else ""), level)


def still(seen: Execution, seconds: float) -> LogLine:
    """Nothing has changed for a while."""
    if seen.ref.get("kind") in _CONDITIONS and seen.state is not ExecutionState.UNKNOWN:
        return LogLine(f"Still waiting ({span(seconds)}): {seen.message or _not_yet(seen.ref)}")
    at_work = ", ".join(step.name for step in seen.steps if step.state in _AT_WORK)
    where = f"stage {shortened(at_work)}" if at_work else _vendors_word(seen.state, seen.status)
    text = f"Still {_STILL.get(seen.state, seen.state.value)} ({', '.join(filter(None, (span(seconds), where)))})"
    if seen.state.needs_a_person:
        return warning(_with(text, seen.message, seen.url))
    return LogLine(text, _level_of(seen.state))


def poll_failed(problem: Exception) -> LogLine:
    return warning(f"Poll failed, will retry: {problem}")


def still_no_answer(problem: Exception, seconds: float) -> LogLine:
    return warning(f"Polls have been failing for {span(seconds)}, will retry: {problem}")


def answers_no_longer_count(crashes: int) -> LogLine:
    return warning(
        f"Waiting in this worker, because {crashes} waits in the triggerer ended without an event: answers in Airflow "
        "no longer count; only decisions in the system itself do"
    )


def answers_again(system: str, seconds: float) -> LogLine:
    return LogLine(f"{SYSTEM_NAMES.get(system, system)} responds again after {span(seconds)}")


def next_reminder(seconds: float) -> float:
    """When a wait next logs that it is still waiting, in seconds since it began; the intervals grow.

    Depends on the time alone, so a wait that moves to another process repeats nothing.

    :param seconds: since it began.
    """
    moment = DURATIONS.first_reminder
    while moment <= seconds:
        moment += min(moment, DURATIONS.longest_reminder)
    return moment


# --- how a task ends ---


def ended(result: Mapping[str, Any], seconds: float | None) -> LogLine:
    """The last line of a task that succeeded.

    :param result: as returned by :meth:`~airflow_provider.execution.Execution.to_result`.
    :param seconds: how long it took as far as the task knows; the vendor's own duration takes precedence.
    """
    name = name_of(result["ref"])
    took = result["duration"] if result["duration"] is not None else seconds
    after = "" if took is None else f" after {span(took)}"
    if result["ref"].get("kind") == "scan":
        return LogLine(_with(f"{_capital(name)} passed{after}", result["url"]))
    if result["ref"].get("kind") in _CONDITIONS:
        return LogLine(_with(f"Found {name}{after}", result["url"]))
    return LogLine(_with(f"Succeeded{after}", name, result["url"]))


def acted(result: Mapping[str, Any], seconds: float | None) -> LogLine:
    """The last line of a cancel, pause, resume or stop that took effect, or came too late.

    :param seconds: since it began, if known.
    """
    after = "" if seconds is None else f" after {span(seconds)}"
    return LogLine(
        _with(f"Done{after}: {name_of(result['ref'])} {_DOING[ExecutionState(result['state'])]}", result["url"])
    )


def left(result: Mapping[str, Any]) -> LogLine:
    """The last line of a task that does not wait for the end."""
    state = ExecutionState(result["state"])
    text = f"Not waiting for {name_of(result['ref'])} (wait_for_completion is false): it {_DOING[state]}"
    return LogLine(_with(text, result["url"]))


def failed(problem: ReleasePipelineError, seconds: float | None, url: str | None = None) -> LogLine:
    """The last line of a task that failed."""
    after = "" if seconds is None else f" after {span(seconds)}"
    # If no request failed, str(problem) adds only the name of the system.
    text = problem.summary if problem.path is None and problem.message is None else str(problem)
    return error(_with(f"Failed{after}", text, url if url and url not in text else None))


def timed_out(summary: str, *, is_skipped: bool) -> LogLine:
    """The last line of a sensor that timed out."""
    return warning(f"Skipped: {summary}") if is_skipped else error(f"Failed: {summary}")


# --- cancels ---


def canceling(name: str, reason: str) -> LogLine:
    return warning(f"Canceling {name}: {reason}")


def not_canceling(name: str, reason: str) -> LogLine:
    return LogLine(f"Not canceling {name}: {reason}")


def may_be_left(name: str, reason: str) -> LogLine:
    """Nothing is canceled, and it is not known whether a person ended the task."""
    return warning(f"Not canceling {name}: {reason}. If a person ended the task, cancel it manually")


def guess_not_canceled(name: str) -> LogLine:
    return warning(f"Not canceling {name}: it was only guessed to be this task's")


def cancel_taken(name: str) -> LogLine:
    return LogLine(f"Cancel accepted: {name}")


def cancel_fails(name: str, problem: object) -> LogLine:
    """It will be retried."""
    return warning(f"Could not cancel {name}, will retry: {problem}")


def cancel_failed(name: str, problem: object) -> LogLine:
    return error(f"Could not cancel {name}: {problem}")


# --- approvals ---


def asked(ref: Mapping[str, Any], asks: str | None, approvers: object, url: str | None) -> LogLine:
    """The question to a person, and who may answer it, as far as the vendor reports it."""
    names = ", ".join(map(str, approvers)) if isinstance(approvers, (list, tuple)) else str(approvers or "")
    question = " ".join(filter(None, (asks, f"(approvers: {shortened(names)})" if names else "")))
    return LogLine(_with(f"{_capital(name_of(ref))} asks", question, url))


def answered(ref: Mapping[str, Any], status: str, by: object, url: str | None) -> LogLine:
    """The last line of an answer."""
    return LogLine(_with(f"{_capital(name_of(ref))} is {status}{f' by {shortened(str(by))}' if by else ''}", url))


def answer_taken(task: str, decision: object, execution: Execution) -> LogLine:
    """The last line of an answer, if the vendor only reports that the approval no longer waits."""
    text = f"The answer to {task} was accepted ({decision}): {name_of(execution.ref)} {_doing(execution)}"
    return LogLine(_with(text, execution.url))


# --- requests that finish at once ---


def pointed(result: Mapping[str, Any]) -> LogLine:
    """The last line of a promoted tag."""
    return LogLine(_with(f"{_capital(name_of(result['ref']))} points to {result['outputs']['digest']}", result["url"]))


def notification(uuid: str, state: str) -> LogLine:
    return LogLine(f"Notification {uuid} {state}")


def triggered(pipelines: Iterable[str]) -> LogLine:
    return LogLine(f"Triggered {shortened(', '.join(pipelines), LONGEST_LIST) or 'no pipeline'}")
