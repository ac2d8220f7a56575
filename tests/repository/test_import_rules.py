"""The import rules of pyproject.toml hold, and each of them detects when it is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEVELS = "The sandbox stands on its core, and no system knows another"
NOUNS = "In each system of the sandbox, nouns stand over life and state"
STATE = "The state of a system of the sandbox knows no routes"
CORE = "In the core of the sandbox, arrows point down"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_the_import_rules_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line", "rule"),
    [
        ("clients/transport.py", "import airflow_provider.hooks.base", "Arrows point down"),
        ("hooks/quay.py", "import airflow_provider.operators.quay", "Arrows point down"),
        ("exceptions.py", "import airflow_provider.execution", "Arrows point down"),
        ("new_floor.py", "", "Arrows point down"),
        ("clients/retries.py", "from airflow.sdk import BaseHook", "Clients and their words know no Airflow"),
        ("clients/quay/client.py", "import airflow_provider.clients.cocktail", "No system's client knows another's"),
        ("operators/quay.py", "import requests", "Only clients do HTTP"),
        ("triggers/poller.py", "import httpx", "Only clients do HTTP"),
        ("sandbox/app.py", "import airflow_provider.clients.urls", "The sandbox repeats no mistake of the clients"),
        ("hooks/quay.py", "import airflow_provider.sandbox.seed", "Nothing needs the sandbox"),
        ("sandbox/quay/tags.py", "import airflow_provider.sandbox.cocktail.state", LEVELS),
        ("sandbox/core/calls.py", "import airflow_provider.sandbox.quay.state", LEVELS),
        ("sandbox/quay/tags.py", "import airflow_provider.sandbox.quay.system", NOUNS),
        ("sandbox/quay/state.py", "import airflow_provider.sandbox.quay.tags", NOUNS),
        ("sandbox/quay/new_noun.py", "", NOUNS),
        ("sandbox/quay/state.py", "import airflow_provider.sandbox.core.routing", STATE),
        ("sandbox/core/calls.py", "import airflow_provider.sandbox.core.world", CORE),
    ],
)
def test_each_rule_notices_when_it_is_broken(tmp_path: Path, module: str, line: str, rule: str) -> None:
    shutil.copytree(ROOT / "airflow_provider", tmp_path / "airflow_provider", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "airflow_provider" / module).open("a") as source:
        source.write(f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert f"{rule} BROKEN" in done.stdout
