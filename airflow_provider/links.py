"""What Airflow shows of a system: the button that opens an execution there, its XComs, and the colors of its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

ID_XCOM = "id"
URL_XCOM = "url"
MARKER_XCOM = "_release_start"
"""Identifies the start that a deferred task waits for, to its trigger, which cannot read the state store.

The underscore marks it as internal, as Airflow's own ``_link_...``: its UI lists every XCom and can hide none.
"""


class ExecutionLink(BaseOperatorLink):
    """Each system has its own, named after where it leads.

    Airflow reads it from the XCom ``url``, which operators push as soon as they know it: the button works while the
    task still waits, and no second XCom repeats the URL.
    """

    name = "Open execution"
    xcom_key = URL_XCOM

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        # Airflow pushes this under the same key when the process ends; it would turn None into the text "None".
        published: str | None = getattr(operator, "published_url", None)
        return (_pushed_before(ti_key) if published is None else published) or ""


def _pushed_before(ti_key: TaskInstanceKey) -> str | None:
    """What an earlier process of this try pushed: before a deferral, or in the triggerer."""
    from airflow.sdk.execution_time.xcom import XCom

    if ti_key.map_index is not None and ti_key.map_index >= 0:
        of_one: str | None = XCom.get_value(key=URL_XCOM, ti_key=ti_key)
        return of_one
    # Unlike the above, this logs no error if there is none, because the task failed before it started anything.
    found: list[str] | None = XCom.get_all(
        key=URL_XCOM, dag_id=ti_key.dag_id, task_id=ti_key.task_id, run_id=ti_key.run_id
    )
    return found[0] if found else None


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

COLORS: dict[str, tuple[str, str]] = {
    "code_stream": ("#e8f1f6", "#1d6fa5"),
    "service_stage": ("#f7e9e8", "#b3261e"),
    "cocktail": ("#f0edf8", "#6b4fbb"),
    "quay": ("#eaf0f0", "#28666e"),
}
"""By system, the colors of a task: of its box, and of its border or text, which is that of the system's logo.

``airflow dags show`` and the REST API have them, the UI of 3.3.2 does not.
"""


def xcoms_of(execution: Mapping[str, Any]) -> dict[str, Any]:
    """What a task pushes of an execution, given as its result, where the UI and other tasks can see it at once."""
    return {ID_XCOM: execution["id"], URL_XCOM: execution["url"] or ""}
