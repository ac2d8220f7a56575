"""The compose file, as far as it can be checked without an engine: it is valid, and it runs what `make demo` runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import yaml
from airflow.cli import cli_parser
from airflow.configuration import conf
from cryptography.fernet import Fernet
from pytest_mock import MockerFixture

from airflow_provider.hooks.base import hook_class
from demo.__main__ import AIRFLOW_PORT, DAG_ID, SANDBOX_PORT, SPEED
from demo.airflow_server import AirflowServer
from demo.sandbox_server import SandboxServer
from tests.support.debian import require
from tests.support.systems import Systems

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
HOME = "/opt/airflow"
ONE_SHOT = {"init"}
AIRFLOW_COMPONENTS = {"api-server", "scheduler", "dag-processor", "triggerer", "worker"}
SANDBOX_URL = f"http://sandbox.localhost:{SANDBOX_PORT}"
ON_PURPOSE = {
    "AIRFLOW__API__HOST": "a container is reached from outside it",
    "AIRFLOW__API__PORT": "the default",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "another container",
    "AIRFLOW__CORE__EXECUTOR": "the point of it",
    "AIRFLOW__CORE__DAGS_FOLDER": "the image's own",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "no login",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": "no login",
}
"""Settings of the demo that differ here, and why."""


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """What compose itself makes of the file."""
    command = [require("docker-compose", "docker-compose"), "-f", str(DOCKER / "compose.yaml"), "config"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr.lower()
    resolved: dict[str, dict[str, Any]] = yaml.safe_load(done.stdout)["services"]
    return resolved


@pytest.fixture(scope="module")
def environment(services: dict[str, dict[str, Any]]) -> dict[str, str]:
    """What all components of Airflow share."""
    return {str(name): str(value) for name, value in services["scheduler"]["environment"].items()}


@pytest.fixture
def demo(tmp_path: Path) -> tuple[AirflowServer, SandboxServer]:
    """What `make demo` would start."""
    return (
        AirflowServer(tmp_path / "airflow", dags=ROOT / "dags", port=AIRFLOW_PORT),
        SandboxServer(tmp_path / "sandbox", port=SANDBOX_PORT, speed=SPEED),
    )


def command_of(service: dict[str, Any]) -> list[str]:
    """Its command without the image's entry point, which puts ``airflow`` in front of what is no other program."""
    return [str(word) for word in (*service.get("entrypoint", []), *service.get("command", []))]


def is_setting(name: str) -> bool:
    """Whether Airflow knows a setting of this environment variable; it says nothing about one that it does not know."""
    _, section, option = name.lower().split("__")
    plain = option.removesuffix("_cmd")
    known = conf.configuration_description.get(section, {"options": {}})["options"]
    return plain in known and (plain == option or (section, plain) in conf.sensitive_config_values)


def test_every_component_of_a_production_airflow_is_there(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) == AIRFLOW_COMPONENTS | ONE_SHOT | {"postgres", "redis", "sandbox"}
    shared = services["scheduler"]["environment"]
    for name in AIRFLOW_COMPONENTS | ONE_SHOT:
        assert shared.items() <= services[name]["environment"].items(), name
    for name in AIRFLOW_COMPONENTS:
        assert services[name]["depends_on"]["init"] == {"condition": "service_completed_successfully"}


def test_the_image_holds_the_airflow_that_the_package_is_tested_with(services: dict[str, dict[str, Any]]) -> None:
    tested = re.search(r"^apache-airflow==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert tested
    dockerfile = (DOCKER / "Dockerfile").read_text()
    assert f"ARG AIRFLOW_VERSION={tested[1]}\nFROM apache/airflow:${{AIRFLOW_VERSION}}" in dockerfile
    for name in AIRFLOW_COMPONENTS | ONE_SHOT | {"sandbox"}:
        assert services[name]["image"].endswith(f":{tested[1]}")


def test_the_image_gets_what_the_package_is_built_from() -> None:
    built_from = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {
        "pyproject.toml",
        *(part["path"] for part in built_from["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["fragments"]),
        *built_from["project"]["license-files"],
        *built_from["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
    }
    copied = re.findall(r"^COPY --chown=airflow:0 (.+) \S+$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    let_in = re.findall(r"^!(.+)$", (DOCKER / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert set(" ".join(copied).split()) == set(let_in) == needed
    assert all((ROOT / name).exists() for name in needed)


def test_nothing_is_reachable_from_another_machine(services: dict[str, dict[str, Any]]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {
        "api-server": [f"127.0.0.1:{AIRFLOW_PORT}:8080/tcp"],
        "sandbox": [f"127.0.0.1:{SANDBOX_PORT}:{SANDBOX_PORT}/tcp"],
    }


def test_every_service_says_whether_it_is_healthy(services: dict[str, dict[str, Any]]) -> None:
    assert {name for name, service in services.items() if "healthcheck" not in service} == ONE_SHOT


def test_airflow_knows_the_commands_and_the_settings(
    services: dict[str, dict[str, Any]], environment: dict[str, str]
) -> None:
    parser = cli_parser.get_parser()
    commands = [command_of(services[name]) for name in AIRFLOW_COMPONENTS - {"worker"}]
    checks = [service["healthcheck"]["test"] for service in services.values() if "healthcheck" in service]
    commands += [check[2:] for check in checks if check[:2] == ["CMD", "airflow"]]
    readme = (DOCKER / "README.md").read_text()
    commands += [words.split() for words in re.findall(r"\bairflow (dags \S+ \S+)", readme)]
    assert len(commands) == 4 + 2 + 2
    for command in commands:
        parser.parse_args(command)
    for name in environment:
        # The section of Celery's provider is known in the image only.
        if not name.startswith("AIRFLOW__CELERY__"):
            assert is_setting(name), name


def test_the_settings_are_those_of_make_demo(
    environment: dict[str, str], demo: tuple[AirflowServer, SandboxServer]
) -> None:
    airflow, _ = demo
    of_demo = {
        name: value
        for name, value in airflow.environment(ROOT / "dags").items()
        if name.startswith("AIRFLOW__") and is_setting(name) and name not in ON_PURPOSE
    }
    assert len(of_demo) >= 5
    assert {name: environment.get(name) for name in of_demo} == of_demo


def test_the_sandbox_runs_as_in_make_demo(
    services: dict[str, dict[str, Any]], demo: tuple[AirflowServer, SandboxServer]
) -> None:
    _, sandbox = demo
    inside_a_container = ["--host", "0.0.0.0"]
    words = command_of(services["sandbox"])
    here = words.index("--host")
    assert words[here : here + 2] == inside_a_container
    assert words[1:here] + words[here + 2 :] == sandbox.process.command[1:]
    assert services["sandbox"]["networks"]["default"]["aliases"] == ["sandbox.localhost"]


def test_the_connections_are_those_of_make_demo(demo: tuple[AirflowServer, SandboxServer]) -> None:
    _, sandbox = demo
    expected = {}
    for connection in sandbox.connections():
        fields = {name: value for name, value in connection.items() if name != "connection_id"}
        if "extra" in fields:
            fields["extra"] = json.loads(fields["extra"])
        expected[connection["connection_id"]] = {**fields, "port": int(SANDBOX_PORT)}
    written = json.dumps(expected).replace(sandbox.url, SANDBOX_URL)
    assert json.loads((DOCKER / "connections.json").read_text()) == json.loads(written)


def test_the_connections_work(systems: Systems, mocker: MockerFixture) -> None:
    text = (DOCKER / "connections.json").read_text().replace(SANDBOX_URL, systems.url)
    for conn_id, fields in json.loads(text).items():
        fields["port"] = urlsplit(systems.url).port
        mocker.patch.dict(os.environ, {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(fields)})
        worked, message = hook_class(fields["conn_type"])(conn_id).test_connection()
        assert worked, message


def test_the_sandbox_answers_its_health_check(services: dict[str, dict[str, Any]], systems: Systems) -> None:
    url = services["sandbox"]["healthcheck"]["test"][-1]
    answer = requests.get(url.replace(f"http://127.0.0.1:{SANDBOX_PORT}", systems.url), timeout=10)
    assert answer.json()["status"] == "ok"


def test_no_secret_is_written_down_but_those_of_the_sandbox(services: dict[str, dict[str, Any]]) -> None:
    named = re.compile(r"SECRET|PASSWORD|TOKEN|_KEY\b|FERNET", re.IGNORECASE)
    for service in services.values():
        for name, value in (service.get("environment") or {}).items():
            if named.search(name):
                assert name.endswith("_CMD")
                assert str(value).startswith(f"cat {HOME}/keys/")
            assert not re.search(r"://[^/@]*:[^/@]+@", str(value)), name


def test_the_readme_runs_the_train_of_make_demo() -> None:
    lines = re.findall(
        r"^ {4}(docker compose -f docker/compose.yaml .+)$", (DOCKER / "README.md").read_text(), re.MULTILINE
    )
    assert len(lines) == 3
    assert f"dags trigger {DAG_ID}" in lines[1]
    assert all((ROOT / shlex.split(line)[3]).exists() for line in lines)


def test_init_makes_the_missing_keys_the_database_and_the_connections(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Runs the real script with the settings of the containers, except for an SQLite database and its own home."""
    home = tmp_path / "airflow"
    keys = home / "keys"
    keys.mkdir(parents=True)
    (keys / "jwt").write_text("made by an earlier run")
    (home / "connections.json").write_bytes((DOCKER / "connections.json").read_bytes())
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    env |= {name: value.replace(HOME, str(home)) for name, value in environment.items() if "DATABASE" not in name}
    env |= {"AIRFLOW_HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{env['PATH']}"}
    command = ["bash", str(DOCKER / "init.sh")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr

    assert (keys / "jwt").read_text() == "made by an earlier run"
    assert len((keys / "api").read_text().strip()) >= 64
    assert all(path.stat().st_mode & 0o077 == 0 for path in (keys / "api", keys / "fernet"))
    fernet = Fernet((keys / "fernet").read_bytes().strip())
    with sqlite3.connect(home / "airflow.db") as database:
        rows = database.execute("select conn_id, host, password from connection").fetchall()
    assert {conn_id: (host, fernet.decrypt(password.encode()).decode()) for conn_id, host, password in rows} == {
        conn_id: (fields["host"], fields["password"])
        for conn_id, fields in json.loads((DOCKER / "connections.json").read_text()).items()
    }
