"""DAGs that stand in a page, made as Airflow makes those of a file."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG
from pytest_mock import MockerFixture


def dags_of(code: str, file: Path | str, mocker: MockerFixture) -> list[DAG]:
    """:param file: where the code is said to stand."""
    made: list[DAG] = []
    enter = DAG.__enter__

    def enter_and_note(dag: DAG) -> DAG:
        made.append(dag)
        return enter(dag)

    mocker.patch.object(DAG, "__enter__", enter_and_note)
    namespace: dict[str, object] = {}
    exec(compile(code, file, "exec"), namespace)
    return made
