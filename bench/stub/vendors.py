"""What each API answers about executions that run until a planned moment. Ours are in systems.py; no sockets here."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

Query = Mapping[str, str]


class Reply(NamedTuple):
    """:param kind: what it is counted as: ``list``, ``single``, ``start``, ``login`` or ``other``."""

    kind: str
    status: int
    body: bytes


class Vendor(ABC):
    """One API with a number of executions, asked by index; each runs until the moment that is planned for it.

    :param count: executions.
    :param lists: over how many builds, repositories or the like they are spread.
    :param now: epoch seconds at which all of them started.
    """

    def __init__(self, count: int, lists: int, now: float) -> None:
        self.count, self.lists, self.started = count, lists, now
        self.ends = [math.inf] * count
        self.running = [self.encode(index, None) for index in range(count)]
        self.ended: dict[int, bytes] = {}

    def plan(self, ends: Mapping[int, float]) -> None:
        """Say when executions end, in epoch seconds: that very moment is the finish that latency counts from."""
        for index, end in ends.items():
            self.ended[index] = self.encode(index, end)
            self.ends[index] = end

    def now_of(self, index: int, now: float) -> bytes:
        return self.ended[index] if now >= self.ends[index] else self.running[index]

    def encode(self, index: int, end: float | None) -> bytes:
        return msgspec.json.encode(self.document(index, end))

    @abstractmethod
    def document(self, index: int, end: float | None) -> Any:
        """:param end: ``None`` while it runs."""

    @abstractmethod
    def answer(self, method: str, path: str, query: Query, body: bytes, now: float) -> Reply:
        """:param path: below the vendor's own prefix."""

    def single(self, index: int, now: float) -> Reply:
        if not 0 <= index < self.count:
            return NOT_FOUND
        return Reply("single", 200, self.now_of(index, now))


NOT_FOUND = Reply("other", 404, b'{"message": "not found"}')


def number(text: str) -> int:
    """The number in a path; -1 for anything else."""
    return int(text) if text.isdecimal() else -1


class DbtCloud(Vendor):
    """``GET /api/v2/accounts/1/runs/<id>/``; id = index + 1. A start answers with the first."""

    def document(self, index: int, end: float | None) -> Any:
        status = 3 if end is None else 10
        return {
            "status": {"code": 200, "is_success": True, "user_message": "Success!", "developer_message": ""},
            "data": {
                "id": index + 1,
                "trigger_id": index + 1,
                "account_id": 1,
                "environment_id": 22,
                "project_id": 33,
                "job_definition_id": 44,
                "status": status,
                "git_branch": "main",
                "git_sha": "42d4a62c53350993ea41069e9f2cfdefb0df097d",
                "status_message": None,
                "dbt_version": "1.10.0",
                "created_at": "2026-01-02 03:04:05.000000+00:00",
                "started_at": "2026-01-02 03:04:06.000000+00:00",
                "finished_at": "2026-01-02 03:05:06.000000+00:00" if end else None,
                "in_progress": end is None,
                "is_complete": end is not None,
                "is_success": end is not None,
                "href": f"https://cloud.example.com/deploy/1/projects/33/runs/{index + 1}/",
            },
        }

    def answer(self, method: str, path: str, query: Query, body: bytes, now: float) -> Reply:
        if method == "POST":
            return Reply("start", 200, self.now_of(0, now))
        return self.single(number(path.rstrip("/").rpartition("/")[2]) - 1, now)


class Databricks(Vendor):
    """``GET /api/2.x/jobs/runs/get`` with ``{"run_id": id}``; id = index + 1. A start answers with the first."""

    def document(self, index: int, end: float | None) -> Any:
        state = {"life_cycle_state": "RUNNING", "state_message": "In run", "user_cancelled_or_timedout": False}
        if end is not None:
            state |= {"life_cycle_state": "TERMINATED", "result_state": "SUCCESS", "state_message": ""}
        return {
            "job_id": 44,
            "run_id": index + 1,
            "number_in_job": index + 1,
            "state": state,
            "start_time": 1767323045000,
            "setup_duration": 1000,
            "execution_duration": 60000,
            "end_time": 1767323105000 if end else 0,
            "trigger": "ONE_TIME",
            "run_name": "bench",
            "run_page_url": f"https://adb.example.com/#job/44/run/{index + 1}",
            "run_type": "JOB_RUN",
            "tasks": [],
            "format": "MULTI_TASK",
        }

    def answer(self, method: str, path: str, query: Query, body: bytes, now: float) -> Reply:
        if method == "POST":
            return Reply("start", 200, b'{"run_id": 1, "number_in_job": 1}')
        run_id = msgspec.json.decode(body).get("run_id") if body else query.get("run_id", "")
        return self.single(number(str(run_id)) - 1, now)


class PlainHttp(Vendor):
    """``GET /http/<index>``: 404 until the end, as the HTTP sensor waits for."""

    def document(self, index: int, end: float | None) -> Any:
        return {"id": index, "done": end is not None}

    def answer(self, method: str, path: str, query: Query, body: bytes, now: float) -> Reply:
        index = number(path.rpartition("/")[2])
        if not 0 <= index < self.count:
            return NOT_FOUND
        return Reply("single", 200 if now >= self.ends[index] else 404, self.now_of(index, now))
