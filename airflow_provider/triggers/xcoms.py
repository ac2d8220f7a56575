"""Pushes and pulls XComs in the triggerer without blocking its event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.execution_time.xcom import XCom


async def push_xcom(key: str, value: Any, where: dict[str, Any]) -> None:
    """Push in a thread if the XCom backend is a custom one: it may upload the value, and block the event loop.

    :param where: the task instance, as :func:`~airflow_provider.task_instances.identity_of` returns it.
    """
    if XCom is BaseXCom:
        await XCom.aset(key, value, **where)
    else:
        await asyncio.to_thread(XCom.set, key, value, **where)


async def pull_xcom(key: str, where: dict[str, Any]) -> Any:
    if XCom is BaseXCom:
        return await XCom.aget_one(key=key, **where)
    return await asyncio.to_thread(XCom.get_one, key=key, **where)
