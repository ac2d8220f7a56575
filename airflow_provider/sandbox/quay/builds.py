"""The routes of image builds: list, start, get, status, logs, cancel."""

from __future__ import annotations

import posixpath
import re
import uuid
from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.execution import Track
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.quay.access import Directory
from airflow_provider.sandbox.quay.arguments import body_of, namespace_of, number, path_of, repository_of
from airflow_provider.sandbox.quay.building import Building
from airflow_provider.sandbox.quay.models import FINAL, Build
from airflow_provider.sandbox.quay.refusals import Abort, Crash, invalid, not_found
from airflow_provider.sandbox.quay.results import no_content, result
from airflow_provider.sandbox.quay.rules import ADMIN_UNFROZEN, OPEN, READ, REPOSITORY, WRITE_UNFROZEN, Rule
from airflow_provider.sandbox.quay.state import State

LOGS = Rule("write", readers_with="reader_build_logs")
LONGEST_TAG = 127
LIMIT = "The maximum number of builds to return"
SINCE = "Returns all builds since the given unix timecode"
ARCHIVED_AFTER = 300.0
START_SCHEMA = {
    "type": "object",
    "description": "Description of a new repository build.",
    "properties": {
        "file_id": {"type": "string"},
        "archive_url": {"type": "string"},
        "subdirectory": {"type": "string"},
        "dockerfile_path": {"type": "string"},
        "context": {"type": "string"},
        "pull_robot": {"type": "string"},
        "docker_tags": {
            "type": "array",
            "description": 'The tags to which the built images will be pushed. If none specified, "latest" is used.',
            "items": {"type": "string"},
            "minItems": 1,
            "uniqueItems": True,
        },
    },
}


class Builds:
    def __init__(self, state: State, directory: Directory, building: Building) -> None:
        self._state = state
        self._directory = directory
        self._building = building

    def add_routes(self, router: Router) -> None:
        root = f"{REPOSITORY}/build/"
        router.add("GET HEAD", "/buildlogs/{build}", self._archived_logs, OPEN)
        router.add("POST", root, self._start, WRITE_UNFROZEN)
        router.add("GET HEAD", root, self._list, READ)
        router.add("GET HEAD", f"{root}{{build}}", self._get, READ)
        router.add("DELETE", f"{root}{{build}}", self._cancel, ADMIN_UNFROZEN)
        router.add("GET HEAD", f"{root}{{build}}/status", self._status, READ)
        router.add("GET HEAD", f"{root}{{build}}/logs", self._logs, LOGS)

    def _of_repository(self, call: Call) -> Build:
        build = repository_of(call, self._state).builds.get(call.params["build"])
        if build is None:
            raise not_found()
        return build

    def _of_anybody(self, call: Call) -> Build:
        """For status and logs, which treat an unknown build differently from one of another repository."""
        build = self._state.builds.get(call.params["build"])
        if build is None:
            raise Abort(400, f"Unable to locate a build by id: {call.params['build']}")
        if build.repository != path_of(call):
            raise not_found()
        return build

    def _view(self, call: Call, build: Build) -> dict[str, Any]:
        writer = self._directory.may(call.caller, namespace_of(call), "write")
        return build.view(writer, call.now, call.switches["build_log_store_down"])

    def _start(self, call: Call) -> Response:
        body, switches = body_of(call, START_SCHEMA), call.switches
        archive_url: str = body.get("archive_url") or ""
        if not archive_url and not body.get("file_id"):
            raise invalid("file_id or archive_url required")
        if archive_url and not archive_url.startswith(("http://", "https://")):
            raise invalid("Invalid Archive URL: Must be http or https")
        if body.get("pull_robot"):
            raise not_found()
        repository = repository_of(call, self._state)
        if body.get("file_id"):
            raise invalid(f"File {body['file_id']} could not be found or is invalid")
        if not archive_url.isascii():
            raise Crash
        if 0 < switches["max_queued_builds"] <= self._building.queued:
            raise Abort(429, "Maximum queued build rate exceeded.")
        context, dockerfile = _places(body)
        build_id = str(uuid.uuid4())
        build = Build(
            build_id,
            repository.namespace,
            repository.name,
            call.user,
            archive_url,
            [_kept_tag(tag) for tag in body.get("docker_tags", ["latest"])],
            dockerfile,
            context,
            switches["build_outcome"],
            switches["build_tries"],
            switches["internalerror_loops"],
            call.now,
            Track(build_id, "build", call.user, "waiting", call.now),
        )
        self._state.add_build(repository, build)
        self._building.begin(build)
        location = f"{call.root}/api/v1/repository/{repository.path}/build/{build.id}/status"
        return result(self._view(call, build), 201, {"location": location})

    def _list(self, call: Call) -> Response:
        """Empty for an unknown repository. A limit of 0 means all; a negative one crashes the server."""
        since, limit = number(call, "since", 0, SINCE), number(call, "limit", 5, LIMIT)
        if limit < 0:
            raise Crash
        repository = self._state.repositories.get(path_of(call))
        builds = repository.builds.values() if repository else ()
        found = [build for build in reversed(list(builds)) if build.started >= since]
        return result({"builds": [self._view(call, build) for build in found[: limit or None]]})

    def _get(self, call: Call) -> Response:
        return result(self._view(call, self._of_repository(call)))

    def _status(self, call: Call) -> Response:
        return result(self._view(call, self._of_anybody(call)))

    def _logs(self, call: Call) -> Response:
        """Log entries; some time after the build has ended, a link to the archive instead."""
        build, switches = self._of_anybody(call), call.switches
        if switches["build_log_store_down"]:
            return result({"start": 0, "total": 0, "logs": []})
        archived_at = build.track.since + self._state.clock.pace(ARCHIVED_AFTER)
        if switches["archive_build_logs"] and build.phase in FINAL and call.now >= archived_at:
            return result({"logs_url": f"{call.root}/buildlogs/{build.id}"})
        begin = call.query("start")
        try:
            start = 0 if begin is None else int(begin)
        except ValueError:
            raise Crash from None
        return result({"start": start, "total": len(build.logs), "logs": build.logs[start:]})

    def _archived_logs(self, call: Call) -> Response:
        build = self._state.builds.get(call.params["build"])
        if build is None:
            raise not_found()
        return result({"start": 0, "total": len(build.logs), "logs": build.logs})

    def _cancel(self, call: Call) -> Response:
        if not self._building.cancel(self._of_repository(call), call.now):
            raise invalid("Build is currently running or has finished")
        return no_content() if call.switches["codes"] == "swagger" else result("Okay", 201)


def _kept_tag(tag: str) -> str:
    """A tag as it is stored with a build: sanitized, and truncated to one character less than the limit for tags."""
    fit = re.sub(r"[^\w.-]", "_", re.sub(r"^\W", "_", tag))
    return fit[:LONGEST_TAG] or "latest"


def _places(body: dict[str, Any]) -> tuple[str, str]:
    """The build context and the Dockerfile; ``dockerfile_path`` takes precedence over ``subdirectory``."""
    context = body.get("context", "/")
    if "dockerfile_path" in body:
        path = body["dockerfile_path"]
        return (context if "context" in body else posixpath.dirname(path)), path
    folder = body.get("subdirectory", context)
    return folder, f"{folder.removesuffix('/')}/Dockerfile"
