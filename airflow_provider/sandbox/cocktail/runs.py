"""The routes of build runs: run, run again, cancel, status, lists, removal.

The same URL shape takes a run number in GET and DELETE and a build number in POST, as on a real server.
"""

from __future__ import annotations

import io
import json
import zipfile

from starlette.responses import Response

from airflow_provider.sandbox.cocktail import callbacks
from airflow_provider.sandbox.cocktail.arguments import int32, object_of, path_number, query_number, required
from airflow_provider.sandbox.cocktail.delivering import Delivering
from airflow_provider.sandbox.cocktail.models import ACCOUNT_SEQ, BuildRun
from airflow_provider.sandbox.cocktail.refusals import BuildRefusal
from airflow_provider.sandbox.cocktail.results import result, view_of
from airflow_provider.sandbox.cocktail.running import Runner
from airflow_provider.sandbox.cocktail.state import State
from airflow_provider.sandbox.core.calls import Call, Unlocked
from airflow_provider.sandbox.core.routing import Router

ROOT = "/build/run"


class Runs:
    def __init__(self, state: State, runner: Runner, delivering: Delivering) -> None:
        self._state = state
        self._runner = runner
        self._delivering = delivering

    def add_routes(self, router: Router) -> None:
        router.add("GET", ROOT, self._list, "list")
        router.add("GET", f"{ROOT}/latest", self._latest, "latest")
        router.add("GET", f"{ROOT}/search", self._search, "search")
        router.add("PUT", f"{ROOT}/cancel/{{build_run_seq}}", self._cancel, "cancel")
        router.add("GET", f"{ROOT}/{{build_run_seq}}", self._status, "status")
        router.add("POST", f"{ROOT}/{{build_seq}}", self._run, "run")
        router.add("POST", f"{ROOT}/{{build_seq}}/{{build_run_seq}}", self._rerun, "rerun")
        router.add("DELETE", f"{ROOT}/{{build_run_seq}}", self._remove, "remove")
        router.add("GET", f"{ROOT}/{{build_run_seq}}/otherremoveruns", self._other_remove_runs, "other_remove_runs")
        router.add("GET", f"{ROOT}/{{build_run_seq}}/export", self._export, "export")
        router.add("DELETE", f"{ROOT}/{{build_seq}}/tag", self._remove_tags, "remove_tags")

    def _named(self, call: Call) -> BuildRun | None:
        return self._state.run(path_number(call, "build_run_seq"))

    def _run(self, call: Call) -> Unlocked:
        build = self._state.build(path_number(call, "build_seq"))
        stored = callbacks.stored_url(call.query("callbackUrl"))
        run = self._runner.start_build(build, call.query("tagName"), call.query("description"), stored)
        return self._delivering.answer_started(call, run)

    def _rerun(self, call: Call) -> Unlocked:
        edits = object_of(call)
        build, earlier = self._state.build(path_number(call, "build_seq")), self._named(call)
        if build is None or earlier is None or earlier.build is not build:
            raise BuildRefusal("006", "build run is not found")
        build.edit(edits)
        stored = callbacks.stored_url(call.query("callbackUrl"))
        tag = call.query("tagName") or edits.get("tagName")
        run = self._runner.start_build(build, tag, call.query("description"), stored)
        return self._delivering.answer_started(call, run)

    def _cancel(self, call: Call) -> Unlocked:
        stored = callbacks.stored_url(required(call, "callbackUrl"))
        return self._delivering.answer_started(call, self._runner.start_cancel(self._named(call), stored))

    def _status(self, call: Call) -> Response:
        run = self._named(call)
        return result(call, run and view_of(call, run, with_steps=True))

    def _list(self, call: Call) -> Response:
        build_seq = int32("buildSeq", required(call, "buildSeq"))
        omitted = call.switches["list_omits"]
        views = [view_of(call, each) for each in self._state.runs_of(build_seq)]
        return result(call, [{name: value for name, value in view.items() if name not in omitted} for view in views])

    def _latest(self, call: Call) -> Response:
        account, service = query_number(call, "accountSeq"), query_number(call, "serviceSeq")
        if account is None and service is None:
            return result(call, None)
        limit = query_number(call, "limitCount") or 5
        done = [each for each in self._state.runs if each.state == "DONE" and each.run_type == "BUILD"]
        return result(call, [view_of(call, each) for each in done[:limit] if account in (None, ACCOUNT_SEQ)])

    def _search(self, call: Call) -> Response:
        image_url, build_seq = required(call, "imageUrl"), query_number(call, "buildSeq")
        for each in self._state.runs:
            fits = build_seq in (None, each.build.build_seq) and each.run_type == "BUILD"
            if fits and image_url in (each.address, f"{each.address}:{each.tag}"):
                return result(call, view_of(call, each))
        return result(call, None)

    def _other_remove_runs(self, call: Call) -> Response:
        run = self._named(call)
        sharing = self._state.sharing_digest(run) if run else []
        return result(call, [view_of(call, each) for each in sharing])

    def _remove(self, call: Call) -> Response:
        return result(call, view_of(call, self._runner.remove(self._named(call))))

    def _remove_tags(self, call: Call) -> Response:
        build_seq = path_number(call, "build_seq")
        numbers = [int32("buildRunSeqs", part) for part in required(call, "buildRunSeqs").split(",")]
        found = [run for number in numbers if (run := self._state.run(number)) and run.build.build_seq == build_seq]
        for run in found:
            self._runner.remove(run)
        return result(call, len(found))

    def _export(self, call: Call) -> Response:
        run = self._named(call)
        if run is None:
            raise BuildRefusal("006", "build run is not found")
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as entries:
            entries.writestr("build.json", json.dumps(run.build.view()))
        return Response(archive.getvalue(), media_type="application/zip")
