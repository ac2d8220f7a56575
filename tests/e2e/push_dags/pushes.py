"""Builds whose ends Cocktail tells by itself, and a task after each."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, task

from airflow_provider.operators.cocktail import CocktailRunBuildOperator

BUILT = Asset("built-image", uri="x-image://built")


@task
def follow() -> None:
    pass


def build_and_follow(*, finish_in_triggerer: bool) -> None:
    build = CocktailRunBuildOperator(
        task_id="build",
        build_seq="{{ dag_run.conf['build'] }}",
        tag_name="{{ dag_run.conf['tag'] }}",
        callback=True,
        deferrable=True,
        # Without the callback there would be a poll each second.
        poll_interval=1,
        finish_in_triggerer=finish_in_triggerer,
    )
    build >> follow()


with DAG("ends_by_push", schedule=None, max_active_runs=16):
    build_and_follow(finish_in_triggerer=True)

with DAG("goes_on_after_push", schedule=None, max_active_runs=16):
    build_and_follow(finish_in_triggerer=False)

with DAG("on_build", schedule=[BUILT]):
    # Nobody unpauses it: a webhook needs an asset that a DAG names.
    EmptyOperator(task_id="built")
