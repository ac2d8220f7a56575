"""The configuration section ``[release_pipelines]``: known to Airflow, documented, checked, and obeyed."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from airflow_provider import settings
from airflow_provider.core.durations import DURATIONS, Durations
from airflow_provider.exceptions import ConnectionConfigError
from airflow_provider.hooks.base import hook_class
from airflow_provider.settings import SETTINGS, Setting
from tests.support.connections import CONN_ID, GOOD, Build, build, define

__all__ = ["build", "define"]

NAMES = [setting.name for setting in SETTINGS]
PAGE = (Path(__file__).parents[1] / "docs" / "settings.md").read_text()
BAD = ["soon", "", "0", "-1", "nan", "inf", "1h"]


@pytest.fixture
def choose(mocker: MockerFixture) -> Callable[[str, str], None]:
    """Set an option for this process; afterwards the core has its durations again."""
    for name in Durations.__struct_fields__:
        mocker.patch.object(DURATIONS, name, getattr(DURATIONS, name))

    def set_variable(name: str, value: str) -> None:
        mocker.patch.dict(os.environ, {f"AIRFLOW__RELEASE_PIPELINES__{name.upper()}": value})

    return set_variable


def test_airflow_lists_every_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    from airflow.cli.cli_parser import get_parser
    from airflow.cli.commands.config_command import show_config

    command = ["config", "list", "--section", settings.SECTION, "--defaults", "--show-values"]
    show_config(get_parser().parse_args(command))
    listed = capsys.readouterr().out
    for setting in SETTINGS:
        assert re.search(rf"^# {setting.name} = {setting.default:g}$", listed, re.MULTILINE), listed
        assert setting.description.split(". ")[0] in " ".join(listed.replace("#", "").split())


@pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
def test_an_option_names_its_unit_and_is_on_the_page(setting: Setting) -> None:
    assert re.match(
        r"(most )?(seconds|requests per second|TCP connections|megabytes)\b", setting.description, re.IGNORECASE
    )
    assert f"| `{setting.name}` | {setting.default:g} | {setting.description} |" in PAGE


def test_the_page_lists_no_more_options_than_there_are() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == NAMES


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
def test_a_bad_value_is_named_before_a_worker_sends_anything(
    choose, build: Build, setting: Setting, value: str
) -> None:
    choose(setting.name, value)
    with pytest.raises(ConnectionConfigError, match=rf"\[release_pipelines\] {setting.name} must be .*, got '{value}'"):
        build("quay")


@pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
def test_a_wait_that_continues_takes_the_default_for_a_bad_value(
    choose, setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    choose(setting.name, "soon")
    with caplog.at_level(logging.ERROR):
        assert setting.value() == setting.default
    assert f"[release_pipelines] {setting.name} must be" in caplog.text


@pytest.mark.parametrize("value", ["65", "2.5"])
def test_connections_are_whole_and_not_without_bound(choose, build: Build, value: str) -> None:
    choose("max_connections", value)
    with pytest.raises(ConnectionConfigError, match="must be a whole number from 1 to 64, got"):
        build("quay")


def test_connections_that_say_nothing_take_the_chosen_number(choose, build: Build) -> None:
    choose("max_connections", "3")
    assert build("quay").transport.max_connections == 3
    assert build("quay", extra={"max_connections": 5}).transport.max_connections == 5


@pytest.mark.parametrize("name", ["error_budget", "settling", "cleared_limit", "busy_limit"])
def test_the_core_keeps_to_a_chosen_duration(choose, name: str) -> None:
    choose(name, "1234.5")
    hook_class("quay")
    assert getattr(DURATIONS, name) == 1234.5


def test_what_nobody_has_chosen_stays_as_it_is(choose) -> None:
    DURATIONS.settling = 0.25
    hook_class("quay")
    assert DURATIONS.settling == 0.25


def test_a_connection_is_read_again_after_the_chosen_time(choose) -> None:
    from airflow_provider.triggers.shared_client import SharedClient

    choose("connection_lifetime", "60")
    assert SharedClient("quay", CONN_ID).lifetime == 60.0


@pytest.mark.parametrize(("chosen", "interval"), [("30", 30.0), ("soon", 10.0)])
def test_operators_that_are_given_no_interval_take_the_chosen_one(chosen: str, interval: float) -> None:
    code = (
        "from airflow_provider.operators.quay import QuayRunBuildOperator as it\n"
        "print(it(task_id='t', repository='a/b', archive_url='https://a.example/b', tags=['c']).poll_interval)"
    )
    chosen_one = {"AIRFLOW__RELEASE_PIPELINES__POLL_INTERVAL": chosen}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **chosen_one}, capture_output=True, text=True, check=True
    )
    assert float(done.stdout.splitlines()[-1]) == interval


def test_a_connection_can_be_made_with_every_default(build: Build) -> None:
    assert set(GOOD) == {"code_stream", "service_stage", "cocktail", "quay"}
    assert build("quay").transport.max_connections == 8
