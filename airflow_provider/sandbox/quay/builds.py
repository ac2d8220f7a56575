"""Image builds: how they advance through their phases, and the operations on them.

Images and webhooks that result go through the system.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from airflow_provider.sandbox.core.execution import Track
from airflow_provider.sandbox.quay import payloads
from airflow_provider.sandbox.quay.replies import Abort, Crash, Problem, no_content, not_found, result

if TYPE_CHECKING:
    from airflow_provider.sandbox.quay.calls import Call
    from airflow_provider.sandbox.quay.system import QuaySystem

# The phases of a build that goes well, with their nominal seconds.
DURATIONS = {
    "waiting": 1.0,
    "build-scheduled": 1.0,
    "unpacking": 1.0,
    "pulling": 2.0,
    "building": 3.0,
    "pushing": 2.0,
}
ORDER = (*DURATIONS, "complete")
FINAL = ("complete", "error", "cancelled", "expired")
PHASES = (*ORDER, "error", "cancelled", "internalerror", "expired")
OUTCOMES = ("complete", "error", "internalerror", "expired", "hang")
REQUEUE_AFTER = 30.0
UNSETTLED_AFTER_CANCEL = 3.0
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


@dataclass
class Build:
    """``outcome`` scripts how it goes; ``tries`` are those left to its queue item, 0 when the item is gone."""

    id: str
    namespace: str
    name: str
    user: str
    archive_url: str
    tags: list[str]
    dockerfile_path: str
    context: str
    outcome: str
    tries: int
    loops: int
    started: float
    track: Track
    due: float | None = None
    logs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def phase(self) -> str:
        return self.track.state

    @property
    def display_name(self) -> str:
        return hashlib.sha224(self.archive_url.encode("ascii")).hexdigest()[:7]

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.id.encode()).hexdigest()}"

    def log(self, message: str, kind: str | None, now: float) -> None:
        entry: dict[str, Any] = {"message": message}
        if kind:
            entry["type"] = kind
        self.logs.append(entry | {"data": {"datetime": str(datetime.fromtimestamp(now, UTC).replace(tzinfo=None))}})

    def view(self, writer: bool, now: float, store_down: bool) -> dict[str, Any]:
        running = self.phase not in ("waiting", *FINAL)
        status: dict[str, Any] = {}
        if running:
            status = {
                "heartbeat": now,
                "total_commands": 2,
                "current_command": 2 if self.phase == "pushing" else 1,
                "push_completion": 0.5 if self.phase == "pushing" else 0.0,
                "pull_completion": 0.5 if self.phase == "pulling" else 0.0,
            }
        body: dict[str, Any] = {
            "id": self.id,
            "phase": "cannot_load" if store_down else self.phase,
            "started": formatdate(self.started),
            "display_name": self.display_name,
            "status": {} if store_down else status,
            "subdirectory": self.dockerfile_path,
            "dockerfile_path": self.dockerfile_path,
            "context": self.context,
            "tags": self.tags,
            "manual_user": self.user,
            "is_writer": writer,
            "trigger": None,
            "trigger_metadata": {},
            "resource_key": None,
            "pull_robot": None,
            "repository": {"namespace": self.namespace, "name": self.name},
            "error": "Redis may be down. Please contact support." if store_down else None,
        }
        return body | ({"archive_url": self.archive_url} if writer else {})


class BuildManager:
    """Advances builds; tells events and pushes the images of those that end well."""

    def __init__(self, system: QuaySystem) -> None:
        self._system = system
        self._active: dict[str, Build] = {}
        self.all: dict[str, Build] = {}

    def add(self, build: Build) -> None:
        self.all[build.id] = build
        self._active[build.id] = build
        # Without builders a build is taken all the same, and never run.
        build.due = build.started + self._pace(DURATIONS["waiting"]) if self._system.switches["build_support"] else None
        self._tell(build, "build_queued")

    @property
    def queued(self) -> int:
        return sum(build.phase == "waiting" for build in self._active.values())

    def tick(self, now: float) -> None:
        for build in list(self._active.values()):
            while build.due is not None and build.due <= now:
                self._next(build, build.due)

    def enter(self, build: Build, phase: str, at: float) -> None:
        """Enters ``phase`` with all that follows from it: log, event, image, next due time."""
        build.track.enter(phase, at)
        if phase != "cancelled":
            build.log(phase, "phase", at)
        if phase == "error":
            build.log("The Dockerfile could not be built", "error", at)
        build.due = at + self._pace(DURATIONS[phase]) if phase in DURATIONS else None
        if phase in FINAL:
            self._active.pop(build.id, None)
        else:
            self._active[build.id] = build
        if phase == "build-scheduled":
            build.tries = max(build.tries - 1, 0)
        elif phase == "building":
            build.log("Step 1/2 : FROM base", "command", at)
            build.log("Step 2/2 : COPY . /app", "command", at)
            self._tell(build, "build_start")
        elif phase == "complete":
            for tag in build.tags:
                self._system.world.image_pushed(f"{build.namespace}/{build.name}", tag, build.digest, 31_457_280)
            self._tell(build, "build_success")
        elif phase == "error" and build.tries == 0:
            self._tell(build, "build_failure")
        elif phase == "cancelled":
            self._tell(build, "build_cancelled")
        elif phase == "internalerror":
            build.due = at + self._pace(REQUEUE_AFTER)

    def cancel(self, build: Build, now: float) -> bool:
        """Whether it was taken; a refused cancel deletes the queue item all the same.

        :raises Crash: it was canceled a moment ago
        """
        build.track.cancel_received(now)
        if build.phase == "cancelled" and now < build.track.since + self._pace(UNSETTLED_AFTER_CANCEL):
            raise Crash
        ephemeral = self._system.switches["ephemeral_build_manager"]
        open_to = ORDER[: ORDER.index("pushing")] if ephemeral else ("waiting",)
        build.tries = 0
        if build.phase not in open_to:
            return False
        self.enter(build, "cancelled", now)
        return True

    def _next(self, build: Build, at: float) -> None:
        if build.phase == "internalerror":
            if build.tries == 0:
                self.enter(build, "expired", at)
            else:
                build.tries += 1
                self.enter(build, "waiting", at)
            return
        if build.phase == "building" and build.outcome != "complete":
            if build.outcome == "hang":
                build.due = None
                return
            if build.outcome == "error":
                self.enter(build, "error", at)
                return
            if build.outcome == "expired":
                build.tries = 0
            if build.outcome == "expired" or build.loops > 0:
                build.loops -= 1
                self.enter(build, "internalerror", at)
                return
        self.enter(build, ORDER[ORDER.index(build.phase) + 1], at)

    def _pace(self, seconds: float) -> float:
        return self._system.world.clock.pace(seconds)

    def _tell(self, build: Build, event: str) -> None:
        server = self._system.switches["server_hostname"]
        body = payloads.repository_body(server, build.namespace, build.name, f"/build/{build.id}")
        body["build_id"] = build.id
        if event == "build_queued":
            body |= {"docker_tags": build.tags, "repo": build.name, "is_manual": True, "manual_user": build.user}
        else:
            body |= {"build_name": build.display_name, "docker_tags": build.tags}
            body |= {"trigger_id": None, "trigger_kind": None, "trigger_metadata": {}}
        self._system.raise_event(f"{build.namespace}/{build.name}", event, body)


# --- operations


def _build(call: Call) -> Build:
    build = call.found.builds.get(call.params["build"])
    if build is None:
        raise not_found()
    return build


def _known(call: Call) -> Build:
    """For status and logs, which tell a build that nobody has from one of another repository."""
    build = call.system.builds.all.get(call.params["build"])
    if build is None:
        raise Abort(400, f"Unable to locate a build by id: {call.params['build']}")
    if (build.namespace, build.name) != (call.namespace, call.name):
        raise not_found()
    return build


def _view(call: Call, build: Build) -> dict[str, Any]:
    writer = call.system.directory.owns(call.user, call.namespace) and bool(call.login and call.login.reaches("write"))
    return build.view(writer, call.now, call.system.switches["build_log_store_down"])


def start(call: Call) -> Response:
    body, switches = call.json(START_SCHEMA), call.system.switches
    archive_url = body.get("archive_url")
    if not archive_url and not body.get("file_id"):
        raise Problem("invalid_request", "file_id or archive_url required")
    if archive_url and not archive_url.startswith(("http://", "https://")):
        raise Problem("invalid_request", "Invalid Archive URL: Must be http or https")
    if body.get("pull_robot"):
        raise not_found()
    repository = call.found
    if body.get("file_id"):
        raise Problem("invalid_request", f"File {body['file_id']} could not be found or is invalid")
    if not archive_url.isascii():
        raise Crash
    if 0 < switches["max_queued_builds"] <= call.system.builds.queued:
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
    repository.builds[build.id] = build
    call.system.builds.add(build)
    location = f"{call.request.scope['root_path']}/api/v1/repository/{repository.path}/build/{build.id}/status"
    return result(_view(call, build), 201, {"location": location})


def _kept_tag(tag: str) -> str:
    """A tag as it is stored with a build: made fit, and cut shorter than a tag may be."""
    fit = re.sub(r"[^\w.-]", "_", re.sub(r"^\W", "_", tag))
    return fit[:LONGEST_TAG] or "latest"


def _places(body: dict[str, Any]) -> tuple[str, str]:
    """Where the build runs, and its Dockerfile; the latter counts where both are given."""
    context = body.get("context", "/")
    if "dockerfile_path" in body:
        path = body["dockerfile_path"]
        return (context if "context" in body else posixpath.dirname(path)), path
    folder = body.get("subdirectory", context)
    return folder, f"{folder.removesuffix('/')}/Dockerfile"


def list_all(call: Call) -> Response:
    """Of a repository that is not there: none. No limit tells all, a negative one is too much for the database."""
    since, limit = call.number("since", 0, SINCE), call.number("limit", 5, LIMIT)
    if limit < 0:
        raise Crash
    builds = call.repository.builds.values() if call.repository else ()
    found = [build for build in reversed(list(builds)) if build.started >= since]
    return result({"builds": [_view(call, build) for build in found[: limit or None]]})


def get(call: Call) -> Response:
    return result(_view(call, _build(call)))


def status(call: Call) -> Response:
    return result(_view(call, _known(call)))


def logs(call: Call) -> Response:
    """Growing entries; some time after the end a link to the archive instead."""
    build, switches = _known(call), call.system.switches
    if switches["build_log_store_down"]:
        return result({"start": 0, "total": 0, "logs": []})
    archived_at = build.track.since + call.system.world.clock.pace(ARCHIVED_AFTER)
    if switches["archive_build_logs"] and build.phase in FINAL and call.now >= archived_at:
        return result({"logs_url": f"{call.request.scope['root_path']}/buildlogs/{build.id}"})
    try:
        begin = int(call.query("start", "0"))
    except ValueError:
        raise Crash from None
    return result({"start": begin, "total": len(build.logs), "logs": build.logs[begin:]})


def archived_logs(call: Call) -> Response:
    build = call.system.builds.all.get(call.params["build"])
    if build is None:
        raise not_found()
    return result({"start": 0, "total": len(build.logs), "logs": build.logs})


def cancel(call: Call) -> Response:
    if not call.system.builds.cancel(_build(call), call.now):
        raise Problem("invalid_request", "Build is currently running or has finished")
    return no_content() if call.system.switches["codes"] == "swagger" else result("Okay", 201)
