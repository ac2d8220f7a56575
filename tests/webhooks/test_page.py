"""docs/webhooks.md: the webhooks that it declares can be declared, and its DAGs are DAGs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
from pytest_mock import MockerFixture

from airflow_provider.execution import ExecutionState
from airflow_provider.settings import TEXTS
from airflow_provider.webhooks import code_stream, endpoints
from airflow_provider.webhooks.endpoints import declared, endpoint_for, url_of
from tests.support.dag_files import dags_of
from tests.webhooks.conftest import SECRET

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_what_the_page_declares_is_taken(mocker: MockerFixture) -> None:
    exported = re.findall(r"^export (\w+)='?(.*?)'?$(?=\n(?:export|\Z))", block("bash"), re.MULTILINE | re.DOTALL)
    assert len(exported) == 2
    for name, value in exported:
        mocker.patch.dict(os.environ, {name: value.replace("<secret>", SECRET)})
    assert set(declared().endpoints) == {"shop-pushes", "shop-builds"}
    url = url_of(endpoint_for("quay", conn_id="quay_default", asset="shop-image"))
    assert url == f"https://airflow.example.com/release-pipelines/webhooks/shop-pushes/{SECRET}"


def test_the_page_names_every_field_and_option() -> None:
    fields = msgspec.structs.fields(endpoints.Declared)
    assert re.findall(r"^\| `(\w+)` \| ", PAGE, re.MULTILINE) == [field.name for field in fields]
    (states,) = re.findall(r"^\| `states` .*?: (`.*`); default", PAGE, re.MULTILINE)
    assert states.replace("`", "").split() == [state for state in ExecutionState if state != "unknown"]
    for option in TEXTS:
        assert f"AIRFLOW__RELEASE_PIPELINES__{option.name.upper()}" in PAGE
        assert f"`{option.name}`" in (Path(__file__).parents[2] / "docs" / "settings.md").read_text()


def test_its_dags_are_dags(mocker: MockerFixture) -> None:
    assert [dag.dag_id for dag in dags_of(block("python"), "webhooks.md", mocker)] == [
        "shop_webhooks",
        "after_build",
        "release",
    ]


def test_the_payload_that_code_stream_shall_send_is_understood() -> None:
    message = code_stream.read(block("json").replace("${executionId}", "b80254a7").encode())
    assert (message.execution_id, message.event) == ("b80254a7", "SUCCESS")
