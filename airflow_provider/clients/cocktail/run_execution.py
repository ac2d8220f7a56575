"""Turns a build run of Cocktail into an Execution. No HTTP here."""

from __future__ import annotations

from msgspec.structs import replace

from airflow_provider.clients.cocktail import fields
from airflow_provider.clients.cocktail.fields import Document
from airflow_provider.clients.cocktail.references import SYSTEM, has_autotag, run_reference
from airflow_provider.exceptions import BadRequestError, Call, Effect, UnexpectedResponseError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState, Step

_STATES = {
    "CREATED": ExecutionState.QUEUED,
    "RUNNING": ExecutionState.RUNNING,
    "DONE": ExecutionState.SUCCEEDED,
    "ERROR": ExecutionState.FAILED,
}
_STEP_STATES = {**_STATES, "WAIT": ExecutionState.QUEUED}


def state_of(run: Document) -> ExecutionState:
    return _STATES.get(str(run.get("runState")).upper(), ExecutionState.UNKNOWN)


def type_of(run: Document) -> str:
    """``BUILD``, ``CANCEL`` or ``REMOVE``; "" if neither the run's type nor its steps show it."""
    if run_type := str(run.get("runType") or "").upper():
        return run_type
    steps = {str(step.get("stepType")).upper() for step in fields.objects_in(run.get("buildStepRuns"))}
    if not steps:
        return ""
    return "CANCEL" if "CANCEL" in steps else "REMOVE" if "DELETE" in steps else "BUILD"


def execution_of(run: Document, ref: ExecutionRef) -> Execution:
    """:param ref: what was requested; its id may be "" for a run that was just started.
    :raises BadRequestError: the run is of another build, or is a cancel or removal.
    """
    run_seq, build_seq = (fields.number_text(run.get(key)) for key in ("buildRunSeq", "buildSeq"))
    asked_build = ref.get("build_seq", "")
    if not run_seq:
        raise UnexpectedResponseError(
            "the build run in the answer has no buildRunSeq", call=Call(system=SYSTEM), effect=Effect.UNKNOWN
        )
    if asked_build and build_seq not in ("", asked_build):
        raise _bad_request(f"build_run_seq {run_seq} belongs to build {build_seq}, not to build {asked_build}")
    if (run_type := type_of(run)) not in ("BUILD", ""):
        raise _bad_request(f"build_run_seq {run_seq} is not a build but a run of type {run_type}")
    state = state_of(run)
    image, digest = fields.image_name(run.get("imageUrl")), _text(run.get("imageDigest"))
    execution = Execution(
        ref=run_reference(run_seq, build_seq or asked_build, ref.get("tag", "")),
        state=state,
        status=str(run.get("runState") or ""),
        outputs={
            "image": image,
            "tag": _text(run.get("tagName")),
            "digest": digest,
            "image_ref": f"{image}@{digest}" if image and digest else None,
            "size": fields.number(run.get("imageSize")),
            "build_no": fields.number(run.get("buildNo")),
        },
        started_at=fields.parse_time(run.get("beginTime")),
        finished_at=fields.parse_time(run.get("endTime")) if state.is_terminal else None,
        steps=_steps(run),
    )
    if state is ExecutionState.FAILED:
        return _explained(execution)
    return _with_tag_compared(execution, is_autotag=has_autotag(run))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _steps(run: Document) -> tuple[Step, ...]:
    found = fields.in_order(run.get("buildStepRuns"))
    return tuple(
        Step(
            str(step.get("stepType") or ""),
            str(step.get("stepState") or ""),
            state=_STEP_STATES.get(str(step.get("stepState")).upper(), ExecutionState.UNKNOWN),
        )
        for step in found
    )


def _explained(execution: Execution) -> Execution:
    broken = ", ".join(step.name for step in execution.steps if step.status.upper() == "ERROR")
    return execution.failed(f"step {broken} ended in ERROR" if broken else "the build run ended in ERROR")


def _with_tag_compared(execution: Execution, *, is_autotag: bool) -> Execution:
    asked, used = execution.ref["tag"], execution.outputs["tag"]
    if not asked or not used or asked == used:
        return execution
    if is_autotag:
        return replace(execution, message=f"autotag is on: the server chose tag {used!r} instead of {asked!r}")
    message = f"the server used tag {used!r} although {asked!r} was requested and autotag is off"
    if execution.state is ExecutionState.SUCCEEDED:
        return execution.failed(message)
    return replace(execution, message=message)


def _bad_request(summary: str) -> BadRequestError:
    return BadRequestError(summary, call=Call(system=SYSTEM))
