"""The button in Airflow's UI that opens an execution in its own system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

ID_XCOM = "id"
URL_XCOM = "url"
MARKER_XCOM = "release_start"
"""Tells which start a deferred task waits for, where the state store cannot be read."""


class ExecutionLink(BaseOperatorLink):
    """Shown while the task runs already: operators push it as soon as they know the URL. Each system has its own, named
    after where it leads."""

    name = "Open execution"
    xcom_key = "release_execution_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        from airflow.sdk.execution_time.xcom import XCom

        return XCom.get_value(key=URL_XCOM, ti_key=ti_key) or ""


class CodeStreamLink(ExecutionLink):
    name = "Open in Code Stream"


class ServiceStageLink(ExecutionLink):
    name = "Open in ServiceStage"


class CocktailLink(ExecutionLink):
    name = "Open in Cocktail"


class QuayLink(ExecutionLink):
    name = "Open in Quay"


LINKS: dict[str, ExecutionLink] = {
    "code_stream": CodeStreamLink(),
    "service_stage": ServiceStageLink(),
    "cocktail": CocktailLink(),
    "quay": QuayLink(),
}
"""By system."""


def xcoms_of(execution: Mapping[str, Any]) -> dict[str, Any]:
    """What a task pushes of an execution, given as its result, where the UI and other tasks can see it at once."""
    xcoms = {ID_XCOM: execution["id"], URL_XCOM: execution["url"]}
    return {**xcoms, ExecutionLink.xcom_key: execution["url"]} if execution["url"] else xcoms
