"""Each task's button in Airflow's UI is named after the system that it leads to, and its colors are that system's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

import airflow_provider
from airflow_provider.links import COLORS, ExecutionLink
from tests.support.classes import CLASSES

NAMES = {
    "code_stream": "Open in Code Stream",
    "service_stage": "Open in ServiceStage",
    "cocktail": "Open in Cocktail",
    "quay": "Open in Quay",
}


EVERY_CLASS = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
LOGOS = Path(airflow_provider.__file__).parent / "integration-logos"


def stored(cls: type) -> list[dict[str, Any]]:
    """A task and a mapped task of this class, as Airflow stores them."""
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("links", schedule=None) as dag:
        cls(task_id="task", **CLASSES[cls])
        (name, value), *others = CLASSES[cls].items()
        cls.partial(task_id="mapped", **dict(others)).expand(**{name: [value]})
    return [task["__var"] for task in DagSerialization.to_dict(dag)["dag"]["tasks"]]


@EVERY_CLASS
def test_airflow_stores_a_button_that_names_the_system(cls: type) -> None:
    own = {NAMES[cls.system]: ExecutionLink.xcom_key} if cls.operator_extra_links else None
    assert [task.get("_operator_extra_links") for task in stored(cls)] == [own, own]


@EVERY_CLASS
def test_airflow_stores_the_colors_of_the_system(cls: type) -> None:
    colors = COLORS[cls.system]
    assert [(task["ui_color"], task["ui_fgcolor"]) for task in stored(cls)] == [colors, colors]


def luminance(color: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("system", COLORS)
def test_colors_are_those_of_the_logo_and_read_well(system: str) -> None:
    fill, line = COLORS[system]
    assert line in (LOGOS / f"{system}.svg").read_text()
    assert (luminance(fill) + 0.05) / (luminance(line) + 0.05) >= 4.5


def test_systems_are_distinguished_by_their_colors() -> None:
    for colors in zip(*COLORS.values(), strict=True):
        assert len(set(colors)) == len(colors)


def test_what_leads_nowhere_has_no_button() -> None:
    without = {cls.__name__ for cls in CLASSES if not cls.operator_extra_links}
    assert all("Notification" in name or "TriggerGerrit" in name for name in without)
    assert len(without) < len(CLASSES) / 2
