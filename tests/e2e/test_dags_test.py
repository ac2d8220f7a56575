"""Tasks that ask people, run by ``airflow dags test`` as a process of its own: nobody can be asked there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.sandbox import seed
from tests.e2e.asking import APPROVED
from tests.support.airflow_runs import prepare_database
from tests.support.systems import Systems
from tests.support.until import until

DAGS = Path(__file__).parent / "dags"
SPEED = 8.0
LIMIT = 120.0


@contextmanager
def dags_test(dag_id: str, conf: Mapping[str, str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The running process, on the database of all tests; it is gone afterwards."""
    prepare_database()
    command = [Path(sys.executable).parent / "airflow", "dags", "test", dag_id, "--conf", json.dumps(conf)]
    env = os.environ | {"AIRFLOW__CORE__DAGS_FOLDER": str(DAGS)}
    with (
        output.open("wb") as file,
        subprocess.Popen(command, env=env, stdout=file, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield process
        finally:
            # Its task runner ignores a polite signal.
            process.kill()


def required_actions() -> int:
    from airflow.models.hitl import HITLDetail
    from airflow.utils.session import create_session

    with create_session() as session:
        return session.query(HITLDetail).count()


@pytest.mark.parametrize(
    ("dag_id", "said"),
    [
        ("gates", "In dag.test(), nobody can be asked: approvals wait for a decision at the vendor"),
        ("approvals", "Nobody can be asked in dag.test(): waiting for a decision at the vendor"),
    ],
    ids=["own execution", "somebody else's"],
)
def test_nobody_can_be_asked_and_a_decision_at_the_vendor_ends_it(
    running: Systems, tmp_path: Path, dag_id: str, said: str
) -> None:
    running.connect()
    running.reset(SPEED)
    output = tmp_path / "output.log"
    login, password = next(iter(seed.CODE_STREAM_USERS.items()))
    with CodeStreamClient(f"{running.url}/code_stream", username=login, password=password) as client:

        def waiting() -> list[str]:
            return [each["id"] for each in running.executions("code_stream") if each["state"] == "WAITING"]

        conf = {}
        if dag_id == "approvals":
            client.pipelines.run(client.pipelines.find(APPROVED, "retail")["id"], inputs={"tag": "1.4.2"})
            (conf["execution_id"],) = until(waiting)
        with dags_test(dag_id, conf, output) as process:
            until(lambda: (said in output.read_text() and waiting()) or process.poll() is not None, seconds=LIMIT)
            assert process.poll() is None, output.read_text()[-4000:]
            client.approvals.answer(client.approvals.find_pending(waiting()[0]), True, "by telephone")
            assert process.wait(LIMIT) == 0, output.read_text()[-4000:]
    assert required_actions() == 0
