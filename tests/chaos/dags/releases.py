"""The releases of the suite: waves of mapped tasks, in each system and mode; each task owns what it starts."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.code_stream import CodeStreamRunPipelineOperator
from airflow_provider.operators.quay import QuayRunBuildOperator
from airflow_provider.operators.service_stage import ServiceStageReleaseOperator

OPERATORS = {
    "code_stream": CodeStreamRunPipelineOperator,
    "service_stage": ServiceStageReleaseOperator,
    "cocktail": CocktailRunBuildOperator,
    "quay": QuayRunBuildOperator,
}

for dag_id, tasks in json.loads(Path(os.environ["CHAOS_PLAN"]).read_text()).items():
    with DAG(dag_id, schedule=None, default_args={"retries": 20, "retry_delay": timedelta(seconds=2)}) as dag:
        for task in tasks:
            operator = OPERATORS[task["system"]].partial(
                task_id=task["task_id"], deferrable=task["deferrable"], poll_interval=1.0
            )
            operator.expand_kwargs(task["arguments"])
    globals()[dag_id] = dag
