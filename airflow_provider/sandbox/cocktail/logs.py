"""The routes of the logs of build runs: of all steps, or of one."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.cocktail.arguments import path_number
from airflow_provider.sandbox.cocktail.models import BuildRun
from airflow_provider.sandbox.cocktail.results import result
from airflow_provider.sandbox.cocktail.runs import ROOT
from airflow_provider.sandbox.cocktail.state import State
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.routing import Router


class Logs:
    def __init__(self, state: State) -> None:
        self._state = state

    def add_routes(self, router: Router) -> None:
        router.add("GET", f"{ROOT}/log/{{build_run_seq}}", self._of_run, "log")
        router.add("GET", f"{ROOT}/log/step/{{build_step_run_seq}}", self._of_step, "step_log")

    def _of_run(self, call: Call) -> Response:
        run = self._state.run(path_number(call, "build_run_seq"))
        return result(call, run and _view(call, run, None))

    def _of_step(self, call: Call) -> Response:
        step_seq = path_number(call, "build_step_run_seq")
        for run in self._state.runs:
            if any(step.step_run_seq == step_seq for step in run.steps):
                return result(call, _view(call, run, step_seq))
        return result(call, None)


def _view(call: Call, run: BuildRun, step_seq: int | None) -> dict[str, Any]:
    switches = call.switches
    readable = switches["logs"] == "per_step" or (switches["logs"] == "at_end" and run.finished)
    in_database = switches["db_log"] and readable
    return {
        "buildRunSeq": run.run_seq,
        "runState": run.state,
        "buildSeq": run.build.build_seq,
        "registryProjectId": 27,
        "externalRegistrySeq": 0,
        "buildServerHost": "topic:build-sandbox",
        "dbLog": switches["db_log"],
        "buildRunLogs": [
            step.view(run.run_seq, with_log=in_database) for step in run.steps if step_seq in (None, step.step_run_seq)
        ],
    }
