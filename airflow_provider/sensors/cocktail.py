"""Sensors for Cocktail Cloud builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider.operators.arguments import Number
from airflow_provider.sensors.base import KnownSensor

if TYPE_CHECKING:
    from typing import Unpack

    from airflow_provider.clients.cocktail import CocktailClient
    from airflow_provider.operators.shared_arguments import KnownSensorArguments


class CocktailBuildSensor(KnownSensor["CocktailClient"]):
    """Wait until a build run succeeds; fail if it does not.

    :param build_run_seq: number of the run, not of the build. (templated)
    :param cocktail_conn_id: the Airflow connection. (templated)

    "Build status" in Cocktail Cloud's Open API reference: https://docs.cocktailcloud.io/
    """

    system = "cocktail"
    purpose = "wait for build run {build_run_seq}"
    template_fields = ("build_run_seq", "ref", "cocktail_conn_id")

    def __init__(
        self,
        *,
        build_run_seq: Number,
        cocktail_conn_id: str = "cocktail_default",
        **kwargs: Unpack[KnownSensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.build_run_seq = build_run_seq
        self.cocktail_conn_id = cocktail_conn_id
        self.watch(kind="build_run", id=build_run_seq, build_seq="", tag="")
