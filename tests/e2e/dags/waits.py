"""Waits that begin or end in the triggerer, without a worker."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.code_stream import CodeStreamRunPipelineOperator
from airflow_provider.sensors.code_stream import CodeStreamExecutionSensor
from airflow_provider.sensors.quay import QuayTagSensor

IN_TRIGGERER = {"start_from_trigger": True, "finish_in_triggerer": True, "poke_interval": 1}

with DAG("waits", schedule=None):
    build = CocktailRunBuildOperator(
        task_id="build", build_seq=12, tag_name="waits", poll_interval=1, deferrable=True, finish_in_triggerer=True
    )
    tag = "{{ ti.xcom_pull(task_ids='build')['outputs']['tag'] }}"
    build >> QuayTagSensor(task_id="tagged", repository="acme/shop", tag=tag, poke_interval=1, timeout=30)
    for name, pipeline in {"good": "Deploy shop", "bad": "Always fails"}.items():
        start = CodeStreamRunPipelineOperator(
            task_id=f"start_{name}", pipeline=pipeline, project="retail", wait_for_completion=False
        )
        execution_id = f"{{{{ ti.xcom_pull(task_ids='{start.task_id}')['id'] }}}}"
        start >> CodeStreamExecutionSensor(task_id=f"{name}_execution", execution_id=execution_id, **IN_TRIGGERER)
    for task_id, soft_fail in {"no_tag": False, "no_tag_but_no_matter": True}.items():
        QuayTagSensor(
            task_id=task_id, repository="acme/shop", tag="never", timeout=3, soft_fail=soft_fail, **IN_TRIGGERER
        )
