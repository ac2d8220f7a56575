"""Plans what to create, reset and delete so that a repository has the notifications declared in code. No HTTP here.

Quay's notifications have no owner and no labels, so the end of the title is the mark. One without it is somebody
else's, and is neither changed nor deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from airflow_provider.clients.quay import notification_rules as rules
from airflow_provider.clients.quay.documents import Notification
from airflow_provider.clients.quay.fields import Json, Objects


class Plan(Struct):
    """:param create: bodies of the missing ones.
    :param keep: the existing ones that are wanted.
    :param reset: those of them that Quay has disabled.
    :param delete: marked ones that are not wanted, such as one with an older URL; and duplicates.
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
    # Of several equal ones, keep one that is not disabled.
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
