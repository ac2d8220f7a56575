"""DAGs that stand in a page, made as Airflow makes those of a file."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG
from pytest_mock import MockerFixture


def dags_of(code: str, file: Path | str, mocker: MockerFixture) -> list[DAG]:
    """:param file: where the code is said to stand."""
    made: list[DAG] = []
    enter = DAG.__enter__
    mocker.patch.object(DAG, "__enter__", lambda dag: (made.append(dag), enter(dag))[1])
    namespace: dict[str, object] = {}
    exec(compile(code, file, "exec"), namespace)
    return made
