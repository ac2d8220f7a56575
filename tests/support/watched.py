"""Executions for sensors, started without Airflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from airflow_provider.hooks.cocktail import CocktailHook
from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.hooks.quay import QuayHook
from airflow_provider.hooks.service_stage import ServiceStageHook
from airflow_provider.sensors.cocktail import CocktailBuildSensor
from airflow_provider.sensors.code_stream import CodeStreamExecutionSensor
from airflow_provider.sensors.quay import QuayBuildSensor
from airflow_provider.sensors.service_stage import ServiceStageReleaseSensor

ARCHIVE = "https://sources.example.com/shop-1.4.2.tar.gz"


class Watched(NamedTuple):
    """One sensor of an execution.

    :param start: starts what it watches, not through an operator; returns its id.
    :param build: makes the sensor.
    """

    system: str
    failed: str
    start: Callable[[], str]
    build: Callable[..., Any]


def start_pipeline(name: str = "Deploy shop") -> str:
    with CodeStreamHook().get_conn() as client:
        pipeline = client.pipelines.find(name, "retail")
        return client.pipelines.run(pipeline["id"], inputs={"tag": "1"}).id


def start_release() -> str:
    with ServiceStageHook().get_conn() as client:
        return client.releases.act(str(client.release_tasks.find("shop-release")["id"]), "start").id


def start_build() -> str:
    with CocktailHook().get_conn() as client:
        return client.builds.run(12, tag_name="1.4.2").id


def start_image_build() -> str:
    with QuayHook().get_conn() as client:
        return client.builds.start("acme/shop", archive_url=ARCHIVE, tags=["1.4.2"]).id


WATCHED = {
    "code_stream": Watched(
        "code_stream", "FAILED", start_pipeline, lambda id_, **kw: CodeStreamExecutionSensor(execution_id=id_, **kw)
    ),
    "service_stage": Watched(
        "service_stage",
        "3",
        start_release,
        lambda id_, **kw: ServiceStageReleaseSensor(pipeline="shop-release", execution_id=id_, **kw),
    ),
    "service_stage last": Watched(
        "service_stage", "3", start_release, lambda id_, **kw: ServiceStageReleaseSensor(pipeline="shop-release", **kw)
    ),
    "cocktail": Watched(
        "cocktail", "ERROR", start_build, lambda id_, **kw: CocktailBuildSensor(build_run_seq=id_, **kw)
    ),
    "quay": Watched(
        "quay",
        "error",
        start_image_build,
        lambda id_, **kw: QuayBuildSensor(repository="acme/shop", build_id=id_, **kw),
    ),
}
