"""The releases of the suite: waves of mapped tasks, of each kind and mode; each task owns what it starts."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider.core.durations import DURATIONS
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.code_stream import (
    CodeStreamApprovalOperator,
    CodeStreamRerunEventOperator,
    CodeStreamRunPipelineOperator,
)
from airflow_provider.operators.quay import QuayRunBuildOperator
from airflow_provider.operators.service_stage import ServiceStageApprovalOperator, ServiceStageReleaseOperator

OPERATORS = {
    "code_stream": CodeStreamRunPipelineOperator,
    "event_rerun": CodeStreamRerunEventOperator,
    "service_stage": ServiceStageReleaseOperator,
    "cocktail": CocktailRunBuildOperator,
    "quay": QuayRunBuildOperator,
    "code_stream_gates": CodeStreamRunPipelineOperator,
    "service_stage_gates": ServiceStageReleaseOperator,
    "code_stream_approval": CodeStreamApprovalOperator,
    "service_stage_approval": ServiceStageApprovalOperator,
}

# As all in this Airflow: a heartbeat may be missing for 10 s here, not for 300 s, and the sandbox's lists do not lag.
DURATIONS.frozen = 6.0
DURATIONS.settling = 5.0

for dag_id, tasks in json.loads(Path(os.environ["CHAOS_PLAN"]).read_text()).items():
    with DAG(dag_id, schedule=None, default_args={"retries": 20, "retry_delay": timedelta(seconds=2)}) as dag:
        for task in tasks:
            # Those that ask people have no choice.
            mode = {"deferrable": task["deferrable"]} if "deferrable" in task else {}
            operator = OPERATORS[task["kind"]].partial(  # type: ignore[attr-defined]
                task_id=task["task_id"], poll_interval=1.0, **mode
            )
            operator.expand_kwargs(task["arguments"])
    globals()[dag_id] = dag
