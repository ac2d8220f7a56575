"""docs/connections.md: each way to define a connection that it shows makes a client of the right system."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from airflow.sdk import Connection

from airflow_provider.hooks.base import hook_class

PAGE = (Path(__file__).parents[2] / "docs" / "connections.md").read_text()
URLS = {
    "code_stream": "https://vra.example.com",
    "service_stage": "https://servicestage.ap-southeast-3.myhuaweicloud.com",
    "cocktail": "https://cocktail.example.com",
    "quay": "https://quay.example.com",
}
EXPORTED = re.findall(r"^export AIRFLOW_CONN_(\w+)='(.*)'$", PAGE, re.MULTILINE)
STORED = re.findall(r"^(?:aws|vault) .*$", PAGE, re.MULTILINE)
ADDED = re.findall(r"^airflow connections add .*$", PAGE, re.MULTILINE)


def made_of(text: str) -> Connection:
    return Connection.from_json(text, conn_id="it") if text.startswith("{") else Connection.from_uri(text, conn_id="it")


@pytest.mark.parametrize(("name", "text"), EXPORTED)
def test_a_connection_of_the_environment_leads_to_its_system(name: str, text: str) -> None:
    system = name.removesuffix("_DEFAULT").lower()
    connection = made_of(text)
    assert connection.conn_type == system
    with hook_class(system).client_from(connection) as client:
        assert client.transport.base_url == URLS[system]


def test_both_forms_of_the_environment_are_shown_for_each_system() -> None:
    assert len(EXPORTED) == 8
    assert {name.removesuffix("_DEFAULT").lower() for name, _ in EXPORTED} == set(URLS)


@pytest.mark.parametrize("line", STORED)
def test_what_a_secrets_backend_holds_leads_to_its_system(line: str) -> None:
    command, *words = shlex.split(line)
    pairs = [each.split("=", 1) for each in words if re.match(r"\w+=", each)]
    connection = made_of(words[-1]) if command == "aws" else Connection(conn_id="it", **dict(pairs))
    with hook_class("quay").client_from(connection) as client:
        assert client.transport.base_url == URLS["quay"]


def test_two_secrets_backends_are_shown() -> None:
    assert [line.split()[0] for line in STORED] == ["aws", "vault"]


@pytest.mark.parametrize("line", ADDED)
def test_a_connection_of_the_command_line_leads_to_its_system(line: str) -> None:
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(shlex.split(line)[1:])
    connection = Connection(
        conn_id=arguments.conn_id,
        conn_type=arguments.conn_type,
        host=arguments.conn_host,
        login=arguments.conn_login,
        password=arguments.conn_password,
        extra=arguments.conn_extra,
    )
    with hook_class(arguments.conn_type).client_from(connection) as client:
        assert client.transport.base_url == URLS[arguments.conn_type]


def test_the_command_line_is_shown_for_each_system() -> None:
    assert len(ADDED) == 4
