"""Each task's button in Airflow's UI is named after the system that it leads to."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG

from airflow_provider.links import ExecutionLink
from tests.operators.classes import CLASSES

NAMES = {
    "code_stream": "Open in Code Stream",
    "service_stage": "Open in ServiceStage",
    "cocktail": "Open in Cocktail",
    "quay": "Open in Quay",
}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_airflow_stores_a_button_that_names_the_system(cls: type) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("links", schedule=None) as dag:
        cls(task_id="task", **CLASSES[cls])
        (name, value), *others = CLASSES[cls].items()
        cls.partial(task_id="mapped", **dict(others)).expand(**{name: [value]})
    tasks = DagSerialization.to_dict(dag)["dag"]["tasks"]
    own = {NAMES[cls.system]: ExecutionLink.xcom_key} if cls.operator_extra_links else None
    assert [task["__var"].get("_operator_extra_links") for task in tasks] == [own, own]


def test_what_leads_nowhere_has_no_button() -> None:
    without = {cls.__name__ for cls in CLASSES if not cls.operator_extra_links}
    assert all("Notification" in name or "TriggerGerrit" in name for name in without)
    assert len(without) < len(CLASSES) / 2
