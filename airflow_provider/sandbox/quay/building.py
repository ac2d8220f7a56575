"""The life of an image build: how it advances through its phases, and how it is canceled. No routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider.sandbox.core.clock import Clock
from airflow_provider.sandbox.core.environment import Image
from airflow_provider.sandbox.quay import payloads
from airflow_provider.sandbox.quay.models import DURATIONS, FINAL, ORDER, PHASES, Build
from airflow_provider.sandbox.quay.refusals import Crash

REQUEUE_AFTER = 30.0
UNSETTLED_AFTER_CANCEL = 3.0
IMAGE_SIZE = 31_457_280


class Building:
    """:param push: called with the images of successful builds
    :param raise_event: called with repository, event and body for each event that notifications report
    """

    def __init__(
        self,
        clock: Clock,
        switches: Mapping[str, Any],
        push: Callable[[Image], None],
        raise_event: Callable[[str, str, dict[str, Any]], None],
    ) -> None:
        self._clock = clock
        self._switches = switches
        self._push = push
        self._raise_event = raise_event
        self.clear()

    def clear(self) -> None:
        self._active: dict[str, Build] = {}

    def begin(self, build: Build) -> None:
        self._active[build.id] = build
        # Without builders a build is accepted but never runs.
        build.due = build.started + self._clock.pace(DURATIONS["waiting"]) if self._switches["build_support"] else None
        self._tell(build, "build_queued")

    @property
    def queued(self) -> int:
        return sum(build.phase == "waiting" for build in self._active.values())

    def tick(self, now: float) -> None:
        for build in list(self._active.values()):
            while build.due is not None and build.due <= now:
                self._next(build, build.due)

    def enter(self, build: Build, phase: str, at: float) -> None:
        """Enters ``phase``, with all its consequences: log, event, image, next due time."""
        if phase not in PHASES:
            raise ValueError(f"must be one of {', '.join(PHASES)}")
        build.track.enter(phase, at)
        if phase != "cancelled":
            build.log(phase, "phase", at)
        if phase == "error":
            build.log("The Dockerfile could not be built", "error", at)
        build.due = at + self._clock.pace(DURATIONS[phase]) if phase in DURATIONS else None
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
                self._push(Image(build.repository, tag, build.digest, IMAGE_SIZE))
            self._tell(build, "build_success")
        elif phase == "error" and build.tries == 0:
            self._tell(build, "build_failure")
        elif phase == "cancelled":
            self._tell(build, "build_cancelled")
        elif phase == "internalerror":
            build.due = at + self._clock.pace(REQUEUE_AFTER)

    def cancel(self, build: Build, now: float) -> bool:
        """Whether the build was canceled. A refused cancel still deletes the queue item.

        :raises Crash: the build was canceled a moment ago
        """
        build.track.cancel_received(now)
        if build.phase == "cancelled" and now < build.track.since + self._clock.pace(UNSETTLED_AFTER_CANCEL):
            raise Crash
        ephemeral = self._switches["ephemeral_build_manager"]
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

    def _tell(self, build: Build, event: str) -> None:
        server = self._switches["server_hostname"]
        body = payloads.repository_body(server, build.namespace, build.name, f"/build/{build.id}")
        body["build_id"] = build.id
        if event == "build_queued":
            body |= {"docker_tags": build.tags, "repo": build.name, "is_manual": True, "manual_user": build.user}
        else:
            body |= {"build_name": build.display_name, "docker_tags": build.tags}
            body |= {"trigger_id": None, "trigger_kind": None, "trigger_metadata": {}}
        self._raise_event(build.repository, event, body)
