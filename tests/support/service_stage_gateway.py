"""A gateway of ServiceStage, and an IAM, that answer in every shape the contract allows."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.execution import ExecutionRef
from tests.support.scripted import Received, Scripted

PROJECT = "77b6a44cba5143ab91d13ab9a8ff44fd"
PIPELINE = "caf409b1-10df-483a-b14d-7b05f7e12c88"
PREFIX = f"/v3/{PROJECT}/pipeline/pipelines"
ACCESS_KEY, SECRET_KEY = "AKEXAMPLE0000000TEST", "sk-example-0000000000000000"
TRIGGERED = 1767323100000


class Gateway:
    """Answers the calls of one project with what a test has defined; ``refusals`` come first, in order."""

    def __init__(self, scripted: Scripted) -> None:
        self.scripted = scripted
        self.url = scripted.url
        self.items: Any = [self.item()]
        self.records: Any = {"count": 0, "records": []}
        self.detail: Any = {"id": PIPELINE, "pipeline_declaration": {"stages": []}}
        self.reply: Any = {"id": 286541, "pipeline_id": PIPELINE, "status": 4}
        self.refusals: list[Any] = []
        scripted.always = self.answer

    @staticmethod
    def item(status: Any = 2, **more: Any) -> dict[str, Any]:
        return {"id": PIPELINE, "name": "shop-release", "status": status, "last_trigger_at": TRIGGERED, **more}

    def recorded(self, *records: dict[str, Any]) -> None:
        self.records = {"count": len(records), "records": list(records)}

    def answer(self, request: Received) -> tuple[int, dict[str, str], Any]:
        if self.refusals:
            status, headers, body = self.refusals.pop(0)
            return status, headers, body
        if request.method != "GET":
            return 200, {}, self.reply
        if request.path == PREFIX:
            return 200, {}, self.items
        return 200, {}, self.records if request.path.endswith("/records") else self.detail

    @property
    def sent(self) -> list[str]:
        """What was asked for, in order: ``list``, ``records``, ``detail`` or the name of an action."""
        return [
            request.query.get("action_id", request.method)
            if request.method != "GET"
            else {PREFIX: "list", f"{PREFIX}/{PIPELINE}/records": "records"}.get(request.path, "detail")
            for request in self.scripted.requests
        ]


def connected(url: str, **options: Any) -> ServiceStageClient:
    values = {"project_id": PROJECT, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "attempts": 1, **options}
    return ServiceStageClient(url, **values)


JUST_NOW = time.time() + 6 * 3600
"""Tests are collected minutes before they run: this must still count as just now then."""


def release_ref(execution_id: str = "286541", action: str = "start", **more: str) -> ExecutionRef:
    return {
        "system": "service_stage",
        "kind": "release",
        "id": execution_id,
        "pipeline_id": PIPELINE,
        "action": action,
        "status_before": "2",
        "triggered_before": str(TRIGGERED),
        "since": f"{JUST_NOW:.3f}",
        **more,
    }


# A start whose answer was lost


def intent_of(action: str = "start", **more: Any) -> dict[str, Any]:
    return {
        "kind": "release",
        "marker": "m",
        "since": JUST_NOW,
        "clock": "vendor",
        "pipeline_id": PIPELINE,
        "action": action,
        "newest_record": "286540",
        "status_before": "2",
        "triggered_before": str(TRIGGERED),
        **more,
    }


# Logins


class Iam:
    """The IAM of a gateway: issues tokens of a given length, and accepts only the newest one."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.logins: list[dict[str, Any]] = []
        self.token = ""
        self.length = 40
        self.lifetime = timedelta(hours=24)
        self.skew = timedelta()
        self.describes_tokens = True
        self.refusals: list[Any] = []
        self.projects: list[dict[str, str]] = [{"id": PROJECT, "name": "ap-southeast-3"}]
        self._lock = threading.Lock()
        gateway.scripted.always = self.answer

    def answer(self, request: Received) -> tuple[int, dict[str, str], Any]:
        if request.path == "/iam/v3/projects":
            return 200, {}, {"projects": self.projects}
        if request.path != "/iam/v3/auth/tokens":
            if "X-Auth-Token" in request.headers and request.headers["X-Auth-Token"] != self.token:
                return 401, {}, {"error_code": "APIGW.0301", "error_msg": "decrypt token fail"}
            return self.gateway.answer(request)
        if self.refusals:
            status, headers, body = self.refusals.pop(0)
            return status, headers, body
        with self._lock:
            self.logins.append(request.json)
            self.token = f"MIIE{len(self.logins)}".ljust(self.length, "A")
        times = self.times(datetime.now(UTC) + self.skew)
        token = {name: f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}" for name, moment in times.items()}
        body = {"token": {**token, "project": {"id": PROJECT, "name": "ap-southeast-3"}}}
        return 201, {"X-Subject-Token": self.token}, body if self.describes_tokens else None

    def times(self, now: datetime) -> dict[str, datetime]:
        return {"issued_at": now, "expires_at": now + self.lifetime}


def as_user(url: str, **options: Any) -> ServiceStageClient:
    values = {
        "iam_url": f"{url}/iam/",
        "region": "ap-southeast-3",
        "username": "robot",
        "password": "robot-password",
        "domain_name": "account",
        "attempts": 1,
        **options,
    }
    return ServiceStageClient(url, **values)
