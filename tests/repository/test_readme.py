"""The README is true: its examples run, its commands exist, its promises name tests that exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider import exceptions
from airflow_provider.operators.attempt import ExecutionCanceledForGood
from airflow_provider.operators.retrying import DEFAULT_RETRY_POLICY
from airflow_provider.operators.shared_arguments import StartArguments, TaskArguments
from airflow_provider.retry_policy import RETRY_POLICY
from tests.support.airflow_runs import run_dag
from tests.support.dag_files import dags_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


EXAMPLES = {re.search(r'DAG\("(\w+)"', code)[1]: code for code in blocks("python")}
MAKE_TARGETS = sorted({target for code in blocks("bash") for target in re.findall(r"^make (\w+)", code, re.MULTILINE)})
NAMED_TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?", README)))


@pytest.mark.parametrize("code", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_runs_as_printed(systems, code, tmp_path, mocker):
    # A file of its own: Airflow stores the whole file of a DAG, and this README names the logins of the sandbox.
    file = tmp_path / "example.py"
    file.write_text(code)
    (dag,) = dags_of(code, file, mocker)
    assert run_dag(dag).state == "success"


@pytest.mark.parametrize("target", MAKE_TARGETS)
def test_a_command_is_there(target):
    listed = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert f"make {target} " in listed


@pytest.mark.parametrize(("path", "name"), NAMED_TESTS)
def test_a_test_that_a_promise_names_is_there(path, name):
    assert f"def {name}(" in (ROOT / path).read_text() if name else (ROOT / path).exists()


def test_every_operator_and_sensor_is_in_a_table():
    modules = [*ROOT.glob("airflow_provider/operators/*.py"), *ROOT.glob("airflow_provider/sensors/*.py")]
    public = {
        name
        for module in modules
        for name in re.findall(r"^class ([A-Z]\w+(?:Operator|Sensor))\(", module.read_text(), re.MULTILINE)
    }
    bases = {"ReleaseOperator", "WaitingOperator", "StartOperator", "ActOperator", "ReleaseSensor", "KnownSensor"}
    bases |= {"ApprovalOperator", "GatedStartOperator"}
    assert [name for name in sorted(public - bases) if f"`{name}`" not in README] == []


def test_every_argument_that_operators_share_is_in_a_table() -> None:
    shared = README.partition("\n## Operators\n")[2].partition("| `airflow_provider.operators.` |")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", shared, re.MULTILINE))
    assert named == set(StartArguments.__annotations__) - set(TaskArguments.__annotations__)


RETRIES = re.findall(r"^\| (`\w+Error`|`Execution\w+`)(.*?) \|.*? \| (.*?) \| (\w+) \|$", README, re.MULTILINE)
"""Of the table: the first error, those beside it, what the default policy does, what RETRY_POLICY does."""


def errors_in(cells: tuple[str, ...]) -> list[type[exceptions.ReleasePipelineError]]:
    return [getattr(exceptions, name) for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_every_error_is_in_the_table_of_retries() -> None:
    listed = [error for first, others, *_ in RETRIES for error in errors_in((first, others))]
    known = {value for value in vars(exceptions).values() if isinstance(value, type) and issubclass(value, Exception)}
    assert len(listed) == len(set(listed))
    assert set(listed) == known - {exceptions.ReleasePipelineError}


@pytest.mark.parametrize(("first", "others", "default", "strict"), RETRIES, ids=[row[0].strip("`") for row in RETRIES])
def test_the_table_of_retries_says_what_the_policies_do(first, others, default, strict):
    for error in errors_in((first, others)):
        kept, stricter = (
            policy.evaluate(error("told"), 1, 3).action is not RetryAction.FAIL
            for policy in (DEFAULT_RETRY_POLICY, RETRY_POLICY)
        )
        assert stricter == (strict == "retried")
        # What a person canceled at the vendor fails without a retry by its class, whatever the policy.
        assert kept == (default.startswith("retried") or error is exceptions.ExecutionCanceled)
        assert default.startswith(("retried", "final"))
    assert issubclass(ExecutionCanceledForGood, AirflowFailException)
