"""Build definitions of Cocktail: start a run of one, read and change them.

Only the start is documented. The other paths follow from it and may be missing: that is a ``NotFoundError`` or a
``PermissionDeniedError``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

from msgspec.structs import replace

from airflow_provider.clients.cocktail import fields
from airflow_provider.clients.cocktail.documents import Build, BuildImages, BuildName, BuildRun
from airflow_provider.clients.cocktail.errors import build_error_number, is_path_missing
from airflow_provider.clients.cocktail.references import BUILD_RUN, has_autotag, run_reference
from airflow_provider.clients.cocktail.run_execution import execution_of
from airflow_provider.clients.cocktail.wire import Wire
from airflow_provider.clients.rows import Rows
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    Effect,
    NotFoundError,
    ReleasePipelineError,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.identifiers import tag_problem

log = logging.getLogger(__name__)

_COCKTAIL_TAG = re.compile(r"[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?")


class Builds:
    """:param placed: gives an execution its place, and masks secrets in its texts."""

    def __init__(self, wire: Wire, placed: Callable[[Execution], Execution]) -> None:
        self._wire = wire
        self._placed = placed

    def run(
        self,
        build_seq: int | str,
        *,
        tag_name: str | None = None,
        description: str | None = None,
        callback_url: str | None = None,
    ) -> Execution:
        """Start a run of a build ("Run build" of the Open API reference); the run continues after the answer.

        Sent once: repeating a refused start is left to the caller.

        :param build_seq: number of the build definition, not of a run.
        :param tag_name: tag of the image; may be left out only if the build's autotag is on, which ignores it.
        :param description: free text, stored as ``runDesc``.
        :param callback_url: called at each change of state; must have no query, because Cocktail would lose it.

        :raises ConflictError: the build is already running (:func:`~.errors.is_busy`), or an earlier run used the tag.
        :raises ThrottledError: the account's limit of parallel builds is reached (:func:`~.errors.is_busy`).
        :raises ServerUnavailableError: the build server is not connected (:func:`~.errors.is_busy`), or another cause.
        """
        self._check_run(build_seq, tag_name, callback_url)
        build_seq = self._wire.number("build_seq", build_seq)
        if tag_name:
            _warn_of_tag(tag_name)
        else:
            self._require_autotag(build_seq)
        params = {
            "tagName": tag_name or None,
            "description": description,
            "callbackUrl": self._wire.callback(callback_url),
        }
        try:
            run = self._wire.object_of("run", self._wire.call("run", params, attempts=1, build_seq=build_seq))
        except ServerUnavailableError as error:
            if build_error_number(error.code) != "006":
                raise
            raise NotFoundError(f"the server could not read build_seq {build_seq}", call=error.call) from None
        except ConflictError as error:
            if build_error_number(error.code) != "004":
                raise
            summary = f"tag {tag_name!r} was already used by a run of build {build_seq}; choose another tag_name"
            raise ConflictError(summary, call=error.call, effect=error.effect) from None
        try:
            execution = execution_of(run, run_reference("", build_seq, tag_name or ""))
        except BadRequestError as error:
            # It was accepted, whatever the answer is about.
            raise UnexpectedResponseError(error.summary, call=error.call, effect=Effect.UNKNOWN) from None
        execution = replace(execution, url=self._wire.page(execution.ref))
        if execution.state is ExecutionState.SUCCEEDED:
            # The vendor's own example has DONE here, for a build that takes a minute: only a later read is final.
            execution = replace(execution, state=ExecutionState.RUNNING, finished_at=None)
        return self._placed(execution)

    def intent(
        self, build_seq: int | str, *, tag_name: str | None = None, callback_url: str | None = None
    ) -> dict[str, str]:
        """What ``find_started`` must know about a run with these arguments, which it refuses as :meth:`run` does."""
        self._check_run(build_seq, tag_name, callback_url)
        build = self.get(build_seq) or {}
        if tag_name and has_autotag(build):
            log.warning("Build %s has autotag on, so the server will not use tag %r", build_seq, tag_name)
        elif tag_name and build.get("tagName") == tag_name:
            log.warning("Tag %r is the build's default tag, so its current image will be overwritten", tag_name)
        return {"kind": BUILD_RUN, "build_seq": str(build_seq), "tag": tag_name or ""}

    def rerun(
        self,
        build_seq: int | str,
        build_run_seq: int | str,
        edits: Mapping[str, Any],
        *,
        tag_name: str,
        description: str | None = None,
        callback_url: str | None = None,
    ) -> BuildRun:
        """Change a build definition and run it; :param edits: a build with ``editType``."""
        self._check_tag(tag_name)
        _warn_of_tag(tag_name)
        params = {"tagName": tag_name, "description": description, "callbackUrl": self._wire.callback(callback_url)}
        path = "/build/run/{build_seq}/{build_run_seq}"
        return cast(
            "BuildRun",
            self._wire.send_for_object("POST", path, params, edits, build_seq=build_seq, build_run_seq=build_run_seq),
        )

    def get(self, build_seq: int | str) -> Build | None:
        """A build definition; ``None`` if the installation does not publish it or the token may not read it.

        :raises NotFoundError: there is no such build.
        """
        build_seq = self._wire.number("build_seq", build_seq)
        try:
            data = self._wire.call("build", build_seq=build_seq)
        except ReleasePipelineError as error:
            if is_path_missing(error):
                return None
            raise
        if data is None:
            raise self._wire.not_found("build", f"there is no build {build_seq}")
        return cast("Build", self._wire.object_of("build", data))

    def list(self, *, account_seq: int | None = None, service_seq: int | None = None) -> Rows[Build]:
        """The build definitions of an account or of a service."""
        if account_seq is None and service_seq is None:
            raise self._wire.bad_request("account_seq or service_seq must be given")
        return cast(
            "Rows[Build]", self._wire.get_objects("/build", {"accountSeq": account_seq, "serviceSeq": service_seq})
        )

    def list_names(self) -> Rows[BuildName]:
        """The number and the name of each build, without the rest of its definition."""
        return cast("Rows[BuildName]", self._wire.get_objects("/build/names"))

    def count(self, account_seq: int | str) -> int:
        """How many builds an account has."""
        return fields.number(self._wire.send("GET", "/build/count/{account_seq}", account_seq=account_seq)) or 0

    def list_images(
        self,
        build_seq: int | str,
        *,
        order: Literal["DESC", "ASC"] = "DESC",
        order_column: Literal["TAG", "IMAGE_SIZE", "END_TIME"] = "END_TIME",
    ) -> BuildImages:
        """``{"registryName", "imageName", "tags"}``."""
        params = {"order": order, "orderColumn": order_column}
        return cast(
            "BuildImages", self._wire.send_for_object("GET", "/build/{build_seq}/images", params, build_seq=build_seq)
        )

    def create(self, build: Mapping[str, Any], *, callback_url: str | None = None) -> Build:
        """:param build: a build with ``editType`` N."""
        params = {"callbackUrl": self._wire.callback(callback_url)}
        return cast("Build", self._wire.send_for_object("POST", "/build", params, build))

    def update(self, build_seq: int | str, build: Mapping[str, Any]) -> Build:
        """:param build: the whole build, with ``editType`` U."""
        return cast("Build", self._wire.send_for_object("PUT", "/build/{build_seq}", None, build, build_seq=build_seq))

    def delete(self, build_seq: int | str, *, callback_url: str | None = None) -> BuildRun:
        """Delete a build; the answer is the new REMOVE run that does it."""
        params = {"callbackUrl": self._wire.callback(callback_url)}
        return cast("BuildRun", self._wire.send_for_object("DELETE", "/build/{build_seq}", params, build_seq=build_seq))

    def _check_run(self, build_seq: int | str, tag_name: str | None, callback_url: str | None) -> None:
        """Refuse wrong arguments without any request."""
        self._wire.number("build_seq", build_seq)
        self._wire.callback(callback_url)
        if tag_name:
            self._check_tag(tag_name)

    def _check_tag(self, tag_name: str) -> None:
        if problem := tag_problem(tag_name):
            raise self._wire.bad_request(f"tag_name {problem}")

    def _require_autotag(self, build_seq: str) -> None:
        build = self.get(build_seq)
        if build is None:
            raise self._wire.bad_request(
                f"tag_name must be given: this connection cannot read whether autotag of build {build_seq} is on. "
                "If it should, check its host, `api_prefix` and the permissions of its token"
            )
        if not has_autotag(build):
            raise self._wire.bad_request(
                f"tag_name must be given: autotag of build {build_seq} is off, and the image would be tagged 'null'"
            )


def _warn_of_tag(tag_name: str) -> None:
    if not _COCKTAIL_TAG.fullmatch(tag_name):
        log.warning(
            "tag_name %r breaks Cocktail's rule for the tags of builds (lower-case letters, digits, '-', '.', '_'; "
            "a letter or digit first and last)",
            tag_name,
        )
