"""DAG files are parsed all the time: what they import must not import HTTP, clients, hooks or triggers."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import airflow_provider.operators
import airflow_provider.sensors

WHILE_RUNNING = ("approval_attempt", "gate_attempt", "gates", "notification")
"""What operators import once they run."""
MODULES = [
    each.name
    for package in (airflow_provider.operators, airflow_provider.sensors)
    for each in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    if not each.name.endswith(WHILE_RUNNING)
]
HEAVY = (
    "requests",
    "urllib3",
    "httpx",
    "aiohttp",
    "tenacity",
    "airflow_provider.clients",
    "airflow_provider.hooks",
    "airflow_provider.triggers",
)
IMPORT_EACH = """
import importlib, json, sys
found = {}
for module in json.loads(sys.argv[1]):
    before = set(sys.modules)
    importlib.import_module(module)
    found[module] = sorted(set(sys.modules) - before)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """What each module imported that none before it had, in a fresh process."""
    command = [sys.executable, "-c", IMPORT_EACH, json.dumps(["airflow.sdk.bases.sensor", *MODULES])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_dag_file_imports_nothing_heavy(imported: dict[str, list[str]], module: str) -> None:
    heavy = [name for name in imported[module] if any(name == each or name.startswith(f"{each}.") for each in HEAVY)]
    assert heavy == []
    assert module in {name for names in imported.values() for name in names}
