"""Waits for image builds of Quay, cancels them, and finds them after a start whose answer was lost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from msgspec.structs import replace

from airflow_provider.clients.echoes import Echoes
from airflow_provider.clients.listing import LARGEST_OF_MANY, Remembered
from airflow_provider.clients.memory import Doubts, Recent
from airflow_provider.clients.quay.build_digests import with_digest, with_digests
from airflow_provider.clients.quay.build_execution import execution_of, state_of
from airflow_provider.clients.quay.build_list import BuildList, decode_builds, excerpts_of_builds
from airflow_provider.clients.quay.build_starts import began_in_time, is_like
from airflow_provider.clients.quay.builds import Builds
from airflow_provider.clients.quay.fields import Document, objects_in
from airflow_provider.clients.quay.references import BUILD, build_reference
from airflow_provider.clients.quay.wire import Wire
from airflow_provider.clients.redaction import lines_of
from airflow_provider.clients.waitable import (
    Found,
    Intent,
    Observation,
    Waitable,
    concerns_one_execution,
    differ,
    observe_separately,
    or_own_error,
    start_window,
)
from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

_SEARCHED = 1000
"""Builds since a start that are searched for it."""

_NO_LONGER_CANCELED = ("pushing", "cannot_load")
"""Phases in which no Quay accepts a cancel, or which hide the real phase."""


class BuildWaits(Waitable):
    """References hold the build's ``id`` and its ``repository``.

    :param doubts: about ends of builds, shared with :class:`~airflow_provider.clients.quay.builds.Builds`.
    """

    kind: ClassVar[str] = BUILD

    def __init__(self, wire: Wire, builds: Builds, doubts: Doubts) -> None:
        self._wire, self._builds, self._doubts = wire, builds, doubts
        self._lists: Recent[str, Remembered] = Recent()
        """By repository, the last list of its builds."""
        self._archives = Echoes(in_path=False)

    def observe(self, ref: ExecutionRef) -> Execution:
        """Also finds out why a build failed, which takes another request."""
        seen = self._seen(ref)
        if seen.state is ExecutionState.FAILED and (reason := self._failure(ref)):
            return replace(seen, message=f"{seen.message}: {reason}")
        return seen

    def group(self, ref: ExecutionRef) -> str | None:
        return f"builds of {ref.get('repository')}"

    def fetch(self, refs: Sequence[ExecutionRef], seen: Sequence[Execution | None]) -> list[Found]:
        """One list of a repository's builds for two or more waits; unchanged builds are not read any further."""
        builds = self._list_if_shared(refs)
        found: dict[int, Found] = {}
        listed: dict[int, Execution] = {}
        for index, (ref, last) in enumerate(zip(refs, seen, strict=True)):
            if last and builds and builds.shows(ref, last):
                found[index] = last
            elif builds and (known := self._from_list(ref, builds)):
                listed[index] = known
        found |= with_digests(self._wire, refs[0]["repository"], listed) if listed else {}
        others = [index for index in range(len(refs)) if index not in found]
        pending = observe_separately([refs[index] for index in others], self.observe_or_error)
        found |= zip(others, pending, strict=True)
        return [found[index] for index in range(len(refs))]

    def observe_or_error(self, ref: ExecutionRef) -> Observation:
        """Does not read the build's log: the end is delivered first, and logs may have megabytes."""
        return or_own_error(partial(self._seen, ref))

    @property
    def has_log(self) -> bool:
        return True

    def read_log(self, ref: ExecutionRef, offset: int) -> tuple[list[str], int]:
        """``offset`` counts Quay's log entries. An archived log, and one that the token may not read, has no lines."""
        try:
            answer = self._builds.get_log(ref["repository"], ref["id"], start=offset)
        except (BadRequestError, NotFoundError, PermissionDeniedError):
            return [], offset
        entries = objects_in(answer.get("logs"))
        texts = [self._archives.without(ref["id"], str(entry.get("message") or "")) for entry in entries]
        lines = [line for text in texts for line in lines_of(text)]
        total = answer.get("total")
        # A total of 0 means that the log store is down.
        return [line for line in lines if line.strip()], total if isinstance(total, int) and total > 0 else offset

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        repository, build_id = ref["repository"], ref["id"]
        build = self._builds.get(repository, build_id)
        if state_of(build).is_terminal:
            return
        if build.get("phase") in _NO_LONGER_CANCELED:
            raise self._not_canceled(build, "nothing was sent, because a refused cancel uses up its remaining retries")
        try:
            self._builds.cancel(repository, build_id)
        except ConflictError:
            build = self._builds.get(repository, build_id)
            if not state_of(build).is_terminal:
                raise self._not_canceled(build, "Quay refused the cancel; it will not retry the build") from None

    def find_started(self, intent: Intent) -> list[Execution]:
        repository = str(intent["repository"])
        path = self._wire.repository_path("/build/", repository)
        builds = self._builds.list(repository, limit=_SEARCHED, since=start_window(intent)[0])
        if len(builds) >= _SEARCHED:
            raise self._wire.conflict(
                f"{repository} has at least {len(builds)} builds since this start: too many to find out whether one of "
                "them is ours"
            )
        try:
            found = [each for each in builds if is_like(each, intent) and began_in_time(each, intent)]
        except ValueError as error:
            raise self._wire.unexpected(path, str(error)) from None
        return [self.observe(build_reference(repository, str(build["id"]))) for build in reversed(found)]

    def settling_of(self, execution: Execution) -> float:
        # A late heartbeat brings a build back.
        return DURATIONS.expired_settling if execution.status == "expired" else 0.0

    def needs_cancel(self, execution: Execution) -> bool:
        # Nothing is sent for an expired build, see `cancel`, even while its end is not believed yet.
        return execution.status != "expired" and super().needs_cancel(execution)

    def note_unfinished(self, ref: ExecutionRef) -> None:
        self._doubts.note_unfinished(ref["id"])

    def _seen(self, ref: ExecutionRef) -> Execution:
        build = self._builds.get(ref["repository"], ref["id"])
        if build.get("phase") == "expired":
            # A late heartbeat may have brought it back.
            build = self._builds.get_status(ref["repository"], ref["id"])
        execution = self._execution(build, ref)
        settling = self.settling_of(execution)
        if settling and not self._doubts.is_believed(ref["id"], settling):
            return replace(
                execution, state=ExecutionState.RUNNING, message="expired; a late heartbeat may still revive it"
            )
        return with_digest(self._wire, execution) if execution.state is ExecutionState.SUCCEEDED else execution

    def _execution(self, build: Document, ref: ExecutionRef) -> Execution:
        execution = execution_of(build, ref, self._wire.page(ref))
        if not execution.state.is_terminal:
            self._doubts.note_unfinished(ref["id"])
        self._archives.note(ref["id"], str(build.get("archive_url") or ""))
        if execution.message:
            return replace(execution, message=self._archives.without(ref["id"], execution.message))
        return execution

    def _list_if_shared(self, refs: Sequence[ExecutionRef]) -> BuildList | None:
        """``None`` also if the list cannot be read: each build then gets an error of its own."""
        if not differ(refs):
            return None
        repository = refs[0]["repository"]
        decode = self._lists.get(repository) or Remembered(decode_builds, LARGEST_OF_MANY)
        self._lists.put(repository, decode)
        try:
            return excerpts_of_builds(self._wire, repository, decode)
        except ReleasePipelineError as error:
            if not concerns_one_execution(error):
                raise
            return None

    def _from_list(self, ref: ExecutionRef, builds: BuildList) -> Execution | None:
        build = builds.item(ref["id"])
        return self._execution(build, ref) if build and build.get("phase") != "expired" else None

    def _failure(self, ref: ExecutionRef) -> str | None:
        """The last error in the build's log, if the token may read it."""
        try:
            log = self._builds.get_log(ref["repository"], ref["id"])
        except (NotFoundError, PermissionDeniedError, ServerUnavailableError, UnexpectedResponseError):
            return None
        if log.get("logs_url"):
            # What Quay stores there is not documented.
            return "its log is archived, see the page of the build"
        entries = objects_in(log.get("logs"))
        errors = [str(entry.get("message") or "") for entry in entries if entry.get("type") == "error"]
        return self._archives.without(ref["id"], errors[-1]) if errors else None

    def _not_canceled(self, build: Document, what: str) -> ConflictError:
        return self._wire.conflict(
            f"image build {build.get('id')} cannot be canceled in phase {build.get('phase')}: {what}"
        )
