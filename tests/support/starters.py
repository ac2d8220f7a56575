"""Every operator that starts something, with arguments for the sandbox, and what it has started."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.code_stream import CodeStreamRerunEventOperator, CodeStreamRunPipelineOperator
from airflow_provider.operators.quay import QuayRunBuildOperator
from airflow_provider.operators.service_stage import ServiceStageReleaseOperator
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.systems import Systems

ARCHIVE = "https://sources.example.com/shop-1.4.2.tar.gz"
ARGUMENTS = {"task_id": "release", "poll_interval": 0.2}


class Starter(NamedTuple):
    """One operator that starts something.

    :param start: regular expression of the path of its start request.
    :param poll: of the path of the requests that wait for it.
    :param failed: the system's own word for a failure.
    :param build: makes the operator.
    """

    system: str
    start: str
    poll: str
    failed: str
    build: Callable[..., Any]


STARTERS = {
    "code_stream pipeline": Starter(
        "code_stream",
        "/pipelines/[^/]+/executions$",
        "/executions/",
        "FAILED",
        lambda systems, **kw: CodeStreamRunPipelineOperator(
            pipeline="Deploy shop", project="retail", inputs={"tag": "1.4.2"}, **kw
        ),
    ),
    "code_stream rerun": Starter(
        "code_stream",
        "/registry-events/[^/]+$",
        "/executions/",
        "FAILED",
        lambda systems, **kw: CodeStreamRerunEventOperator(event_type="docker", event_id=failed_event(systems), **kw),
    ),
    "service_stage": Starter(
        "service_stage",
        "/action$",
        "/pipelines",
        "3",
        lambda systems, **kw: ServiceStageReleaseOperator(pipeline="shop-release", **kw),
    ),
    "cocktail": Starter(
        "cocktail",
        "/build/run/12$",
        "/build/run/",
        "ERROR",
        lambda systems, **kw: CocktailRunBuildOperator(build_seq=12, tag_name="1.4.2", **kw),
    ),
    "quay": Starter(
        "quay",
        "/build/$",
        "/build/",
        "error",
        lambda systems, **kw: QuayRunBuildOperator(repository="acme/shop", archive_url=ARCHIVE, tags=["1.4.2"], **kw),
    ),
}
EVERY_STARTER = pytest.mark.parametrize("starter", STARTERS.values(), ids=STARTERS)


def failed_event(systems: Systems) -> str:
    """A Docker event of the seed whose delivery failed."""
    from airflow_provider.hooks.code_stream import CodeStreamHook

    with CodeStreamHook().get_conn() as client:
        return next(event["id"] for event in client.events.list("docker") if not event.get("executionLink"))


def run(systems: Systems, starter: Starter, retries: int = 0, **arguments: Any) -> TaskRun:
    return run_task(lambda: starter.build(systems, **ARGUMENTS, **arguments), retries=retries)


def started(systems: Systems, starter: Starter, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = {each["id"] for each in before}
    return [each for each in systems.executions(starter.system) if each["id"] not in known]


@contextmanager
def first_execution_fails(systems: Systems, starter: Starter, before: list[dict[str, Any]]) -> Iterator[None]:
    """Forces the first execution that is started inside to fail."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            if new := started(systems, starter, before):
                systems.force(starter.system, new[0]["id"], starter.failed)
                return
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
