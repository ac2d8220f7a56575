"""Image builds of Quay: start one, read, list and cancel them, read their logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack, cast

from airflow_provider.clients.answers import LONGEST_WORD
from airflow_provider.clients.memory import Doubts
from airflow_provider.clients.quay import build_starts
from airflow_provider.clients.quay.build_execution import execution_of
from airflow_provider.clients.quay.build_list import LISTED
from airflow_provider.clients.quay.build_starts import BuildSource
from airflow_provider.clients.quay.documents import Build, BuildLog
from airflow_provider.clients.quay.fields import Json
from airflow_provider.clients.quay.references import BUILD, build_reference
from airflow_provider.clients.quay.wire import ADMIN, WRITE, Wire
from airflow_provider.clients.rows import Rows
from airflow_provider.execution import Execution
from airflow_provider.identifiers import build_tags_problem, url_problem


class Builds:
    """:param doubts: about ends of builds, shared with the waits for them.
    :param placed: gives an execution its place, and masks secrets in its texts.
    """

    def __init__(self, wire: Wire, doubts: Doubts, placed: Callable[[Execution], Execution]) -> None:
        self._wire, self._doubts, self._placed = wire, doubts, placed

    def start(self, repository: str, **source: Unpack[BuildSource]) -> Execution:
        """Build an image from an archive; two equal starts make two builds. Sent once, whatever the answer.

        :param source: see :class:`~airflow_provider.clients.quay.build_starts.BuildSource`.
        """
        self._check(repository, source)
        path = self._wire.repository_path("/build/", repository)
        answer = self._wire.send("POST", path, body=build_starts.body_of(source), attempts=1, needs=WRITE)
        build = self._wire.object_at(path, answer.data)
        if not build.get("id") or len(str(build["id"])) > LONGEST_WORD:
            raise self._wire.unexpected(path, "the answer to the start has no usable build id")
        ref = build_reference(repository, str(build["id"]))
        execution = execution_of(build, ref, self._wire.page(ref))
        if not execution.state.is_terminal:
            self._doubts.note_unfinished(execution.id)
        return self._placed(execution)

    def intent(self, repository: str, **source: Unpack[BuildSource]) -> Json:
        """What ``find_started`` must know about a start with these arguments, which it refuses as :meth:`start` does.

        Quay has no free-text field for a marker. The newest builds are noted, too: they are not ours, whatever the
        clocks say.
        """
        self._check(repository, source)
        before = [str(build.get("id")) for build in self.list(repository, limit=LISTED)]
        return {"kind": BUILD, "repository": repository, **build_starts.kept_of(source), "builds_before": before}

    def list(self, repository: str, *, limit: int = 5, since: float | None = None) -> Rows[Build]:
        """The newest builds first; :param since: epoch seconds."""
        params = {"limit": limit, "since": None if since is None else int(since)}
        return cast(
            "Rows[Build]",
            self._wire.get_objects(self._wire.repository_path("/build/", repository), "builds", params),
        )

    def get(self, repository: str, build_id: str) -> Build:
        """:raises NotFoundError: the repository has no such build."""
        return self._ask(self._wire.build_path(repository, build_id), build_id)

    def get_status(self, repository: str, build_id: str) -> Build:
        """The same as :meth:`get`, from the call that Quay's own pages poll."""
        return self._ask(self._wire.build_path(repository, build_id) + "/status", build_id)

    def get_log(self, repository: str, build_id: str, *, start: int = 0) -> BuildLog:
        """``{"start", "total", "logs"}``, or ``{"logs_url"}`` once they are archived. Needs ``repo:write``.

        :param start: the ``total`` of the previous answer.
        """
        path = self._wire.build_path(repository, build_id) + "/logs"
        return cast("BuildLog", self._wire.get_object(path, {"start": start}, needs=WRITE))

    def cancel(self, repository: str, build_id: str) -> None:
        """Cancel a build. Read its phase first: a refused cancel uses up the build's remaining retries.

        :raises ConflictError: it is past the last phase in which this Quay cancels.
        :raises PermissionDeniedError: ``repo:write``, which starts builds, is not enough; it takes ``repo:admin``.
        """
        self._wire.send("DELETE", self._wire.build_path(repository, build_id), needs=ADMIN)

    def _check(self, repository: str, source: BuildSource) -> None:
        """Refuse wrong arguments without any request."""
        self._wire.repository_path("/build/", repository)
        self._wire.refuse("archive_url", url_problem(source.get("archive_url")))
        try:
            build_starts.in_ascii(source["archive_url"])
        except ValueError:
            raise self._wire.bad_request("archive_url must name a host that can be written in ASCII (IDNA)") from None
        self._wire.refuse("tags", build_tags_problem(source.get("tags")))
        subdirectory, dockerfile_path = source.get("subdirectory"), source.get("dockerfile_path")
        for name, place in (("subdirectory", subdirectory), ("dockerfile_path", dockerfile_path)):
            if place is not None and not isinstance(place, str):
                raise self._wire.bad_request(f"{name} must be a text, got {place!r}")
        if subdirectory and dockerfile_path:
            raise self._wire.bad_request("subdirectory or dockerfile_path must be given, not both: Quay reads only one")

    def _ask(self, path: str, build_id: str) -> Build:
        build = self._wire.get_object(path)
        if build.get("id") not in (None, build_id):
            shown = self._wire.transport.redact(str(build["id"]), LONGEST_WORD)
            raise self._wire.unexpected(path, f"the answer must be build {build_id}, got {shown}")
        return cast("Build", build)
