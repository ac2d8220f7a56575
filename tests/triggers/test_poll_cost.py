"""What many waits cost the vendor, counted through the real trigger against the bench's stub: nothing here is timed."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.core.waiting import Wait
from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.triggers import poller
from bench.certificates import Certificates
from bench.contenders import OURS, Contender, Endpoint, connection_json
from bench.stub.control import Counts, Stub
from tests.support.until import until_in_loop

WAITS = 200
CONNECTIONS = 3
INTERVAL = 1.0
PATIENCE = 60.0
"""Seconds until a test gives up: on a busy machine, everything is slow."""
SYSTEMS = pytest.mark.parametrize("contender", OURS, ids=[each.name for each in OURS])


@pytest.fixture(autouse=True)
def plenty(mocker: MockerFixture) -> None:
    """What is counted here must not depend on the budget."""
    mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__REQUESTS_PER_SECOND": "1000"})


def define(stub: Stub, bundle: Path, contender: Contender, connection: int) -> None:
    """Make the connection with this number known to Airflow."""
    fields = connection_json(contender, Endpoint(stub.port, str(bundle)), connection)
    os.environ[f"AIRFLOW_CONN_{contender.conn_id(connection).upper()}"] = json.dumps(fields)


@asynccontextmanager
async def waits(
    stub: Stub, bundle: Path, contender: Contender, *, connections: int = 1
) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Real triggers, ``WAITS`` for each connection; those that are left are canceled at the end."""
    tasks = []
    for connection in range(connections):
        stub.begin(contender.system, str(connection), WAITS, contender.lists)
        define(stub, bundle, contender, connection)
        for index in range(WAITS):
            path, arguments = contender.trigger(index, connection, INTERVAL, WAITS)
            module, _, name = path.rpartition(".")
            trigger = getattr(importlib.import_module(module), name)(**arguments)
            tasks.append(asyncio.create_task(anext(trigger.run())))
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def polls(counts: Counts, contender: Contender, connection: str = "0") -> float:
    return counts.of("list", connection) / contender.lists


def has_read_logs(counts: Counts, contender: Contender) -> bool:
    """Whether the log of each execution was read, if there are logs: once, because it is running."""
    return counts.of("other") >= (WAITS if contender.reads_logs else 0)


@SYSTEMS
def test_waiting_asks_for_lists_only_over_connections_that_stay_open(
    stub: Stub, certificates: Certificates, contender: Contender
) -> None:
    async def scenario() -> None:
        async with waits(stub, certificates.bundle, contender) as tasks:
            first = await until_in_loop(
                stub.counts, lambda counts: has_read_logs(counts, contender) and polls(counts, contender) >= 2
            )
            enough = polls(first, contender) + 2
            last = await until_in_loop(stub.counts, lambda counts: polls(counts, contender) >= enough)
            assert not any(task.done() for task in tasks)
            assert last.of("single") == first.of("single")
            assert last.of("other") == first.of("other") == (WAITS if contender.reads_logs else 0)
            assert last.of("login") == (2 if contender.system == "code_stream" else 0)
            assert last.connections == last.open <= 8

    asyncio.run(scenario())


@SYSTEMS
def test_the_end_of_an_execution_costs_a_few_requests_and_reaches_its_own_wait_only(
    stub: Stub, certificates: Certificates, contender: Contender
) -> None:
    ending = range(0, WAITS, 20)

    async def scenario() -> None:
        async with waits(stub, certificates.bundle, contender) as tasks:
            before = await until_in_loop(
                stub.counts, lambda counts: has_read_logs(counts, contender) and polls(counts, contender) >= 2
            )
            stub.plan(contender.system, "0", dict.fromkeys(ending, time.time()))
            events = await asyncio.wait_for(asyncio.gather(*(tasks[index] for index in ending)), PATIENCE)
            after = stub.counts()
            assert [event.payload["execution"]["state"] for event in events] == ["succeeded"] * len(ending)
            assert [index for index, task in enumerate(tasks) if task.done()] == list(ending)
            asked = sum(after.of(kind) - before.of(kind) for kind in ("single", "other"))
            assert asked <= 3 * len(ending)

    asyncio.run(scenario())


@SYSTEMS
@pytest.mark.parametrize("takes_long", [False, True])
def test_the_loop_gets_its_turns_while_many_waits_are_reported(
    stub: Stub, certificates: Certificates, contender: Contender, takes_long: bool, mocker: MockerFixture
) -> None:
    updates, saw = 0, Wait.update
    if takes_long:
        mocker.patch.object(poller, "LONGEST_BLOCK", 0.0)

    def count_and_see(wait: Wait, *seen: Any) -> Any:
        nonlocal updates
        updates += 1
        return saw(wait, *seen)

    async def scenario() -> int:
        longest = 0
        async with waits(stub, certificates.bundle, contender):
            while updates < WAITS:
                before = updates
                await asyncio.sleep(0)
                longest = max(longest, updates - before)
        return longest

    mocker.patch.object(Wait, "update", count_and_see)
    assert asyncio.run(scenario()) <= (1 if takes_long else poller.DELIVERED_AT_ONCE)


def test_the_first_poll_of_many_keeps_few_documents_at_a_time(stub: Stub, certificates: Certificates) -> None:
    count = 1000
    contender = next(each for each in OURS if each.name == "code_stream")
    stub.begin(contender.system, "0", count, contender.lists)
    define(stub, certificates.bundle, contender, 0)
    refs = [contender.trigger(index, 0, INTERVAL, count)[1]["ref"] for index in range(count)]
    with CodeStreamHook(contender.conn_id(0)).get_conn() as client:
        client.waits.fetch(refs[:2])  # logs in
        tracemalloc.start()
        try:
            seen = client.waits.fetch(refs[2:])
            kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert {each.status for each in seen} == {"RUNNING"}
    # Bytes: all documents at once take 14 kB each.
    assert peak - kept < 3_000 * count


def test_each_connection_has_lists_and_a_login_of_its_own(stub: Stub, certificates: Certificates) -> None:
    contender = next(each for each in OURS if each.name == "code_stream")
    names = [str(connection) for connection in range(CONNECTIONS)]

    async def scenario() -> None:
        async with waits(stub, certificates.bundle, contender, connections=CONNECTIONS):
            counts = await until_in_loop(
                stub.counts, lambda counts: all(polls(counts, contender, name) >= 2 for name in names)
            )
            assert [counts.of("login", name) for name in names] == [2] * CONNECTIONS
            assert counts.open <= 8 * CONNECTIONS

    asyncio.run(scenario())
