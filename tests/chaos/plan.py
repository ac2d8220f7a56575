"""Which releases there are: waves of them, one DAG a wave, in each system and mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.chaos.vendors import SYSTEMS, Vendors


@dataclass(frozen=True)
class Release:
    """One release: a mapped task of a wave.

    :param name: under which the systems know it.
    """

    name: str
    system: str
    dag_id: str
    task_id: str
    map_index: int


def make_plan(vendors: Vendors, waves: int, of_each: int) -> tuple[list[Release], dict[str, list[dict[str, Any]]]]:
    """The releases, and the plan as the DAG file reads it.

    :param of_each: releases of one system and mode in a wave.
    """
    releases, plan = [], {}
    for wave in range(waves):
        dag_id = f"wave{wave:02d}"
        tasks = plan[dag_id] = []
        for system in SYSTEMS:
            for deferrable in (True, False):
                task_id = f"{system}_{'deferrable' if deferrable else 'synchronous'}"
                arguments = []
                for map_index in range(of_each):
                    name = f"w{wave:02d}-{system.replace('_', '-')}-{'d' if deferrable else 's'}{map_index}"
                    releases.append(Release(name, system, dag_id, task_id, map_index))
                    arguments.append(vendors.prepare(system, name))
                tasks.append({"task_id": task_id, "system": system, "deferrable": deferrable, "arguments": arguments})
    return releases, plan
