"""Build runs of Cocktail: read, list, cancel and remove them, read their logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from airflow_provider.clients.cocktail import fields
from airflow_provider.clients.cocktail.documents import BuildRun, BuildRunLog
from airflow_provider.clients.cocktail.errors import is_path_missing
from airflow_provider.clients.cocktail.run_list import ask_for_runs
from airflow_provider.clients.cocktail.wire import Wire
from airflow_provider.clients.rows import Rows
from airflow_provider.exceptions import ReleasePipelineError


class Runs:
    """A run has its own number, ``build_run_seq``; do not confuse it with that of its build."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def get(self, build_run_seq: int | str) -> BuildRun:
        """One run with its steps.

        :raises NotFoundError: the run does not exist or was deleted.
        """
        build_run_seq = self._wire.number("build_run_seq", build_run_seq)
        data = self._wire.call("status", build_run_seq=build_run_seq)
        if data is None:
            raise self._wire.not_found("status", f"build run {build_run_seq} does not exist or was deleted")
        run = self._wire.object_of("status", data)
        if fields.number_text(run.get("buildRunSeq")) != build_run_seq:
            raise self._wire.unexpected(
                "status", f"the answer must be build run {build_run_seq}, got {run.get('buildRunSeq')}"
            )
        return cast("BuildRun", run)

    def can_be_read(self, build_run_seq: int | str) -> bool:
        """Whether the installation and the token allow reading a run by its number.

        :raises NotFoundError: the run does not exist or was deleted.
        """
        try:
            self.get(build_run_seq)
        except ReleasePipelineError as error:
            if is_path_missing(error):
                return False
            raise
        return True

    def list(self, build_seq: int | str) -> Rows[BuildRun]:
        """All runs of a build, newest first, without their steps; including those of type CANCEL and REMOVE."""
        data = ask_for_runs(self._wire, build_seq)
        if not isinstance(data, (list, type(None))):
            raise self._wire.unexpected("list", "the answer is not a list of build runs")
        return cast("Rows[BuildRun]", [self._wire.object_of("list", run) for run in data or []])

    def list_latest(
        self, *, account_seq: int | None = None, service_seq: int | None = None, limit: int = 5
    ) -> Rows[BuildRun]:
        """The latest successful runs of an account or of a service."""
        if account_seq is None and service_seq is None:
            raise self._wire.bad_request("account_seq or service_seq must be given")
        params = {"accountSeq": account_seq, "serviceSeq": service_seq, "limitCount": limit}
        return cast("Rows[BuildRun]", self._wire.get_objects("/build/run/latest", params))

    def find(self, image_url: str, *, build_seq: int | str | None = None) -> BuildRun | None:
        """The run that built an image; :param image_url: as in a run's ``imageUrl``."""
        if not image_url:
            raise self._wire.bad_request("image_url must not be empty")
        data = self._wire.send("GET", "/build/run/search", {"imageUrl": image_url, "buildSeq": build_seq})
        return None if data is None else cast("BuildRun", self._wire.object_at("/build/run/search", data))

    def get_log(self, build_run_seq: int | str) -> BuildRunLog:
        """The log of a run by steps (``buildRunLogs``); a text may appear when its step ends, at the end, or never."""
        build_run_seq = self._wire.number("build_run_seq", build_run_seq)
        data = self._wire.call("log", build_run_seq=build_run_seq)
        if data is None:
            raise self._wire.not_found("log", f"there is no log of build run {build_run_seq}")
        return cast("BuildRunLog", self._wire.object_of("log", data))

    def get_step_log(self, build_step_run_seq: int | str) -> BuildRunLog:
        """The log of one step of a run, in the form of :meth:`get_log`."""
        template = "/build/run/log/step/{build_step_run_seq}"
        return cast("BuildRunLog", self._wire.send_for_object("GET", template, build_step_run_seq=build_step_run_seq))

    def cancel(self, build_run_seq: int | str, *, callback_url: str | None = None) -> BuildRun:
        """Cancel a run; the answer is the new CANCEL run, at whose end the original becomes ERROR."""
        build_run_seq = self._wire.number("build_run_seq", build_run_seq)
        params = {"callbackUrl": self._wire.callback(callback_url)}
        return cast(
            "BuildRun", self._wire.object_of("cancel", self._wire.call("cancel", params, build_run_seq=build_run_seq))
        )

    def list_sharing_digest(self, build_run_seq: int | str) -> Rows[BuildRun]:
        """The runs that would be removed together with this one."""
        return cast(
            "Rows[BuildRun]",
            self._wire.get_objects("/build/run/{build_run_seq}/otherremoveruns", build_run_seq=build_run_seq),
        )

    def export(self, build_run_seq: int | str) -> bytes:
        """The definition of a run's build as a zip archive."""
        return self._wire.file("/build/run/{build_run_seq}/export", build_run_seq=build_run_seq)

    def remove(self, build_run_seq: int | str) -> BuildRun:
        """Remove a run, its tag in the internal registry, and the runs that share its digest."""
        return cast(
            "BuildRun", self._wire.send_for_object("DELETE", "/build/run/{build_run_seq}", build_run_seq=build_run_seq)
        )

    def remove_tags(self, build_seq: int | str, build_run_seqs: Sequence[int | str]) -> int:
        """Remove several runs of a build with their tags; returns how many."""
        if isinstance(build_run_seqs, str) or not build_run_seqs:
            raise self._wire.bad_request("build_run_seqs must be a list of at least one number")
        numbers = ",".join(self._wire.number("build_run_seqs", each) for each in build_run_seqs)
        params = {"buildRunSeqs": numbers}
        return fields.number(self._wire.send("DELETE", "/build/run/{build_seq}/tag", params, build_seq=build_seq)) or 0
