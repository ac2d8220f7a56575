"""Runs whose task asks people, and who answers them over Airflow's REST API."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.sandbox import seed
from demo.airflow_api import AirflowApi
from tests.chaos import people
from tests.chaos.people import TaskInstance
from tests.e2e.stage import Stage
from tests.e2e.stage import until as until_soon
from tests.support.code_stream_tasks import TWO_GATES

APPROVED = "Deploy shop with approval"
HELD = 15.0
"""Seconds for which Code Stream holds a request, so that its sender can be killed meanwhile."""


def until(condition: Callable[[], Any], what: str) -> Any:
    """:param what: should come about, for whoever reads a failure."""
    try:
        return until_soon(condition)
    except AssertionError as error:
        raise AssertionError(f"not so in time: {what}") from error


@dataclass
class Asking:
    """A run whose task asks people.

    :param field: of the form that they fill in.
    """

    stage: Stage
    dag_id: str
    run_id: str
    field: str = "comment"

    @property
    def _path(self) -> str:
        return f"dags/{self.dag_id}/dagRuns/{self.run_id.replace('+', '%2B')}"

    @property
    def ti(self) -> TaskInstance:
        return TaskInstance(self.dag_id, self.run_id, "ask", -1)

    def action(self) -> dict[str, Any]:
        """The required action of the task; empty if there is none."""
        found = self.stage.airflow.api.call("GET", f"{self._path}/hitlDetails")["hitl_details"]
        return dict(found[0]) if found else {}

    def links(self) -> tuple[str, str]:
        """Where a person is sent by the question, for the log of the task, and by the notification."""
        of_log = re.search(r"\[log of the task\]\((.*?)\)", self.action()["body"])
        logged = str(self.stage.airflow.api.log_lines(self.dag_id, self.run_id, "ask", 1))
        notified = re.search(r"Notified: .*?(http\S*/required_actions)", logged)
        assert of_log
        assert notified
        return of_log[1], notified[1]

    def answer(self, option: str, said: str | None = None, by: AirflowApi | None = None) -> None:
        path = f"{self._path}/taskInstances/ask/-1/hitlDetails"
        form = {"chosen_options": [option], "params_input": {self.field: said}}
        (by or self.stage.airflow.api).call("PATCH", path, json=form, repeatable=False)

    @property
    def state(self) -> str | None:
        return self.stage.states(self.dag_id, self.run_id).get("ask")

    def until_it_asks(self) -> Asking:
        until(lambda: self.state == "deferred", "it asks")
        self.stage.wait_for_its_trigger(self.dag_id, self.run_id, "ask")
        return self

    def until_it_asks_again(self) -> None:
        until(lambda: self._is_asking, "it asks again")
        # As above.
        time.sleep(3)

    @property
    def _is_asking(self) -> bool:
        return self.state == "deferred" and not self.action()["response_received"]

    def kill_worker(self) -> None:
        """SIGKILL the process that runs the task's own code."""
        title = f"airflow worker -- {people.id_of(self.stage.airflow.api, self.ti)}"
        processes = psutil.process_iter(["cmdline"])
        next(each for each in processes if (each.info["cmdline"] or [""])[0] == title).kill()

    def result(self) -> dict[str, Any]:
        until(lambda: self.state in ("success", "failed"), "it ends")
        assert self.state == "success"
        returned: dict[str, Any] = self.stage.airflow.api.xcom(self.dag_id, self.run_id, "ask")
        return returned


def code_stream(stage: Stage) -> CodeStreamClient:
    login, password = next(iter(seed.CODE_STREAM_USERS.items()))
    return CodeStreamClient(f"{stage.sandbox.url}/code_stream", username=login, password=password)


def execution(stage: Stage) -> str:
    """An execution of Code Stream that waits for an approval; returns its id."""
    with code_stream(stage) as client:
        pipeline = client.pipelines.find(APPROVED, "retail")["id"]
        execution_id = client.pipelines.run(pipeline, inputs={"tag": "1.4.2"}).id
    until(lambda: state_of(stage, "code_stream", execution_id) == "WAITING", "the execution asks")
    return execution_id


def state_of(stage: Stage, system: str, execution_id: str) -> str:
    found = stage.sandbox.control.executions(system)
    return next(str(each["state"]) for each in found if each["id"] == execution_id)


def answers(stage: Stage) -> list[dict[str, Any]]:
    """What Code Stream was answered since the last reset; of a sender who was killed meanwhile, it reads nothing."""
    return [each["body"] for each in _sent(stage) if each["body"] and each["status"]]


def _sent(stage: Stage) -> list[dict[str, Any]]:
    return stage.sandbox.control.requests("code_stream", "PATCH", "/user-operations/")


def approve_and_kill_two_workers(asking: Asking, said: str, by: AirflowApi) -> None:
    """One dies before it has sent the decision, and one after, but before it knows whether it was accepted."""
    stage, control = asking.stage, asking.stage.sandbox.control
    control.fault("code_stream", "latency", method="PATCH", seconds=HELD)
    asking.answer("Approve", said, by)
    until(lambda: _sent(stage), "a worker is about to send the decision")
    asking.kill_worker()
    # The next one looks before it sends, and again after it.
    control.fault("code_stream", "latency", method="GET", path="/user-operations/.", after=1, times=100, seconds=HELD)
    until(lambda: answers(stage), "the decision is sent")
    asking.kill_worker()
    control.clear_faults()


def start(stage: Stage, dag_id: str, execution_id: str) -> Asking:
    return Asking(stage, dag_id, stage.start(dag_id, {"execution_id": execution_id}))


def at_a_gate(stage: Stage, dag_id: str = "gates", pipeline: str = APPROVED) -> Asking:
    """A task that asks about an approval of its own execution."""
    return begun_at_a_gate(stage, dag_id, pipeline).until_it_asks()


def begun_at_a_gate(stage: Stage, dag_id: str = "gates", pipeline: str = APPROVED) -> Asking:
    """The same, as soon as the question can be seen."""
    asking = Asking(stage, dag_id, stage.start(dag_id, {"pipeline": pipeline}))
    until(asking.action, "it asks")
    return asking


def executions(stage: Stage) -> list[dict[str, Any]]:
    found = stage.sandbox.control.executions("code_stream")
    return [each for each in found if each["pipeline"] in (APPROVED, TWO_GATES)]


def cancels(stage: Stage) -> list[int]:
    return [len(each["cancels"]) for each in executions(stage)]


def as_user(stage: Stage, name: str) -> AirflowApi:
    passwords = json.loads((stage.airflow.home / "passwords.json").read_text())
    return AirflowApi(stage.airflow.url, name, passwords[name])
