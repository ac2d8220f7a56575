"""Who is measured: their triggers and connections against the stub, ours as an author's operator would build them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.stub.systems import Cocktail, CodeStream, Quay, ServiceStage

PROJECT = "77b6a44cba5143ab91d13ab9a8ff44fd"

Trigger = tuple[str, dict[str, Any]]
"""Class path and arguments, as ``BaseTrigger.serialize`` gives them."""


@dataclass(frozen=True)
class Endpoint:
    """Where the stub is reached. :param bundle: path of the authorities to trust."""

    port: int
    bundle: str

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Contender:
    """:param system: the vendor in the stub.
    :param lists: over how many builds or repositories the waits of a connection are spread; 0: each has its own.
    :param connect: fields of the Airflow connection with this number.
    :param wait: the trigger for the execution of this index, over this connection, at this interval in seconds.
    :param reads_logs: the log of each execution is read once when its wait begins, under the budget.
    """

    name: str
    label: str
    system: str
    is_ours: bool
    connect: Callable[[Endpoint, int], dict[str, Any]]
    wait: Callable[[int, str, float, int], Trigger]
    lists: int = 1
    operator_module: str = ""
    distribution: str = ""
    reads_logs: bool = False

    def conn_id(self, connection: int) -> str:
        return f"bench_{self.system}_{connection}"

    def trigger(self, index: int, connection: int, interval: float, count: int) -> Trigger:
        """:param count: how many waits the connection has."""
        return self.wait(index, self.conn_id(connection), interval, self.lists or count)


def _dbt_connection(endpoint: Endpoint, connection: int) -> dict[str, Any]:
    return {"conn_type": "dbt_cloud", "host": f"127.0.0.1:{endpoint.port}", "login": "1", "password": "bench-token"}


def _dbt_wait(index: int, conn_id: str, interval: float, lists: int) -> Trigger:
    return "airflow.providers.dbt.cloud.triggers.dbt.DbtCloudRunJobTrigger", {
        "conn_id": conn_id,
        "run_id": index + 1,
        "end_time": time.time() + 86400,
        "poll_interval": interval,
        "account_id": 1,
    }


def _databricks_connection(endpoint: Endpoint, connection: int) -> dict[str, Any]:
    return {"conn_type": "databricks", "host": "127.0.0.1", "port": endpoint.port, "password": "bench-token"}


def _databricks_wait(index: int, conn_id: str, interval: float, lists: int) -> Trigger:
    return "airflow.providers.databricks.triggers.databricks.DatabricksExecutionTrigger", {
        "run_id": index + 1,
        "databricks_conn_id": conn_id,
        "polling_period_seconds": interval,
        "run_page_url": f"https://adb.example.com/#job/44/run/{index + 1}",
    }


def _http_connection(endpoint: Endpoint, connection: int) -> dict[str, Any]:
    return {"conn_type": "http", "host": "https://127.0.0.1", "port": endpoint.port}


def _http_wait(index: int, conn_id: str, interval: float, lists: int) -> Trigger:
    return "airflow.providers.http.triggers.http.HttpSensorTrigger", {
        "endpoint": f"http/{index}",
        "http_conn_id": conn_id,
        "poke_interval": interval,
    }


_LOGINS: Mapping[str, dict[str, Any]] = {
    "service_stage": {"login": "BENCHACCESSKEY", "password": "bench-secret-key", "extra": {"project_id": PROJECT}},
    "cocktail": {"password": "bench-token"},
    "code_stream": {"login": "bench", "password": "bench-password"},
    "quay": {"password": "bench-token"},
}


def _our_connection(system: str) -> Callable[[Endpoint, int], dict[str, Any]]:
    def connect(endpoint: Endpoint, connection: int) -> dict[str, Any]:
        fields = _LOGINS[system]
        extra = {**fields.get("extra", {}), "verify": endpoint.bundle}
        return {"conn_type": system, "host": f"{endpoint.url}/{system}/{connection}", **fields, "extra": extra}

    return connect


def _service_stage_ref(index: int, lists: int) -> dict[str, str]:
    now = time.time()
    return {
        "kind": "release",
        "id": ServiceStage.record_id(index),
        "pipeline_id": ServiceStage.pipeline_id(index),
        "action": "start",
        "status_before": "2",
        "triggered_before": str(round((now - 86400) * 1000)),
        "since": f"{now:.3f}",
    }


def _cocktail_ref(index: int, lists: int) -> dict[str, str]:
    build_seq = str(1 + index % lists)
    return {"kind": "build_run", "id": str(Cocktail.FIRST_RUN + index), "build_seq": build_seq, "tag": f"tag-{index}"}


def _code_stream_ref(index: int, lists: int) -> dict[str, str]:
    return {"kind": "execution", "id": CodeStream.execution_id(index)}


def _quay_ref(index: int, lists: int) -> dict[str, str]:
    return {"kind": "build", "id": Quay.build_id(index), "repository": f"bench/{index % lists}"}


def _our_wait(system: str, ref: Callable[[int, int], dict[str, str]]) -> Callable[[int, str, float, int], Trigger]:
    def wait(index: int, conn_id: str, interval: float, lists: int) -> Trigger:
        return "airflow_provider.triggers.execution.ExecutionTrigger", {
            "system": system,
            "conn_id": conn_id,
            "ref": {"system": system, **ref(index, lists)},
            "poll_interval": interval,
        }

    return wait


def _ours(
    system: str, label: str, ref: Callable[[int, int], dict[str, str]], *, lists: int = 1, suffix: str = ""
) -> Contender:
    return Contender(
        name=system + suffix,
        label=label,
        system=system,
        is_ours=True,
        connect=_our_connection(system),
        wait=_our_wait(system, ref),
        lists=lists,
        operator_module=f"airflow_provider.operators.{system}",
        distribution="airflow-provider-release-pipelines",
        reads_logs=system in ("cocktail", "quay"),
    )


PEERS = (
    Contender(
        "dbt_cloud",
        "dbt Cloud",
        "dbt_cloud",
        False,
        _dbt_connection,
        _dbt_wait,
        operator_module="airflow.providers.dbt.cloud.operators.dbt",
        distribution="apache-airflow-providers-dbt-cloud",
    ),
    Contender(
        "databricks",
        "Databricks",
        "databricks",
        False,
        _databricks_connection,
        _databricks_wait,
        operator_module="airflow.providers.databricks.operators.databricks",
        distribution="apache-airflow-providers-databricks",
    ),
    Contender(
        "http",
        "HTTP sensor",
        "http",
        False,
        _http_connection,
        _http_wait,
        operator_module="airflow.providers.http.operators.http",
        distribution="apache-airflow-providers-http",
    ),
)

OURS = (
    _ours("service_stage", "ServiceStage", _service_stage_ref),
    _ours("cocktail", "Cocktail, 10 builds", _cocktail_ref, lists=10),
    _ours("code_stream", "Code Stream", _code_stream_ref),
    _ours("quay", "Quay, 10 repositories", _quay_ref, lists=10),
)

NO_LIST = _ours("cocktail", "Cocktail, a build each", _cocktail_ref, lists=0, suffix="_single")
"""The case in which no list helps: a build has one run at a time, so waits for different builds share no request."""

BY_NAME = {each.name: each for each in (*PEERS, *OURS, NO_LIST)}
HEADLINE = "service_stage"


def connection_json(contender: Contender, endpoint: Endpoint, connection: int) -> dict[str, Any]:
    """The fields with the extras as the text that Airflow stores."""
    fields = contender.connect(endpoint, connection)
    return {**fields, "extra": json.dumps(fields["extra"])} if "extra" in fields else fields
