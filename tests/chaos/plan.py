"""Which releases there are: waves of them, one DAG a wave, of each kind and mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.chaos.gates import ASKING_KINDS, GATED_KINDS
from tests.chaos.vendors import UNGATED_KINDS, Vendors


@dataclass(frozen=True)
class Release:
    """One release: a mapped task of a wave.

    :param name: under which the systems know it.
    :param kind: one of the kinds of ``vendors.py``.
    :param conn_id: of its own connection, which somebody changes meanwhile; "" if it has none.
    """

    name: str
    kind: str
    dag_id: str
    task_id: str
    map_index: int
    conn_id: str = ""

    @property
    def is_deferrable(self) -> bool:
        return self.task_id.endswith("_deferrable")


def make_plan(vendors: Vendors, waves: int, of_each: int) -> tuple[list[Release], dict[str, list[dict[str, Any]]]]:
    """The releases, and the plan as the DAG file reads it.

    :param of_each: releases of one kind and mode in a wave. The first of each kind is plain; the second fails at first
        and is resumed where its system can do that, and ends in the triggerer where it waits there; one more Cocktail
        build of each mode has a connection of its own. Those with gates always wait deferred; the second reaches two.
    """
    releases: list[Release] = []
    plan: dict[str, list[dict[str, Any]]] = {}
    for wave in range(waves):
        dag_id = f"wave{wave:02d}"
        tasks: list[dict[str, Any]] = []
        plan[dag_id] = tasks
        for kind in UNGATED_KINDS:
            for deferrable in (True, False):
                task_id = f"{kind}_{'deferrable' if deferrable else 'synchronous'}"
                arguments = []
                for map_index in range(of_each + (kind == "cocktail")):
                    name = f"w{wave:02d}-{kind.replace('_', '-')}-{'d' if deferrable else 's'}{map_index}"
                    is_second = map_index % 2 == 1
                    conn_id = f"cocktail_{name}" if map_index == of_each else ""
                    releases.append(Release(name, kind, dag_id, task_id, map_index, conn_id))
                    more: dict[str, Any] = {"finish_in_triggerer": True} if is_second and deferrable else {}
                    if conn_id:
                        more["cocktail_conn_id"] = conn_id
                    arguments.append(vendors.prepare(kind, name, fails_at_first=is_second) | more)
                tasks.append({"task_id": task_id, "kind": kind, "deferrable": deferrable, "arguments": arguments})
        for kind in GATED_KINDS + ASKING_KINDS:
            arguments = []
            for map_index in range(of_each if kind in GATED_KINDS else 1):
                name = f"w{wave:02d}-{kind.replace('_', '-')}-{map_index}"
                releases.append(Release(name, kind, dag_id, kind, map_index))
                arguments.append(vendors.prepare(kind, name, fails_at_first=map_index % 2 == 1))
            tasks.append({"task_id": kind, "kind": kind, "arguments": arguments})
    return releases, plan
