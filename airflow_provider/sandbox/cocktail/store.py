"""All builds and runs of the Cocktail stand-in, and the rules of starting, cancelling and removing runs.

It knows no HTTP: refusals are raised, callbacks are handed to ``announce``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider.sandbox.cocktail import machine
from airflow_provider.sandbox.cocktail.models import BUILD_STEPS, Build, BuildRun, Step
from airflow_provider.sandbox.cocktail.replies import BadCall, InvalidState, Refusal
from airflow_provider.sandbox.core.clock import Clock
from airflow_provider.sandbox.core.execution import Track

STEPS_OF = {"BUILD": BUILD_STEPS, "CANCEL": ("CANCEL",), "REMOVE": ("DELETE",)}


class Store:
    """:param announce: called with a run whenever its state is to be told to its callback URL
    :param pushed: called with a build run that is DONE, after its result is stored
    """

    def __init__(
        self,
        clock: Clock,
        switches: dict[str, Any],
        builds: list[Build],
        announce: Callable[[BuildRun], None],
        pushed: Callable[[BuildRun], None],
    ) -> None:
        self._clock = clock
        self._switches = switches
        self._announce = announce
        self._pushed = pushed
        self.builds = {build.build_seq: build for build in builds}
        self.runs: dict[int, BuildRun] = {}
        self._of_build: dict[int, list[BuildRun]] = {}
        self._active: dict[int, BuildRun] = {}
        self._steps = 0
        for build in builds:
            build.created = build.updated = clock.now()

    # --- reading

    def build(self, build_seq: int) -> Build | None:
        build = self.builds.get(build_seq)
        return None if build is None or build.removed else build

    def run(self, run_seq: int) -> BuildRun | None:
        run = self.runs.get(run_seq)
        return None if run is None or run.removed else run

    def runs_of(self, build_seq: int) -> list[BuildRun]:
        """Newest first."""
        return [run for run in reversed(self._of_build.get(build_seq, [])) if not run.removed]

    def sharing_digest(self, run: BuildRun) -> list[BuildRun]:
        if run.digest is None:
            return []
        return [each for each in self.runs_of(run.build.build_seq) if each is not run and each.digest == run.digest]

    # --- starting

    def start_build(self, build: Build | None, tag: str | None, description: str | None, callback: str) -> BuildRun:
        """The checks in the server's order; the build number is taken before the tag is looked at."""
        if self._switches["build_server_unreachable"]:
            raise Refusal("005")
        if build is None:
            raise Refusal("006", "build is not found")
        self._refuse_parallel(build)
        build.build_no += 1
        tag = self._tag(build, tag)
        if tag != build.tag_name and any(run.tag == tag for run in self._runs_that_block_tags(build)):
            raise Refusal("004", f"[{tag}]")
        if limit := self._switches["description_limit"]:
            description = (description or "")[:limit]
        run = self._add(build, "BUILD", build.build_no, description, tag, callback)
        if self._switches["refuse_build_server"]:
            run.enter("ERROR", run.begin)
            self._active.pop(run.run_seq, None)
        elif not self._switches["stuck_created"]:
            machine.start(run, run.begin, self._seconds)
        return run

    def start_cancel(self, run: BuildRun | None, callback: str) -> BuildRun:
        """A run of its own; the original ends when that one does."""
        if run is None:
            raise Refusal("006", "build run is not found")
        run.track.cancel_received(self._clock.now())
        if run.state != "RUNNING" or run.run_type != "BUILD":
            raise InvalidState("Build is not running!")
        cancel = self._add(run.build, "CANCEL", run.build_no, run.run_desc, run.tag, callback)
        cancel.refers_to = run.run_seq
        cancel.steps[0].config["refBuildRunSeq"] = run.run_seq
        machine.start(cancel, cancel.begin, self._seconds)
        return cancel

    def start_removal(self, build: Build | None, callback: str) -> BuildRun:
        if build is None:
            raise Refusal("006", "build is not found")
        if any(run.build is build for run in self._active.values()):
            raise Refusal("014")
        removal = self._add(build, "REMOVE", build.build_no, None, build.tag_name, callback)
        machine.start(removal, removal.begin, self._seconds)
        return removal

    def remove(self, run: BuildRun | None) -> BuildRun:
        """Takes along the runs that share its digest, as the registry deletes by digest."""
        if run is None:
            raise Refusal("006", "build run is not found")
        if run.state == "RUNNING":
            raise Refusal("014")
        for each in [run, *self.sharing_digest(run)]:
            each.removed = True
            self._active.pop(each.run_seq, None)
        return run

    # --- time

    def tick(self, now: float) -> None:
        for run in list(self._active.values()):
            if run.due is None or run.due > now:
                continue
            for _ in range(machine.advance(run, now, self._seconds, self._fails)):
                self._announce(run)
            if run.due is None:
                self._end(run, "ERROR" if any(s.state == "ERROR" for s in run.steps) else "DONE", now)

    def force(self, run_seq: int, state: str) -> None:
        """Puts a run into ``state`` with all that follows from it, result and callbacks included."""
        run, now = self.runs[run_seq], self._clock.now()
        if state in ("DONE", "ERROR"):
            for step in run.steps:
                step.state, step.end = ("DONE" if state == "DONE" else step.state), step.end or now
            self._end(run, state, now)
            return
        run.end, run.due, run.digest, run.size = None, None, None, 0
        run.enter(state, now)
        self._active[run_seq] = run
        if state == "RUNNING":
            for step in run.steps:
                step.state, step.begin, step.end = "WAIT", None, None
            machine.start(run, now, self._seconds)
        self._announce(run)

    def _end(self, run: BuildRun, state: str, now: float) -> None:
        at = min(machine.end_time(run, now), now)
        self._active.pop(run.run_seq, None)
        if run.run_type == "CANCEL":
            self._end_cancel(run, state, at)
            return
        if state == "DONE" and run.run_type == "BUILD":
            run.store_result(self._switches["reproducible_builds"], self._switches["no_digest"])
        run.enter(state, at)
        if run.run_type == "REMOVE" and state == "DONE":
            run.build.removed = True
        if state == "DONE" and run.run_type == "BUILD":
            self._pushed(run)
        self._announce(run)

    def _end_cancel(self, cancel: BuildRun, state: str, at: float) -> None:
        original = self.runs[cancel.refers_to or 0]
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

    def _add(self, build: Build, kind: str, number: int, description: str | None, tag: str, callback: str) -> BuildRun:
        now, run_seq = self._clock.now(), len(self.runs) + 1
        steps = []
        for order, step_type in enumerate(STEPS_OF[kind], 1):
            self._steps += 1
            steps.append(Step(self._steps, step_type, order, {"stepType": step_type}))
        track = Track(str(run_seq), kind, description or "", "CREATED", now)
        run = BuildRun(run_seq, build, number, kind, description, tag, callback, now, steps, track)
        self.runs[run_seq] = run
        self._of_build.setdefault(build.build_seq, []).append(run)
        self._active[run_seq] = run
        return run

    def _refuse_parallel(self, build: Build) -> None:
        counted = ("CREATED", "RUNNING") if self._switches["created_counts_as_running"] else ("RUNNING",)
        running = [run for run in self._active.values() if run.run_type == "BUILD" and run.state in counted]
        if len(running) >= self._switches["account_parallel_limit"]:
            raise Refusal("013")
        if any(run.build is build for run in running):
            raise InvalidState("Build is running!")

    def _runs_that_block_tags(self, build: Build) -> list[BuildRun]:
        blocking = self._switches["failed_runs_block_their_tag"]
        runs = [run for run in self.runs_of(build.build_seq) if run.run_type == "BUILD"]
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
