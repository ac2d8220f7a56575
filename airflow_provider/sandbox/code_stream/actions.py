"""Control actions: deliver an event, insert executions, script a task, expire refresh tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider.sandbox.code_stream.events import document_of
from airflow_provider.sandbox.code_stream.history import History
from airflow_provider.sandbox.code_stream.models import EVENT_FIELDS, TERMINAL, Stored
from airflow_provider.sandbox.code_stream.resources import DEFAULT_PROJECT
from airflow_provider.sandbox.code_stream.state import State
from airflow_provider.sandbox.code_stream.tokens import Tokens
from airflow_provider.sandbox.code_stream.triggering import Triggering

SCRIPTED = ("seconds", "fails", "output", "times")


class Actions:
    """Each method is an action; each raises ValueError for a wrong value."""

    def __init__(self, state: State, tokens: Tokens, triggering: Triggering, history: History) -> None:
        self._state = state
        self._tokens = tokens
        self._triggering = triggering
        self._history = history

    def by_name(self) -> dict[str, Callable[..., Any]]:
        return {
            "deliver": self._deliver,
            "insert_executions": self._insert,
            "script": self._script,
            "expire_refresh_tokens": self._expire_refresh_tokens,
        }

    def _deliver(
        self,
        kind: str = "",
        name: str = "",
        project: str = DEFAULT_PROJECT,
        pipeline: str = "Deploy shop",
        fields: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        refused: str | None = None,
    ) -> dict[str, Any]:
        if kind not in EVENT_FIELDS:
            raise ValueError(f"kind must be one of {', '.join(EVENT_FIELDS)}, got {kind!r}")
        unknown = set(fields or {}) - set(EVENT_FIELDS[kind])
        if unknown:
            raise ValueError(f"a {kind} event has no field {', '.join(sorted(unknown))}")
        event = self._triggering.deliver(
            kind,
            name=name or f"{kind}-shop",
            project=project,
            pipeline=pipeline,
            fields=fields,
            inputs=inputs,
            refused=refused,
        )
        return document_of(event, self._state.switches)

    def _insert(
        self, pipeline: str = "", project: str = DEFAULT_PROJECT, status: str = "COMPLETED", count: int = 1
    ) -> dict[str, Any]:
        if status not in TERMINAL:
            raise ValueError(f"status must be one of {', '.join(sorted(TERMINAL))}, got {status!r}")
        pipeline_id = self._pipeline(pipeline, project).id
        return {"ids": [self._history.insert(pipeline_id, status=status).id for _ in range(int(count))]}

    def _script(
        self, pipeline: str = "", project: str = DEFAULT_PROJECT, task: str = "", **wanted: Any
    ) -> dict[str, Any]:
        found = self._pipeline(pipeline, project)
        script = {name: wanted[name] for name in SCRIPTED if name in wanted}
        self._state.scripts[(found.project, found.name, task)] = script
        return script

    def _expire_refresh_tokens(self) -> dict[str, Any]:
        self._tokens.expire_refresh_tokens()
        return {}

    def _pipeline(self, name: str, project: str) -> Stored:
        found = self._state.pipelines.named(name, project)
        if found is None:
            raise ValueError(f"no pipeline {name!r} in project {project!r}")
        return found
