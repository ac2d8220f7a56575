"""The build API of Cocktail Cloud: start a build run, watch it, cancel it, read its log.

What answers mean is in answers.py and executions.py, what no execution needs in catalog.py.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
from msgspec.structs import replace

from airflow_provider.clients.base import Found, Intent, Observation
from airflow_provider.clients.cocktail import answers
from airflow_provider.clients.cocktail.base import is_path_missing
from airflow_provider.clients.cocktail.catalog import CocktailCatalog
from airflow_provider.clients.cocktail.executions import (
    KIND,
    Json,
    execution_of,
    has_autotag,
    reference,
    state_of,
    type_of,
)
from airflow_provider.clients.cocktail.listing import Glance, decode_runs
from airflow_provider.clients.cocktail.logs import new_lines
from airflow_provider.clients.listing import Listing
from airflow_provider.clients.memory import has_changed
from airflow_provider.clients.urls import page
from airflow_provider.exceptions import (
    BadRequestError,
    Effect,
    NotFoundError,
    ReleasePipelineError,
    ServerUnavailableError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

_LATEST_CANCEL = timedelta(minutes=1)
"""How far the clocks that wrote a run's end and its cancel's begin may be apart."""
_CANCEL_TAKES = timedelta(minutes=10)
"""Within which a cancel ends its run. One that a dying server left behind never will: another one may be asked for."""


class _Told(msgspec.Struct):
    """What a wait was told, and what the list of runs showed then."""

    execution: Execution
    glance: Glance | None


class CocktailClient(CocktailCatalog):
    """:param base_url: of the installation, without the prefix.
    :param token: made in the Cocktail UI; it carries a scope per call and lists of client addresses.
    :param auth_header: the header that carries the token.
    :param auth_scheme: the word before the token; "" sends the token alone.
    :param api_prefix: in front of every path.
    :param paths: other templates for some of ``paths.DEFAULTS``, with ``{build_seq}`` or
        ``{build_run_seq}``; ``None`` or "" says that the installation does not publish that one.
    :param headers: sent with every request.
    :param ui_url: of a build run's page, with ``{base}``, ``{build_seq}`` and ``{id}``; default: none is known.
    :param options: ``timeout``, ``verify``, ``max_connections``, ``attempts`` and ``on_secret`` of its
        :class:`~airflow_provider.clients.transport.Transport`.
    :raises ConnectionConfigError: one of these values cannot be used.
    """

    _status_is_missing = False
    """Set on a client once the list has answered in the place of a missing status path."""

    # --- the vendor's operations

    def run_build(
        self,
        build_seq: int | str,
        *,
        tag_name: str | None = None,
        description: str | None = None,
        callback_url: str | None = None,
    ) -> Execution:
        """Start a run of a build ("Run build" of the Open API reference); it goes on after the answer.

        :param build_seq: number of the build definition, not of a run.
        :param tag_name: tag of the image; may be left out only where the build's autotag is on, and is not used there.
        :param description: free text, kept as ``runDesc``.
        :param callback_url: told each change of state; must have no query, because Cocktail would lose it.
        Sent once: repeating a refused start is the caller's.

        :raises ConflictError: the build runs already (:func:`answers.is_busy`), or an earlier run used the tag.
        :raises ThrottledError: the account's limit of parallel builds is reached (:func:`answers.is_busy`).
        :raises ServerUnavailableError: the build server is not connected (:func:`answers.is_busy`), or another cause.
        """
        self.check_run(build_seq, tag_name=tag_name, callback_url=callback_url)
        build_seq = self._number("build_seq", build_seq)
        if tag_name:
            self._warn_of_tag(tag_name)
        else:
            self._require_autotag(build_seq)
        # The document calls the callback optional, the server may refuse a call without it: always send one.
        params = {"tagName": tag_name or None, "description": description, "callbackUrl": callback_url or ""}
        try:
            run = self._object("run", self._send("run", params, attempts=1, build_seq=build_seq))
        except ServerUnavailableError as error:
            if answers.build_error_number(error.code) != "006":
                raise
            raise NotFoundError(f"the server could not read build_seq {build_seq}", call=error.call) from None
        execution = self._placed(self._execution(run, reference("", build_seq, tag_name or "")))
        if execution.state is ExecutionState.SUCCEEDED:
            # The vendor's own example shows DONE here, for a build that takes a minute: only a later read is final.
            return replace(execution, state=ExecutionState.RUNNING, finished_at=None)
        return execution

    def check_run(self, build_seq: int | str, *, tag_name: str | None = None, callback_url: str | None = None) -> None:
        """Refuse the arguments that :meth:`run_build` would refuse, without any request."""
        self._number("build_seq", build_seq)
        self._check_callback(callback_url)
        if tag_name:
            self._check_tag(tag_name)

    def cancel_run(self, build_run_seq: int | str, *, callback_url: str | None = None) -> Json:
        """Ask for the end of a run; the answer is the new CANCEL run, at whose end the original becomes ERROR."""
        build_run_seq = self._number("build_run_seq", build_run_seq)
        self._check_callback(callback_url)
        params = {"callbackUrl": callback_url or ""}
        return self._object("cancel", self._send("cancel", params, build_run_seq=build_run_seq))

    def get_build_run(self, build_run_seq: int | str) -> Json:
        """One run with its steps.

        :raises NotFoundError: there is no such run, or no longer.
        """
        build_run_seq = self._number("build_run_seq", build_run_seq)
        data = self._send("status", build_run_seq=build_run_seq)
        if data is None:
            raise self._not_found("status", f"there is no build run {build_run_seq}, or no longer")
        run = self._object("status", data)
        if answers.number_text(run.get("buildRunSeq")) != build_run_seq:
            raise self._unexpected("status", f"asked for build run {build_run_seq}, got {run.get('buildRunSeq')}")
        return run

    def can_read_run(self, build_run_seq: int | str) -> bool:
        """Whether the installation, and the token, let a run be read by its number.

        :raises NotFoundError: there is no such run, or no longer.
        """
        try:
            self.get_build_run(build_run_seq)
        except ReleasePipelineError as error:
            if is_path_missing(error):
                return False
            raise
        return True

    def list_build_runs(self, build_seq: int | str) -> list[Json]:
        """All runs of a build, newest first, without their steps; also those of type CANCEL and REMOVE."""
        build_seq = self._number("build_seq", build_seq)
        params = None if self._paths.names_build("list") else {"buildSeq": build_seq}
        data = self._send("list", params, build_seq=build_seq)
        if not isinstance(data, (list, type(None))):
            raise self._unexpected("list", "the answer is not a list of build runs")
        return [self._object("list", run) for run in data or []]

    def get_build_run_log(self, build_run_seq: int | str) -> Json:
        """The log of a run by steps (``buildRunLogs``); a text may come when its step is over, at the end, or never."""
        build_run_seq = self._number("build_run_seq", build_run_seq)
        data = self._send("log", build_run_seq=build_run_seq)
        if data is None:
            raise self._not_found("log", f"there is no log of build run {build_run_seq}")
        return self._object("log", data)

    def get_build(self, build_seq: int | str) -> Json | None:
        """A build definition; ``None`` where the installation does not publish it or the token may not read it.

        :raises NotFoundError: there is no such build.
        """
        build_seq = self._number("build_seq", build_seq)
        try:
            data = self._send("build", build_seq=build_seq)
        except ReleasePipelineError as error:
            if is_path_missing(error):
                return None
            raise
        if data is None:
            raise self._not_found("build", f"there is no build {build_seq}")
        return self._object("build", data)

    # --- executions

    def check(self) -> str:
        refused: list[ReleasePipelineError] = []
        for use in ("list", "status", "build"):
            params = {"buildSeq": "0"} if use == "list" else None
            try:
                self._send(use, params, attempts=1, build_seq="0", build_run_seq="0")
            except ReleasePipelineError as error:
                if is_path_missing(error):
                    refused.append(error)
                    continue
                # Nothing has the number 0, and the server may call that an error: it did accept the token.
                if error.status != 200 or error.code is None:
                    raise
            return f"Cocktail Cloud accepts the token ({self._paths.method(use)} {self._paths.template(use)})"
        raise self._no_way("no call but the start of a build could be tried", refused)

    def _observe(self, ref: ExecutionRef) -> Execution:
        run_seq = self._run_seq(ref)
        run = self._find_run(run_seq, ref.get("build_seq", ""))
        execution = self._execution(run, ref)
        if state_of(run) is ExecutionState.FAILED and (canceling := self._canceling_run(execution)):
            return replace(execution, state=ExecutionState.CANCELED, message=f"canceled by build run {canceling}")
        return execution

    def shared_request(self, ref: ExecutionRef) -> str | None:
        build_seq = ref.get("build_seq")
        return f"runs of build {build_seq}" if build_seq else None

    def _fetch(self, refs: Sequence[ExecutionRef]) -> list[Found]:
        sharing = Counter(ref.get("build_seq", "") for ref in refs)
        lists = {build_seq: self._listed(build_seq) for build_seq, count in sharing.items() if build_seq and count > 1}
        seen: list[Found] = []
        for ref, told in zip(refs, self._receipts.values_of(refs), strict=True):
            runs = lists.get(ref.get("build_seq", ""))
            glance = runs.glance(ref["id"]) if runs else None
            if told and glance and glance == told.glance:
                seen.append(None)
            elif runs and glance and (known := self._from_list(ref, runs)):
                seen.append(self._told_now(told, known, glance))
            else:
                seen.append(partial(self._look_now, ref, told, glance))
        return seen

    def _look_now(self, ref: ExecutionRef, told: _Told | None, glance: Glance | None) -> Observation | None:
        return self._told_now(told, self._look_or_error(ref), glance)

    def _told_now(self, told: _Told | None, seen: Observation, glance: Glance | None) -> Observation | None:
        if isinstance(seen, ReleasePipelineError):
            return seen
        if told and not seen.state.is_terminal and not has_changed(told.execution, seen):
            told.glance = glance
            return None
        return self._receipts.hand_out(seen, _Told(seen, glance))

    def has_log(self, ref: ExecutionRef) -> bool:
        return True

    def _read_log(self, ref: ExecutionRef, offset: int) -> tuple[list[str], int]:
        """The logs of the steps that ended; ``offset`` is a set of bits, one for each step that was told already."""
        try:
            return new_lines(self.get_build_run_log(ref["id"]), offset)
        except ReleasePipelineError as error:
            if not isinstance(error, NotFoundError) and not is_path_missing(error):
                raise
            return [], offset

    def needs_cancel(self, execution: Execution) -> bool:
        """Not where it is over or where a CANCEL run for it is under way, as far as the list of its build tells."""
        if execution.state.is_terminal:
            return False
        with suppress(ReleasePipelineError):
            return self._running_cancel(execution) is None
        return True

    def _cancel(self, ref: ExecutionRef, reason: str) -> None:
        seen = self.look(ref)
        if seen.state.is_terminal or self._running_cancel(seen):
            return
        try:
            self.cancel_run(self._run_seq(ref))
        except ReleasePipelineError as error:
            if error.effect is not Effect.REFUSED or is_path_missing(error):
                raise
            # "Not running" has no known code, and its text may be Korean: only the run itself tells.
            if not self.look(ref).state.is_terminal:
                raise

    def is_marked(self, intent: Intent) -> bool:
        return True

    def _find_started(self, intent: Intent) -> list[Execution]:
        if intent["kind"] != KIND:
            raise self.bad_request(f"kind must be {KIND!r}, not {intent['kind']!r}")
        build_seq, marker = self._number("build_seq", intent["build_seq"]), str(intent["marker"])
        try:
            runs = self.list_build_runs(build_seq)
        except ReleasePipelineError as error:
            if is_path_missing(error):
                raise self._no_way("cannot tell whether an earlier attempt started the build", [error]) from None
            raise
        marked = [run for run in runs if marker in str(run.get("runDesc") or "")]
        marked.sort(key=lambda run: answers.number(run.get("buildRunSeq")) or 0)
        tag = str(intent.get("tag") or "")
        return [self._execution(run, reference("", build_seq, tag)) for run in self._builds_among(marked)]

    def _builds_among(self, marked: Sequence[Json]) -> Iterator[Json]:
        """The builds among runs of one description: a cancel copies that of its build.

        :param marked: oldest first.
        """
        for place, run in enumerate(marked):
            run_type = self._type_of(run)
            # Where nothing tells the types of runs, the first one is what was started; those after it may be cancels.
            if run_type == "BUILD" or (not run_type and place == 0):
                yield run

    def _type_of(self, listed: Json) -> str:
        """The type of a listed run, asked for where the list leaves it out; "" where nothing tells it."""
        if told := type_of(listed):
            return told
        try:
            return type_of(self.get_build_run(answers.number_text(listed.get("buildRunSeq"))))
        except ReleasePipelineError as error:
            if isinstance(error, NotFoundError) or is_path_missing(error):
                return ""
            raise

    def _execution(self, run: Json, ref: ExecutionRef) -> Execution:
        execution = execution_of(run, ref)
        return replace(execution, url=page(self._ui_url, self.transport.base_url, execution.ref))

    # --- inside: finding runs

    def _find_run(self, run_seq: str, build_seq: str) -> Json:
        """One run by its number; where that path is missing, out of the list of its build."""
        refused: list[ReleasePipelineError] = []
        if not self._status_is_missing or not build_seq:
            try:
                return self.get_build_run(run_seq)
            except ReleasePipelineError as error:
                if not is_path_missing(error):
                    raise
                refused.append(error)
        if not build_seq:
            raise self._no_way(f"cannot read build run {run_seq}, nor a list without its build_seq", refused)
        try:
            runs = self.list_build_runs(build_seq)
        except ReleasePipelineError as error:
            self._status_is_missing = False
            if is_path_missing(error):
                raise self._no_way(f"cannot read build run {run_seq}", [*refused, error]) from None
            raise
        self._status_is_missing = True
        for run in runs:
            if answers.number_text(run.get("buildRunSeq")) == run_seq:
                return run
        raise self._not_found("list", f"build {build_seq} has no build run {run_seq}, or no longer")

    def _listed(self, build_seq: str) -> Listing[Glance] | None:
        params = None if self._paths.names_build("list") else {"buildSeq": build_seq}
        try:
            answer = self._send("list", params, decode=decode_runs, build_seq=self._number("build_seq", build_seq))
        except ReleasePipelineError as error:
            if is_path_missing(error):
                return None
            raise
        if not isinstance(answer, (Listing, type(None))):
            raise self._unexpected("list", "the answer is not a list of build runs")
        return answer

    def _list_if_published(self, build_seq: str) -> list[Json]:
        try:
            return self.list_build_runs(build_seq)
        except ReleasePipelineError as error:
            if is_path_missing(error):
                return []
            raise

    def _from_list(self, ref: ExecutionRef, runs: Listing[Glance]) -> Observation | None:
        item = runs.item(ref["id"])
        if item is None:
            return None
        run = self._object("list", item)
        # A list tells no steps, and a failure is explained by them.
        if state_of(run) is ExecutionState.FAILED:
            return None
        try:
            return self._execution(run, ref)
        except BadRequestError as error:
            return error

    def _canceling_run(self, execution: Execution) -> str | None:
        """The CANCEL run that ended this one. There is no canceled state: such a run is in ERROR like a failed one."""
        end = execution.finished_at
        return self._cancel_of(execution, ("DONE",), latest=end + _LATEST_CANCEL if end else None)

    def _running_cancel(self, execution: Execution) -> str | None:
        """The CANCEL run that is about to end this one."""
        now = datetime.fromtimestamp(self.server_time() or time.time(), UTC)
        return self._cancel_of(execution, ("CREATED", "RUNNING", "DONE"), earliest=now - _CANCEL_TAKES)

    def _cancel_of(
        self,
        execution: Execution,
        states: Collection[str],
        *,
        earliest: datetime | None = None,
        latest: datetime | None = None,
    ) -> str | None:
        """The newest CANCEL run for this run that is in one of these states and began within these times."""
        begin, build_seq = execution.started_at, execution.ref["build_seq"]
        if not build_seq or not begin:
            return None
        for run in self._list_if_published(build_seq):
            run_seq, asked = answers.number_text(run.get("buildRunSeq")), answers.parse_time(run.get("beginTime"))
            if run_seq == execution.id or str(run.get("runState")).upper() not in states or not asked:
                continue
            if asked < max(begin, earliest or begin) or (latest and asked > latest):
                continue
            # A build has one run at a time, so a cancel in its time is its cancel, unless it names another.
            if self._type_of(run) == "CANCEL" and self._run_canceled_by(run, run_seq) in ("", execution.id):
                return run_seq
        return None

    def _run_canceled_by(self, cancel: Json, run_seq: str) -> str:
        if not cancel.get("buildStepRuns"):
            try:
                cancel = self.get_build_run(run_seq)
            except ReleasePipelineError as error:
                if not isinstance(error, NotFoundError) and not is_path_missing(error):
                    raise
        for step in answers.objects_in(cancel.get("buildStepRuns")):
            if match := re.search(r"refBuildRunSeq\W+(\d+)", str(step.get("stepConfig"))):
                return match[1]
        return ""

    def _run_seq(self, ref: ExecutionRef) -> str:
        if ref.get("kind") != KIND:
            raise self.bad_request(f"kind must be {KIND!r}, not {ref.get('kind')!r}")
        return self._number("build_run_seq", ref["id"])

    def _require_autotag(self, build_seq: str) -> None:
        build = self.get_build(build_seq)
        if build is None:
            raise self.bad_request("tag_name is missing, and this connection cannot read whether autotag is on")
        if not has_autotag(build):
            raise self.bad_request(
                f"tag_name is missing, and build {build_seq} has autotag off: the image would be tagged 'null'"
            )
