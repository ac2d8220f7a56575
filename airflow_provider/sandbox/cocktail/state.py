"""The state of Cocktail: builds and runs. No routes, and no rules about what may be started when."""

from __future__ import annotations

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.cocktail.models import BUILD_STEPS, Build, BuildRun, Step
from airflow_provider.sandbox.core.clock import Clock
from airflow_provider.sandbox.core.execution import Track

STEPS_OF = {"BUILD": BUILD_STEPS, "CANCEL": ("CANCEL",), "REMOVE": ("DELETE",)}


class State:
    """:ivar all_builds: by number, removed ones included
    :ivar all_runs: by number, removed ones included
    :ivar active: the runs that have not ended
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Resets to the builds of the seed."""
        now = self._clock.now()
        builds = [Build(**fields, created=now, updated=now) for fields in seed.COCKTAIL_BUILDS]
        self.all_builds = {build.build_seq: build for build in builds}
        self.all_runs: dict[int, BuildRun] = {}
        self.active: dict[int, BuildRun] = {}
        self._of_build: dict[int, list[BuildRun]] = {}
        self._steps = 0

    @property
    def now(self) -> float:
        return self._clock.now()

    @property
    def builds(self) -> list[Build]:
        return [build for build in self.all_builds.values() if not build.removed]

    @property
    def runs(self) -> list[BuildRun]:
        """Newest first."""
        return [run for run in reversed(self.all_runs.values()) if not run.removed]

    def build(self, build_seq: int) -> Build | None:
        build = self.all_builds.get(build_seq)
        return None if build is None or build.removed else build

    def run(self, run_seq: int) -> BuildRun | None:
        run = self.all_runs.get(run_seq)
        return None if run is None or run.removed else run

    def runs_of(self, build_seq: int) -> list[BuildRun]:
        """Newest first."""
        return [run for run in reversed(self._of_build.get(build_seq, [])) if not run.removed]

    def sharing_digest(self, run: BuildRun) -> list[BuildRun]:
        if run.digest is None:
            return []
        return [each for each in self.runs_of(run.build.build_seq) if each is not run and each.digest == run.digest]

    def add_build(self, name: str, image_name: str) -> Build:
        now = self.now
        build = Build(max(self.all_builds) + 1, name, image_name, created=now, updated=now)
        self.all_builds[build.build_seq] = build
        return build

    def add_run(
        self, build: Build, kind: str, number: int, description: str | None, tag: str, callback: str
    ) -> BuildRun:
        """A run that is CREATED.

        :param kind: ``BUILD``, ``CANCEL`` or ``REMOVE``
        :param number: of the build
        """
        now, run_seq = self.now, len(self.all_runs) + 1
        steps = []
        for order, step_type in enumerate(STEPS_OF[kind], 1):
            self._steps += 1
            steps.append(Step(self._steps, step_type, order, {"stepType": step_type}))
        track = Track(str(run_seq), kind, description or "", "CREATED", now)
        run = BuildRun(run_seq, build, number, kind, description, tag, callback, now, steps, track)
        self.all_runs[run_seq] = run
        self._of_build.setdefault(build.build_seq, []).append(run)
        self.active[run_seq] = run
        return run
