"""Control actions: script a task of a release task, or a job of a component or plan; revoke tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider.sandbox.service_stage.credentials import Credentials
from airflow_provider.sandbox.service_stage.state import State

SCRIPTED = ("seconds", "fails", "times")


def actions_of(state: State, credentials: Credentials) -> dict[str, Callable[..., Any]]:
    """The actions by their names; each raises ValueError for a wrong value."""

    def script(*, pipeline: str = "", task: str = "", **wanted: Any) -> dict[str, Any]:
        release_task = state.named(pipeline)
        if release_task is None:
            raise ValueError(f"no release task {pipeline!r}")
        chosen = {name: wanted[name] for name in SCRIPTED if name in wanted}
        state.scripts[(release_task.id, task)] = chosen
        return chosen

    def script_job(*, name: str = "", job: str = "", **wanted: Any) -> dict[str, Any]:
        chosen = {each: wanted[each] for each in SCRIPTED if each in wanted}
        state.scripts[(name, job)] = chosen
        return chosen

    return {"script": script, "script_job": script_job, "revoke_tokens": credentials.revoke_tokens}
