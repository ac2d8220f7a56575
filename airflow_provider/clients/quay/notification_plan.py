"""What to do so that a repository has the notifications that somebody keeps in code. No HTTP here.

Quay knows no owner and no label: the end of a title is the mark of what was made so. What does not bear it is somebody
else's, and neither changed nor removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from airflow_provider.clients.quay import notification_rules as rules
from airflow_provider.clients.quay.documents import Notification
from airflow_provider.clients.quay.fields import Json, Objects


class Plan(Struct):
    """:param create: bodies of what is missing.
    :param keep: what is there already.
    :param reset: those of them that Quay has disabled.
    :param delete: what bears the mark and is not wanted, such as one with an older URL; and doubles.
    """

    create: Objects
    keep: list[Notification]
    reset: list[Notification]
    delete: list[Notification]


def mark_of(owner: str) -> str:
    return f"[airflow:{owner}]"


def marked_title(title: str, owner: str) -> str:
    return f"{title} {mark_of(owner)}"


def plan_of(existing: Sequence[Notification], wanted: Sequence[Json], owner: str) -> Plan:
    """:param existing: all notifications of the repository.
    :param wanted: bodies of creates, their titles marked.
    """
    left = [each for each in existing if is_marked(each, owner)]
    # Of several that do the same, one that works is kept.
    left.sort(key=lambda each: (rules.is_disabled(each), str(each.get("uuid"))))
    plan = Plan([], [], [], [])
    for body in wanted:
        found = next((each for each in left if rules.is_equal(each, body)), None)
        if found is None:
            plan.create.append(body)
            continue
        left.remove(found)
        plan.keep.append(found)
        if rules.is_disabled(found):
            plan.reset.append(found)
    plan.delete = left
    return plan


def is_marked(notification: Mapping[str, Any], owner: str) -> bool:
    return str(notification.get("title") or "").endswith(f" {mark_of(owner)}")
