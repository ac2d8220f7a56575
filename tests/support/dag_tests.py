"""Tasks run as `dag.test()` runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.code_stream import CodeStreamRunPipelineOperator
from airflow_provider.operators.quay import QuayRunBuildOperator
from airflow_provider.operators.service_stage import ServiceStageReleaseOperator

OPERATORS: dict[str, Callable[..., Any]] = {
    "code_stream": lambda **kw: CodeStreamRunPipelineOperator(pipeline="Deploy shop", inputs={"tag": "1.4.2"}, **kw),
    "service_stage": lambda **kw: ServiceStageReleaseOperator(pipeline="shop-release", **kw),
    "cocktail": lambda **kw: CocktailRunBuildOperator(build_seq=12, tag_name="1.4.2", **kw),
    "quay": lambda **kw: QuayRunBuildOperator(
        repository="acme/shop", archive_url="https://sources.example.com/shop-1.4.2.tar.gz", tags=["1.4.2"], **kw
    ),
}
ARGUMENTS = {"task_id": "release", "deferrable": True, "poll_interval": 0.2}
