"""What a task costs around its wait: importing the operator, parsing a DAG with it, one call of it.

Each figure is CPU of a fresh process, ``python -m bench.tasks``, which measures itself.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contenders import Contender, Endpoint, connection_json
from bench.loop import environment
from bench.stub.control import Stub

TASKS_IN_DAG = 20
CALLS = 3

OPERATORS = {
    "dbt_cloud": "DbtCloudRunJobOperator(task_id={id!r}, dbt_cloud_conn_id={conn!r}, job_id=44, account_id=1, "
    "wait_for_termination=False)",
    "databricks": "DatabricksRunNowOperator(task_id={id!r}, databricks_conn_id={conn!r}, job_id=44, "
    "wait_for_termination=False)",
    "http": "HttpOperator(task_id={id!r}, http_conn_id={conn!r}, method='GET', endpoint='http/0')",
    "cocktail": "CocktailRunBuildOperator(task_id={id!r}, cocktail_conn_id={conn!r}, build_seq=1, tag_name='tag-0', "
    "wait_for_completion=False)",
}
"""A task that starts something and does not wait, for one contender of each kind."""


@dataclass(frozen=True)
class TaskFigures:
    """Milliseconds of CPU, the median of several fresh processes.

    :param parsed: a DAG file of 20 such tasks on top of ``airflow.sdk``.
    :param first_call: the first ``execute`` of a process, after the import.
    :param next_call: a later one.
    :param requests: that one call makes; ``connections``: that it opens.
    """

    contender: str
    parsed: float
    first_call: float
    next_call: float
    requests: float
    connections: float


def measure_import(bundle: Path, home: Path, contender: Contender) -> float:
    """Milliseconds of CPU to import the module of its operators on top of ``airflow.sdk``, compiled before."""
    order = {"what": "import", "module": contender.operator_module}
    _run(order, environment(home, bundle))
    return statistics.median(_run(order, environment(home, bundle))["ms"] for _ in range(CALLS))


def measure_tasks(stub: Stub, bundle: Path, home: Path, contender: Contender) -> TaskFigures:
    stub.clear()
    stub.begin(contender.system, "0", 1, 1)
    stub.plan(contender.system, "0", {0: time.time()})
    env = environment(home, bundle)
    order = {
        "module": contender.operator_module,
        "operator": OPERATORS[contender.name],
        "conn_id": contender.conn_id(0),
        "connection": connection_json(contender, Endpoint(stub.port, str(bundle)), 0),
    }
    parsed = statistics.median(_run({**order, "what": "parse"}, env)["ms"] for _ in range(CALLS))
    before = stub.counts()
    calls = [_run({**order, "what": "call"}, env) for _ in range(CALLS)]
    after = stub.counts()
    made = CALLS * (1 + CALLS)
    return TaskFigures(
        contender=contender.name,
        parsed=parsed,
        first_call=statistics.median(call["first"] for call in calls),
        next_call=statistics.median(call["next"] for call in calls),
        requests=(after.total - before.total) / made,
        connections=(after.connections - before.connections) / made,
    )


def _run(order: dict[str, Any], env: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.tasks"]
    done = subprocess.run(command, input=json.dumps(order), env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{order['what']} of {order['module']} failed: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


class _TaskInstance:
    """As much of a running task as these operators touch."""

    dag_id, task_id, run_id, map_index, try_number, max_tries = "bench", "task", "bench", -1, 1, 0
    stats_tags: dict[str, str] = {}

    def xcom_push(self, *_: object, **__: object) -> None:
        pass

    def xcom_pull(self, *_: object, **__: object) -> None:
        pass


class _StateStore(dict[str, Any]):
    def set(self, key: str, value: Any, **_: object) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


def _import(order: dict[str, Any]) -> dict[str, float]:
    start = time.process_time()
    __import__(order["module"])
    return {"ms": 1000 * (time.process_time() - start)}


def _parse(order: dict[str, Any]) -> dict[str, float]:
    name = order["operator"].partition("(")[0]
    tasks = "\n".join(
        order["operator"].format(id=f"task_{number}", conn=order["conn_id"]) for number in range(TASKS_IN_DAG)
    )
    text = f"from airflow.sdk import DAG\nfrom {order['module']} import {name}\n"
    text += "with DAG('bench', schedule=None):\n" + textwrap.indent(tasks, "    ")
    code = compile(text, "bench_dag.py", "exec")
    start = time.process_time()
    exec(code, {"__name__": "bench_dag"})  # noqa: S102 - what the DAG processor does with a file
    return {"ms": 1000 * (time.process_time() - start)}


def _call(order: dict[str, Any]) -> dict[str, float]:
    from airflow.sdk import DAG

    from bench.supervisor import CountingSupervisor

    CountingSupervisor({order["conn_id"]: order["connection"]}).install()
    module = __import__(order["module"], fromlist=["_"])

    def call(number: int) -> float:
        with DAG(f"bench_{number}", schedule=None):
            operator = eval(  # noqa: S307 - a text of our own
                order["operator"].format(id="task", conn=order["conn_id"]), vars(module)
            )
        context = {"ti": _TaskInstance(), "task_state_store": _StateStore(), "task": operator}
        start = time.process_time()
        operator.execute(context)
        return 1000 * (time.process_time() - start)

    first = call(0)
    return {"first": first, "next": statistics.median(call(number) for number in range(1, CALLS + 1))}


if __name__ == "__main__":
    from airflow.sdk import DAG, BaseOperator  # noqa: F401 - what every DAG file has imported before

    _order = json.loads(sys.stdin.read())
    print(json.dumps({"import": _import, "parse": _parse, "call": _call}[_order["what"]](_order)))
