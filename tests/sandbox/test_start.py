"""``python -m airflow_provider.sandbox``: what it prints at its start is all that a first DAG needs."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
from pytest_mock import MockerFixture

from airflow_provider.hooks.base import hook_class
from airflow_provider.sandbox import seed
from airflow_provider.sandbox.page import execution_page, overview_page, repository_page
from tests.support.systems import Systems

COMMAND = [sys.executable, "-m", "airflow_provider.sandbox"]
SYSTEMS = ["code_stream", "service_stage", "cocktail", "quay"]
PATIENCE = 120


@pytest.fixture(scope="module")
def said() -> Iterator[str]:
    """What it prints before it serves, without the buffering of a terminal."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, "--port", "0"], stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "repository acme/shop" in line:
                break
        yield "".join(lines)
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        # Ctrl-C is how it ends: no traceback.
        assert process.stderr.read() == ""


def exported(said: str) -> dict[str, str]:
    lines = re.findall(r"^export .*$", said, re.MULTILINE)
    return dict(shlex.split(line)[1].split("=", 1) for line in lines)


@pytest.mark.parametrize("system", SYSTEMS)
def test_its_lines_make_connections_that_work(said: str, system: str, mocker: MockerFixture) -> None:
    for name, value in exported(said).items():
        mocker.patch.dict(os.environ, {name: value})
    worked, message = hook_class(system)(f"{system}_default").test_connection()
    assert worked, message


def test_its_lines_can_be_pasted_into_a_shell(said: str) -> None:
    pasted = "\n".join(re.findall(r"^export .*$", said, re.MULTILINE))
    printed = subprocess.run(
        ["sh", "-c", f"{pasted}\nprintenv AIRFLOW_CONN_COCKTAIL_DEFAULT"], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(printed)["password"] == seed.COCKTAIL_TOKEN


def test_it_names_what_can_be_started_and_waited_for(said: str) -> None:
    for line in (
        "pipeline Deploy shop  project retail",
        "release task shop-release",
        "build 12  shop",
        "repository acme/shop  tags stable, vulnerable",
    ):
        assert f"  {line}" in said
    assert re.search(r"^  docker event \S+  docker-shop: led to nothing$", said, re.MULTILINE)
    assert re.search(r"^  git event \S+  git-shop: led to an execution that is FAILED$", said, re.MULTILINE)


def test_it_names_the_page_for_people(said: str) -> None:
    (url,) = re.findall(r"pages and control: (\S+)", said)
    assert requests.get(url, timeout=PATIENCE).headers["content-type"].startswith("text/html")


def test_an_address_in_use_is_said_before_anything_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "--port", str(port)], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"address in use: 127.0.0.1:{port}. ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("bad", [["--port", "70000"], ["--port", "-1"], ["--speed", "0"], ["--host", "nobody.invalid"]])
def test_a_bad_argument_is_named(bad: list[str]) -> None:
    done = subprocess.run([*COMMAND, *bad], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode != 0
    assert bad[0] in done.stderr or bad[1] in done.stderr
    assert "Traceback" not in done.stderr


def test_help_explains_each_option() -> None:
    done = subprocess.run(
        [*COMMAND, "--help"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        env={**os.environ, "COLUMNS": "100"},
    )
    for words in ("TCP port to listen on", "address to listen on", "how many times faster", "default: 8900"):
        assert words in done.stdout


# --- its pages ---


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_link_of_an_execution_leads_to_its_page(systems: Systems, system: str) -> None:
    from tests.support.airflow_runs import run_task
    from tests.support.dag_tests import ARGUMENTS, OPERATORS

    for name, fields in seed.connections(systems.url).items():
        os.environ[f"AIRFLOW_CONN_{name.upper()}_DEFAULT"] = json.dumps(fields)
    run = run_task(lambda: OPERATORS[system](**ARGUMENTS))
    page = requests.get(run.result["url"], timeout=PATIENCE)
    assert page.status_code == 200
    assert run.result["id"] in page.text
    assert "<h2>States</h2>" in page.text


@pytest.mark.parametrize(
    "path",
    [
        "_sandbox",
        "_sandbox/",
        "quay/repository/acme/shop",
        "quay/repository/acme/shop?tab=tags",
        "quay/repository/acme/shop/manifest/sha256:1?tab=vulnerabilities",
    ],
)
def test_a_page_is_dark_where_the_browser_is_and_refreshes_by_itself(systems: Systems, path: str) -> None:
    page = requests.get(f"{systems.url}/{path}", timeout=PATIENCE)
    assert page.status_code == 200
    assert "prefers-color-scheme: dark" in page.text
    assert 'http-equiv="refresh"' in page.text
    assert "<svg " in page.text


def test_a_repository_shows_its_tags(systems: Systems) -> None:
    page = requests.get(f"{systems.url}/quay/repository/acme/shop?tab=tags", timeout=PATIENCE).text
    assert "<th>stable</th>" in page
    assert "<th>vulnerable</th>" in page


def test_the_first_page_leads_to_every_execution(systems: Systems) -> None:
    page = requests.get(f"{systems.url}/_sandbox", timeout=PATIENCE).text
    seeded = systems.executions("code_stream")
    assert seeded
    for each in seeded:
        assert f'href="/_sandbox/executions/code_stream/{each["id"]}"' in page


def test_what_a_caller_named_is_shown_as_text() -> None:
    mark = "<script>alert(1)</script>"
    fields = dict.fromkeys(("id", "kind", "state", "tag"), mark)
    execution = {"system": "quay", **fields, mark: [mark], "states": [{"at": 0, "state": mark}], "cancels": [1]}
    for shown in (
        execution_page(execution),
        overview_page([execution], ["quay"]),
        repository_page(mark, [(mark, mark, 0)], [execution]),
    ):
        assert "alert(1)" in shown
        assert "<script" not in shown
        assert '"<' not in shown
