"""A connection of another system sends nothing, and an extra that nobody reads is conn_type of."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.exceptions import ConnectionConfigError
from airflow_provider.hooks import connection_fields
from airflow_provider.hooks.base import hook_class
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.sensors.quay import QuayTagSensor
from tests.support.airflow_runs import define_connection, run_task
from tests.support.connections import CONN_ID, GOOD, Build
from tests.support.systems import LOGINS

SYSTEMS = sorted(GOOD)
SECRET = "s3cret-that-nobody-may-see"


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_type_that_names_another_system_is_refused_and_both_are_named(build: Build, system: str) -> None:
    others = [other for other in SYSTEMS if other != system]
    for conn_type in (*others, "aws", "HTTP Request", f"{system}s"):
        with pytest.raises(ConnectionConfigError) as caught:
            build(system, conn_type=conn_type)
        assert f"connection {CONN_ID!r}: conn_type must be {system}, got {conn_type!r}" in str(caught.value)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("conn_type", ["", "generic", "http", "https", "HTTP"])
def test_a_type_that_names_no_system_is_taken(build: Build, system: str, conn_type: str) -> None:
    with build(system, conn_type=conn_type) as client:
        assert client.transport.base_url.startswith("https://")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_type_of_a_system_may_be_written_as_in_a_uri(build: Build, system: str) -> None:
    for conn_type in (system, system.upper(), system.replace("_", "-")):
        build(system, conn_type=conn_type).close()


def test_a_plain_url_is_a_connection_that_goes_over_https(define: Callable[[str], None]) -> None:
    define("http://:token@quay.example.com:8443")
    with hook_class("quay")(CONN_ID).get_conn() as client:
        assert client.transport.base_url == "https://quay.example.com:8443"


def test_the_token_of_another_system_is_sent_nowhere(systems: Any) -> None:
    ended = run_task(lambda: CocktailRunBuildOperator(task_id="task", build_seq=12, cocktail_conn_id="quay_default"))
    assert type(ended.error) is ConnectionConfigError
    assert "connection 'quay_default': conn_type must be cocktail, got 'quay'" in str(ended.error)
    assert [systems.requests(system) for system in LOGINS] == [[]] * len(LOGINS)


# --- extras


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture, mocker: MockerFixture) -> pytest.LogCaptureFixture:
    mocker.patch.object(connection_fields, "warned_of", set())
    caplog.set_level(logging.WARNING, connection_fields.__name__)
    return caplog


def logged(warnings: pytest.LogCaptureFixture) -> list[str]:
    return [said for said in warnings.messages if "extra" in said]


@pytest.mark.parametrize(
    ("system", "name", "hint"),
    [
        ("code_stream", "ui_ulr", "did you mean 'ui_url'?"),
        ("code_stream", "Refresh-Token", "did you mean 'refresh_token'?"),
        ("service_stage", "projectid", "did you mean 'project_id'?"),
        ("cocktail", "header", "did you mean 'headers'?"),
        ("quay", "verify_ssl", "did you mean 'verify'?"),
        ("quay", "colour", "known are api_prefix, max_connections, request_timeout, "),
    ],
)
def test_an_unknown_extra_is_named_with_the_nearest_known_one(
    build: Build, warnings: pytest.LogCaptureFixture, system: str, name: str, hint: str
) -> None:
    build(system, extra={name: SECRET}).close()
    (said,) = logged(warnings)
    assert f"Connection {CONN_ID!r} has an unknown extra {name!r}, which does nothing; {hint}" in said
    assert SECRET not in said


def test_it_is_reported_once_for_a_connection_in_a_process(build: Build, warnings: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        build("quay", extra={"ui_ulr": "x"}).close()
    assert len(logged(warnings)) == 1
    build("quay", extra={"ui_ulr": "x", "other" * 100: "x"}).close()
    assert len(logged(warnings)) == 2
    assert len(logged(warnings)[1]) < 400


@pytest.mark.parametrize("system", SYSTEMS)
def test_nothing_is_reported_of_extras_that_are_known(
    build: Build, warnings: pytest.LogCaptureFixture, system: str
) -> None:
    for name in set(hook_class(system).extras_class.model_fields) - set(GOOD[system].get("extra", {})):
        build(system, extra={name: ""}).close()
    assert logged(warnings) == []


def test_the_log_of_the_task_says_so(systems: Any, warnings: pytest.LogCaptureFixture) -> None:
    define_connection("quay_odd", conn_type="quay", host=f"{systems.url}/quay", extra={"ui_ulr": "x"}, **LOGINS["quay"])
    sensor = {"repository": "acme/shop", "tag": "stable", "quay_conn_id": "quay_odd"}
    assert run_task(lambda: QuayTagSensor(task_id="task", timeout=3, poke_interval=0.1, **sensor)).state == "success"
    assert any("Connection 'quay_odd' has an unknown extra 'ui_ulr'" in said for said in logged(warnings))
