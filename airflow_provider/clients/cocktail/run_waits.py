"""Waits for build runs of Cocktail, cancels them, and finds them after a start whose answer was lost."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar

from msgspec.structs import replace

from airflow_provider.clients.cocktail import fields
from airflow_provider.clients.cocktail.errors import is_path_missing
from airflow_provider.clients.cocktail.fields import Document
from airflow_provider.clients.cocktail.references import BUILD_RUN, run_reference
from airflow_provider.clients.cocktail.run_execution import execution_of, state_of, type_of
from airflow_provider.clients.cocktail.run_list import Excerpt, decode_runs, excerpts_of_runs, shows
from airflow_provider.clients.cocktail.run_log import new_lines
from airflow_provider.clients.cocktail.runs import Runs
from airflow_provider.clients.cocktail.wire import Wire, unavailable
from airflow_provider.clients.echoes import Echoes
from airflow_provider.clients.listing import LARGEST_OF_MANY, Listing, Remembered
from airflow_provider.clients.memory import Recent
from airflow_provider.clients.waitable import Found, Intent, Observation, Waitable
from airflow_provider.exceptions import BadRequestError, Effect, NotFoundError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

_LATEST_CANCEL = timedelta(minutes=1)
"""By how much the clocks may differ that wrote the end of a run and the beginning of its cancel."""
_CANCEL_TAKES = timedelta(minutes=10)
"""Time within which a cancel ends its run. One that a crashed server left behind never will: another may be sent."""


class BuildRunWaits(Waitable):
    """References hold the run's number as ``id``, the ``build_seq`` if it is known, and the requested ``tag``."""

    kind: ClassVar[str] = BUILD_RUN

    def __init__(self, wire: Wire, runs: Runs) -> None:
        self._wire, self._runs = wire, runs
        self._lists: Recent[str, Remembered] = Recent()
        """By build, the last list of its runs."""
        self._callbacks = Echoes(in_path=True)
        self._status_is_missing = False
        """Whether the status path is missing, and the list has answered in its place."""

    def observe(self, ref: ExecutionRef) -> Execution:
        run_seq = self._run_seq(ref)
        run = self._find_run(run_seq, ref.get("build_seq", ""))
        execution = self._execution(run, ref)
        if state_of(run) is ExecutionState.FAILED and (canceling := self._canceling_run(execution)):
            return replace(execution, state=ExecutionState.CANCELED, message=f"canceled by build run {canceling}")
        return execution

    def group(self, ref: ExecutionRef) -> str | None:
        build_seq = ref.get("build_seq")
        return f"runs of build {build_seq}" if build_seq else None

    def fetch(self, refs: Sequence[ExecutionRef], seen: Sequence[Execution | None]) -> list[Found]:
        """One list of a build's runs for two or more waits; unchanged runs are not read any further."""
        runs = self._list(refs[0]["build_seq"]) if len(refs) > 1 else None
        return [self._found(ref, last, runs) for ref, last in zip(refs, seen, strict=True)]

    def _list(self, build_seq: str) -> Listing[Excerpt] | None:
        decode = self._lists.get(build_seq) or Remembered(decode_runs, LARGEST_OF_MANY)
        self._lists.put(build_seq, decode)
        return excerpts_of_runs(self._wire, build_seq, decode)

    def _found(self, ref: ExecutionRef, last: Execution | None, runs: Listing[Excerpt] | None) -> Found:
        excerpt = runs.excerpt(ref["id"]) if runs else None
        if last and excerpt and shows(excerpt, last):
            return last
        known = self._from_list(ref, runs) if runs and excerpt else None
        return known or partial(self.observe_or_error, ref)

    @property
    def has_log(self) -> bool:
        return True

    def read_log(self, ref: ExecutionRef, offset: int) -> tuple[list[str], int]:
        """The logs of the steps that have ended; ``offset`` is a set of bits, one for each step already copied."""
        try:
            lines, offset = new_lines(self._runs.get_log(ref["id"]), offset)
            return [self._callbacks.without(ref["id"], line) for line in lines], offset
        except ReleasePipelineError as error:
            if not isinstance(error, NotFoundError) and not is_path_missing(error):
                raise
            return [], offset

    def needs_cancel(self, execution: Execution) -> bool:
        """Not if it has ended, or if a CANCEL run for it is running, as far as the list of its build shows."""
        if execution.state.is_terminal:
            return False
        with suppress(ReleasePipelineError):
            return self._running_cancel(execution) is None
        return True

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        seen = self.observe(ref)
        if seen.state.is_terminal or self._running_cancel(seen):
            return
        try:
            self._runs.cancel(self._run_seq(ref))
        except ReleasePipelineError as error:
            if error.effect is not Effect.REFUSED or is_path_missing(error):
                raise
            # "Not running" has no known code, and its text may be Korean: only the run itself shows it.
            if not self.observe(ref).state.is_terminal:
                raise

    def is_marked(self, intent: Intent) -> bool:
        return True

    def find_started(self, intent: Intent) -> list[Execution]:
        build_seq, marker = self._wire.number("build_seq", intent["build_seq"]), str(intent["marker"])
        try:
            runs = self._runs.list(build_seq)
        except ReleasePipelineError as error:
            if is_path_missing(error):
                raise unavailable("could not find out whether an earlier attempt started the build", [error]) from None
            raise
        marked = [run for run in runs if marker in str(run.get("runDesc") or "")]
        marked.sort(key=lambda run: fields.number(run.get("buildRunSeq")) or 0)
        tag = str(intent.get("tag") or "")
        return [self._execution(run, run_reference("", build_seq, tag)) for run in self._builds_among(marked)]

    def _builds_among(self, marked: Sequence[Document]) -> Iterator[Document]:
        """The builds among runs with the same description, which a cancel copies from its build.

        :param marked: oldest first.
        """
        for index, run in enumerate(marked):
            run_type = self._type_of(run)
            # If the types of runs are not known, the first one is what was started; later ones may be cancels.
            if run_type == "BUILD" or (not run_type and index == 0):
                yield run

    def _type_of(self, listed: Document) -> str:
        """The type of a listed run, requested if the list leaves it out; "" if it is not known."""
        if run_type := type_of(listed):
            return run_type
        try:
            return type_of(self._runs.get(fields.number_text(listed.get("buildRunSeq"))))
        except ReleasePipelineError as error:
            if isinstance(error, NotFoundError) or is_path_missing(error):
                return ""
            raise

    def _execution(self, run: Document, ref: ExecutionRef) -> Execution:
        execution = execution_of(run, ref)
        # Cocktail appends a query to the URL that it was given.
        self._callbacks.note(execution.id, str(run.get("callbackUrl") or "").partition("?")[0])
        return replace(execution, url=self._wire.page(execution.ref))

    def _find_run(self, run_seq: str, build_seq: str) -> Document:
        """One run by its number; if that path is missing, from the list of its build."""
        refused: list[ReleasePipelineError] = []
        if not self._status_is_missing or not build_seq:
            try:
                return self._runs.get(run_seq)
            except ReleasePipelineError as error:
                if not is_path_missing(error):
                    raise
                refused.append(error)
        if not build_seq:
            raise unavailable(f"could not read build run {run_seq}, nor its build's list without build_seq", refused)
        try:
            runs = self._runs.list(build_seq)
        except ReleasePipelineError as error:
            self._status_is_missing = False
            if is_path_missing(error):
                raise unavailable(f"could not read build run {run_seq}", [*refused, error]) from None
            raise
        self._status_is_missing = True
        for run in runs:
            if fields.number_text(run.get("buildRunSeq")) == run_seq:
                return run
        raise self._wire.not_found("list", f"build run {run_seq} of build {build_seq} does not exist or was deleted")

    def _list_if_published(self, build_seq: str) -> Sequence[Document]:
        try:
            return self._runs.list(build_seq)
        except ReleasePipelineError as error:
            if is_path_missing(error):
                return []
            raise

    def _from_list(self, ref: ExecutionRef, runs: Listing[Excerpt]) -> Observation | None:
        item = runs.item(ref["id"])
        if item is None:
            return None
        run = self._wire.object_of("list", item)
        # A list has no steps, which explain a failure.
        if state_of(run) is ExecutionState.FAILED:
            return None
        try:
            return self._execution(run, ref)
        except BadRequestError as error:
            return error

    def _canceling_run(self, execution: Execution) -> str | None:
        """The CANCEL run that ended this one. A canceled run is in ERROR like a failed one: there is no other state."""
        end = execution.finished_at
        return self._cancel_of(execution, ("DONE",), latest=end + _LATEST_CANCEL if end else None)

    def _running_cancel(self, execution: Execution) -> str | None:
        """The CANCEL run that is about to end this one."""
        now = datetime.fromtimestamp(self._wire.transport.server_time() or time.time(), UTC)
        return self._cancel_of(execution, ("CREATED", "RUNNING", "DONE"), earliest=now - _CANCEL_TAKES)

    def _cancel_of(
        self,
        execution: Execution,
        states: Collection[str],
        *,
        earliest: datetime | None = None,
        latest: datetime | None = None,
    ) -> str | None:
        """The newest CANCEL run for this run that is in one of these states and began between these times."""
        begin, build_seq = execution.started_at, execution.ref["build_seq"]
        if not build_seq or not begin:
            return None
        for run in self._list_if_published(build_seq):
            run_seq, asked = fields.number_text(run.get("buildRunSeq")), fields.parse_time(run.get("beginTime"))
            if run_seq == execution.id or str(run.get("runState")).upper() not in states or not asked:
                continue
            if asked < max(begin, earliest or begin) or (latest and asked > latest):
                continue
            # A build has one run at a time, so a cancel during this run is for it, unless it names another one.
            if self._type_of(run) == "CANCEL" and self._run_canceled_by(run, run_seq) in ("", execution.id):
                return run_seq
        return None

    def _run_canceled_by(self, cancel: Document, run_seq: str) -> str:
        if not cancel.get("buildStepRuns"):
            try:
                cancel = self._runs.get(run_seq)
            except ReleasePipelineError as error:
                if not isinstance(error, NotFoundError) and not is_path_missing(error):
                    raise
        for step in fields.objects_in(cancel.get("buildStepRuns")):
            if match := re.search(r"refBuildRunSeq\W+(\d+)", str(step.get("stepConfig"))):
                return match[1]
        return ""

    def _run_seq(self, ref: ExecutionRef) -> str:
        return self._wire.number("build_run_seq", ref["id"])
