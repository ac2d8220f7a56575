"""``airflow_provider.sandbox.testing`` as a user has it: the files of its documentation, outside the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing_your_dags.md").read_text()
PATIENCE = 400

OWN_TESTS = """
import os

import pytest
import requests


@pytest.fixture
def release_sandbox_speed():
    return 7


def test_the_first_leaves_traces(release_sandbox):
    assert release_sandbox.health()["speed"] == 7
    release_sandbox.fault("quay", "status", status=503, times=100)
    release_sandbox.switch("cocktail", wrapped=True)
    requests.get(f"{release_sandbox.url}/quay/", timeout=30)
    assert [each["status"] for each in release_sandbox.requests("quay")] == [503]
    assert os.environ["AIRFLOW_CONN_QUAY_DEFAULT"] == release_sandbox.environment["AIRFLOW_CONN_QUAY_DEFAULT"]
    assert "127.0.0.1" in os.environ["no_proxy"]


def test_the_next_finds_none(release_sandbox):
    assert release_sandbox.requests() == []
    assert release_sandbox.switches("cocktail")["wrapped"] is False
    assert requests.get(f"{release_sandbox.url}/quay/", timeout=30).status_code == 200


def test_one_without_it_has_no_connections():
    assert "AIRFLOW_CONN_QUAY_DEFAULT" not in os.environ
    assert "no_proxy" not in os.environ


def test_the_server_is_shared(release_sandbox, release_sandbox_server):
    assert release_sandbox.url == release_sandbox_server.url


def test_a_wrong_request_says_what_is_wrong(release_sandbox):
    from airflow_provider.sandbox.client import SandboxError

    with pytest.raises(SandboxError, match="cocktail has no switch 'colour'"):
        release_sandbox.switch("cocktail", colour="green")
"""

WITHOUT = """
import sys


def test_nothing_of_it_is_imported():
    assert not [name for name in sys.modules if name.startswith(("airflow", "uvicorn", "fastapi"))]
"""

LIGHT = """
import sys

pytest_plugins = ["airflow_provider.sandbox.testing"]


def test_naming_it_imports_neither_airflow_nor_a_web_server():
    assert "airflow_provider.sandbox.testing" in sys.modules
    assert not [name for name in sys.modules if name.split(".")[0] in ("airflow", "uvicorn", "fastapi", "starlette")]
"""


def play(folder: Path, *arguments: str) -> str:
    """Runs pytest in a folder that knows only the package of this checkout; returns its output."""
    named = ("AIRFLOW", "PYTEST", "no_proxy", "NO_PROXY", "COV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(named)}
    scripts = str(Path(sys.executable).parent)
    environment |= {"PYTHONPATH": str(ROOT), "PATH": os.pathsep.join([scripts, environment["PATH"]])}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_of_the_documentation_works_as_it_stands(tmp_path: Path) -> None:
    """The DAG, the conftest and the tests of docs/testing_your_dags.md."""
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        path = tmp_path / block.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(block)
    assert sorted(each.name for each in tmp_path.rglob("*.py")) == ["conftest.py", "shop.py", "test_shop.py"]
    assert "3 passed" in play(tmp_path)


def test_each_test_finds_the_sandbox_empty_and_leaves_the_environment_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["airflow_provider.sandbox.testing"]\n')
    (tmp_path / "test_own.py").write_text(OWN_TESTS)
    assert "5 passed" in play(tmp_path, "-p", "no:randomly")


@pytest.mark.parametrize("text", [WITHOUT, LIGHT])
def test_it_costs_nothing_where_it_is_not_used(tmp_path: Path, text: str) -> None:
    (tmp_path / "test_light.py").write_text(text)
    assert "1 passed" in play(tmp_path)
