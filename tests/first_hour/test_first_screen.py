"""The README's first screen, played as a new user would: in a new environment, from the wheel, outside of the checkout.

``make first-hour`` runs it by itself, because it installs packages.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SCREEN = README.partition("## From `pip install` to a run\n")[2].partition("From a checkout")[0]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", SCREEN, re.MULTILINE | re.DOTALL)
LONGEST = 900
"""Seconds that any one command may take on a busy machine."""


@dataclass
class Hour:
    """A new user's machine.

    :param exported: what the sandbox told to paste.
    """

    home: Path
    sandbox: str
    exported: dict[str, str]

    def run(self, line: str, status: int = 0, **environment: str) -> str:
        """Its output; the provider must add no error and no warning to it."""
        done = self.play(line, **environment)
        assert done.returncode == status, f"{line}\n{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
        said = done.stdout + done.stderr
        assert status or not re.search(r"\[(warning|error) .*(airflow_provider|release_pipelines)", said), said[-8000:]
        return said

    def play(self, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            shlex.split(line),
            cwd=self.home,
            env=self.environment() | environment,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        return clean_environment(self.home)

    def executions(self, system: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(
            f"{self.sandbox}/_sandbox/executions", params={"system": system}, timeout=60
        ).json()
        return found


def clean_environment(home: Path) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON", "VIRTUAL"))
    }
    return inherited | {
        "PATH": f"{home / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW_HOME": str(home / "airflow"),
        "NO_PROXY": "127.0.0.1,localhost",
    }


def install(home: Path) -> None:
    """``pip install`` of the wheel as it would be published; uv, where it is, only makes it faster."""
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(home / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=LONGEST)
    (wheel,) = (home / "dist").glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True, timeout=LONGEST)
    python = home / "venv" / "bin" / "python"
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    installer = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    command = [*installer, "--quiet", "--constraint", ROOT / "constraints.txt", wheel]
    subprocess.run(command, check=True, timeout=LONGEST, cwd=home)


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hour]:
    home = tmp_path_factory.mktemp("first-hour")
    install(home)
    line = next(line for kind, code in BLOCKS if kind == "bash" for line in code.splitlines() if "sandbox" in line)
    # A port of its own: the usual one may be in use here.
    command = [*shlex.split(line), "--port", "0", "--speed", "5"]
    env = clean_environment(home) | {"PYTHONUNBUFFERED": "1"}
    executable = shutil.which(command[0], path=env["PATH"])
    with subprocess.Popen(
        command, executable=executable, cwd=home, env=env, stdout=subprocess.PIPE, text=True
    ) as sandbox:
        assert sandbox.stdout is not None
        said = []
        for each in sandbox.stdout:
            said.append(each)
            if "repository acme/shop" in each:
                break
        text = "".join(said)
        (url,) = re.findall(r"^sandbox: (\S+)", text, re.MULTILINE)
        pasted = [shlex.split(each)[1] for each in re.findall(r"^export .*$", text, re.MULTILINE)]
        hour = Hour(home, url, dict(each.split("=", 1) for each in pasted))
        (code,) = [code for kind, code in BLOCKS if kind == "python"]
        (home / "airflow" / "dags").mkdir(parents=True)
        (home / "airflow" / "dags" / "release_shop.py").write_text(code)
        try:
            yield hour
        finally:
            sandbox.send_signal(signal.SIGINT)


def commands() -> list[str]:
    """What is typed after the DAG was saved."""
    return [
        line for kind, code in BLOCKS if kind == "bash" for line in code.splitlines() if line.startswith("airflow ")
    ]


@pytest.fixture(scope="module")
def database(hour: Hour) -> None:
    """The database of a new Airflow, made as the README says, once for all tests."""
    hour.run(commands()[0])


@pytest.fixture(scope="module")
def stored_connections(hour: Hour, database: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("connections") / "connections.json"
    named = {name.removeprefix("AIRFLOW_CONN_").lower(): json.loads(value) for name, value in hour.exported.items()}
    file.write_text(json.dumps(named))
    hour.run(f"airflow connections import --overwrite {file}")


def test_the_package_comes_from_the_wheel(hour: Hour) -> None:
    where = hour.run("python -c 'import airflow_provider; print(airflow_provider.__file__)'").strip()
    assert where.startswith(str(hour.home))


def test_the_pages_that_the_readme_links_are_installed_too(hour: Hour) -> None:
    installed = hour.home / "venv" / "share" / "doc" / "airflow-provider-release-pipelines"
    assert f"`share/doc/{installed.name}`" in README
    for page in ("README.md", "docs/connections.md"):
        assert (installed / page).read_text() == (ROOT / page).read_text()


def test_the_first_dag_runs_and_runs_again_with_a_tag_of_its_own(hour: Hour, database: None) -> None:
    _, test = commands()
    for _ in range(2):
        hour.run(test, **hour.exported)
    assert [each["state"] for each in hour.executions("cocktail")] == ["DONE", "DONE"]
    assert len(hour.executions("service_stage")) == 2
    images = requests.get(f"{hour.sandbox}/quay/repository/acme/shop?tab=tags", timeout=60).text
    assert len(set(re.findall(r"<th>(\d{8}t\d{6}\.\d{6})</th>", images))) == 2


def test_two_runs_that_meet_build_one_after_the_other_and_release_once_at_a_time(hour: Hour, database: None) -> None:
    _, test = commands()
    if not hour.executions("cocktail"):
        # Airflow's own first run makes what two at once would both make.
        hour.run(test, **hour.exported)
    before = {each["id"] for each in hour.executions("cocktail")}
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda line: hour.play(line, **hour.exported), [test, test]))
    first, second = sorted(
        (each for each in hour.executions("cocktail") if each["id"] not in before), key=lambda each: int(each["id"])
    )
    assert first["tag"] != second["tag"]
    assert (first["state"], second["state"]) == ("DONE", "DONE")
    assert second["states"][0]["at"] >= first["states"][-1]["at"]
    refused = [each for each in done if each.returncode]
    assert len(refused) < 2
    for each in refused:
        assert "ConflictError: service_stage" in each.stdout + each.stderr


@pytest.mark.parametrize(
    ("dag_id", "status"),
    [
        ("release_train", 0),
        # Some events of the sandbox belong to a pipeline that always fails: their reruns fail, and so does the run.
        ("rerun_failed_events", 1),
    ],
)
def test_an_example_dag_runs_and_runs_again_with_its_connections_in_the_database(
    hour: Hour, stored_connections: None, dag_id: str, status: int
) -> None:
    assert f"airflow dags test {dag_id}\n" in README
    for is_again in (False, True):
        before = {each["id"] for each in hour.executions("code_stream")}
        hour.run(f"airflow dags test {dag_id}", status)
        started = [each for each in hour.executions("code_stream") if each["id"] not in before]
        good = {each["state"] for each in started if each["pipeline"] != "Always fails"}
        # An event that a rerun has brought to success is not rerun.
        assert good == (set() if is_again and dag_id == "rerun_failed_events" else {"COMPLETED"})
        assert {each["state"] for each in started if each["pipeline"] == "Always fails"} <= {"FAILED"}


def test_airflow_lists_the_provider_with_its_types_and_links(hour: Hour) -> None:
    assert "airflow-provider-release-pipelines" in hour.run("airflow providers list -o plain")
    hooks = hour.run("airflow providers hooks -o plain")
    for system in ("code_stream", "service_stage", "cocktail", "quay"):
        assert re.search(rf"^{system} ", hooks, re.MULTILINE)
    assert "airflow_provider.links.QuayLink" in hour.run("airflow providers links -o plain")
