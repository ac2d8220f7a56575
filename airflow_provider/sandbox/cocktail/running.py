"""The rules of starting, canceling, ending and removing runs. No routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider.sandbox.cocktail import steps
from airflow_provider.sandbox.cocktail.models import RUN_STATES, Build, BuildRun
from airflow_provider.sandbox.cocktail.refusals import BadCall, BuildRefusal, InvalidState
from airflow_provider.sandbox.cocktail.state import State
from airflow_provider.sandbox.core.clock import Clock
from airflow_provider.sandbox.core.environment import Image


class Runner:
    """:param announce: called with a run whenever its callback URL is to be notified
    :param push: called with the image of a build run that is DONE, after its result is stored
    """

    def __init__(
        self,
        state: State,
        clock: Clock,
        switches: Mapping[str, Any],
        announce: Callable[[BuildRun], None],
        push: Callable[[Image], None],
    ) -> None:
        self._state = state
        self._clock = clock
        self._switches = switches
        self._announce = announce
        self._push = push

    # --- starting

    def start_build(self, build: Build | None, tag: str | None, description: str | None, callback: str) -> BuildRun:
        """Checks in the server's order; the build number is assigned before the tag is checked."""
        if self._switches["build_server_unreachable"]:
            raise BuildRefusal("005")
        if build is None:
            raise BuildRefusal("006", "build is not found")
        self._refuse_parallel(build)
        build.build_no += 1
        tag = self._tag(build, tag)
        if tag != build.tag_name and any(run.tag == tag for run in self._runs_that_block_tags(build)):
            raise BuildRefusal("004", f"[{tag}]")
        if limit := self._switches["description_limit"]:
            description = (description or "")[:limit]
        run = self._state.add_run(build, "BUILD", build.build_no, description, tag, callback)
        if self._switches["refuse_build_server"]:
            run.enter("ERROR", run.begin)
            self._state.active.pop(run.run_seq, None)
        elif not self._switches["stuck_created"]:
            steps.start(run, run.begin, self._seconds)
        return run

    def start_cancel(self, run: BuildRun | None, callback: str) -> BuildRun:
        """Starts a cancel run; the original run ends when that one does."""
        if run is None:
            raise BuildRefusal("006", "build run is not found")
        run.track.cancel_received(self._clock.now())
        if run.state != "RUNNING" or run.run_type != "BUILD":
            raise InvalidState("Build is not running!")
        cancel = self._state.add_run(run.build, "CANCEL", run.build_no, run.run_desc, run.tag, callback)
        cancel.refers_to = run.run_seq
        cancel.steps[0].config["refBuildRunSeq"] = run.run_seq
        steps.start(cancel, cancel.begin, self._seconds)
        return cancel

    def start_removal(self, build: Build | None, callback: str) -> BuildRun:
        if build is None:
            raise BuildRefusal("006", "build is not found")
        if any(run.build is build for run in self._state.active.values()):
            raise BuildRefusal("014")
        removal = self._state.add_run(build, "REMOVE", build.build_no, None, build.tag_name, callback)
        steps.start(removal, removal.begin, self._seconds)
        return removal

    def remove(self, run: BuildRun | None) -> BuildRun:
        """Removes a run, and those that share its digest, because the registry deletes by digest."""
        if run is None:
            raise BuildRefusal("006", "build run is not found")
        if run.state == "RUNNING":
            raise BuildRefusal("014")
        for each in [run, *self._state.sharing_digest(run)]:
            each.removed = True
            self._state.active.pop(each.run_seq, None)
        return run

    # --- time

    def tick(self, now: float) -> None:
        for run in list(self._state.active.values()):
            if run.due is None or run.due > now:
                continue
            for _ in range(steps.advance(run, now, self._seconds, self._fails)):
                self._announce(run)
            if run.due is None:
                self._end(run, "ERROR" if any(s.state == "ERROR" for s in run.steps) else "DONE", now)

    def force(self, run: BuildRun, state: str) -> None:
        """Forces a run into ``state``, with all its consequences: result, callbacks, image."""
        if state not in RUN_STATES:
            raise ValueError(f"must be one of {', '.join(RUN_STATES)}")
        now = self._clock.now()
        if state in ("DONE", "ERROR"):
            for step in run.steps:
                step.state, step.end = ("DONE" if state == "DONE" else step.state), step.end or now
            self._end(run, state, now)
            return
        run.end, run.due, run.digest, run.size = None, None, None, 0
        run.enter(state, now)
        self._state.active[run.run_seq] = run
        if state == "RUNNING":
            for step in run.steps:
                step.state, step.begin, step.end = "WAIT", None, None
            steps.start(run, now, self._seconds)
        self._announce(run)

    def _end(self, run: BuildRun, state: str, now: float) -> None:
        at = min(steps.end_time(run, now), now)
        self._state.active.pop(run.run_seq, None)
        if run.run_type == "CANCEL":
            self._end_cancel(run, state, at)
            return
        if state == "DONE" and run.run_type == "BUILD":
            run.store_result(self._switches["reproducible_builds"], self._switches["no_digest"])
        run.enter(state, at)
        if run.run_type == "REMOVE" and state == "DONE":
            run.build.removed = True
        if state == "DONE" and run.run_type == "BUILD":
            self._push(_image_of(run))
        self._announce(run)

    def _end_cancel(self, cancel: BuildRun, state: str, at: float) -> None:
        original = self._state.all_runs[cancel.refers_to or 0]
        if self._switches["cancel_loses_race"] and not original.finished:
            self._end(original, "DONE", at)
        if original.finished or state == "ERROR":
            cancel.enter("ERROR", at)
            self._announce(cancel)
            return
        cancel.enter("DONE", at)
        self._announce(cancel)
        for step in original.steps:
            if step.state == "RUNNING":
                step.state, step.end = "ERROR", at
        self._end(original, "ERROR", at)

    # --- inside

    def _refuse_parallel(self, build: Build) -> None:
        counted = ("CREATED", "RUNNING") if self._switches["created_counts_as_running"] else ("RUNNING",)
        running = [run for run in self._state.active.values() if run.run_type == "BUILD" and run.state in counted]
        if len(running) >= self._switches["account_parallel_limit"]:
            raise BuildRefusal("013")
        if any(run.build is build for run in running):
            raise InvalidState("Build is running!")

    def _runs_that_block_tags(self, build: Build) -> list[BuildRun]:
        blocking = self._switches["failed_runs_block_their_tag"]
        runs = [run for run in self._state.runs_of(build.build_seq) if run.run_type == "BUILD"]
        return [run for run in runs if blocking or run.state != "ERROR"]

    def _tag(self, build: Build, tag: str | None) -> str:
        if build.autotag:
            if build.autotag_seq_type == "SEQUENCE":
                return f"{build.autotag_prefix}-{build.build_no:05d}"
            moment = datetime.fromtimestamp(self._clock.now(), ZoneInfo(self._switches["autotag_zone"]))
            return f"{build.autotag_prefix}-{moment:%Y%m%d-%H%M%S}"
        if not tag and self._switches["refuse_missing_tag"]:
            raise BadCall(400, "Required request parameter 'tagName' is not present")
        return tag or "null"

    def _seconds(self, step_type: str) -> float:
        return self._clock.pace(self._switches["step_seconds"].get(step_type, 1.0))

    def _fails(self, run: BuildRun, step_type: str) -> bool:
        return run.run_type == "BUILD" and step_type in (run.build.failing_step, self._switches["failing_step"])


def _image_of(run: BuildRun) -> Image:
    """The pushed image. A build whose record has no digest has pushed one too."""
    return Image(run.build.image_name, run.tag, run.pushed_digest, run.size)
