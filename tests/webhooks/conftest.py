"""The webhook route in process: declared endpoints, an asset in Airflow's database, the sandbox as the systems."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
import uvicorn
from fastapi import FastAPI
from pytest_mock import MockerFixture
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_provider.webhooks import app as webhook_app
from airflow_provider.webhooks import clients, counting, handling
from airflow_provider.webhooks.endpoints import PREFIX
from tests.support import secrets
from tests.support.airflow_runs import make_known, prepare_database
from tests.support.until import until

SECRET, SECOND = (f"{secrets.OF_WEBHOOKS}-000000000{number}" for number in (1, 2))
_RECORDING = Path(__file__).parents[1] / "sandbox" / "data" / "quay_webhooks.jsonl"
RECORDED = [json.loads(line) for line in _RECORDING.read_text().splitlines()]
"""What a real Quay has sent."""

Declare = Callable[..., None]


def recorded(event: str, kind: str = "real") -> dict[str, Any]:
    """The body of a webhook of a real Quay."""
    (found,) = [each["body"] for each in RECORDED if (each["event"], each["kind"]) == (event, kind)]
    return dict(found)


def callback(run: str, state: str, **data: Any) -> dict[str, Any]:
    """The body of a callback of Cocktail."""
    numbers = {"buildSeq": 12, "buildRunSeq": int(run)}
    reported = {**numbers, "runType": "BUILD", "runState": state, **data}
    return {"event": "BUILD_RUN_STATE", "target": {"accountSeq": 1, "serviceSeqs": [2], **numbers}, "data": reported}


@pytest.fixture
def declare(mocker: MockerFixture) -> Declare:
    """Declare endpoints; each by what differs from a webhook of Quay's."""

    def set_option(**endpoints: dict[str, Any]) -> None:
        declared = {
            name.replace("_", "-"): {"source": "quay", "asset": "nobodys", "secrets": [SECRET]} | differs
            for name, differs in endpoints.items()
        }
        mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__WEBHOOKS": json.dumps(declared)})

    return set_option


@pytest.fixture
def asset() -> str:
    """The name of an asset that a DAG is scheduled on."""
    from airflow.sdk import DAG, Asset

    name = f"image-{uuid4().hex[:8]}"
    with DAG(f"on_{name}", schedule=[Asset(name, uri=f"x-image://{name}")], is_paused_upon_creation=False) as dag:
        pass
    make_known(dag)
    return name


class Around:
    """What stands around the route in Airflow and logs each request when it is over, by the scope of all."""

    def __init__(self, app: ASGIApp, seen: list[Scope]) -> None:
        self._app, self._seen = app, seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                self._seen.append(scope)


class Route:
    """The route, mounted as Airflow mounts it, on a free port of 127.0.0.1.

    :param root: the path below which Airflow is reached.
    :param app: the whole of Airflow's API server, which has mounted it.
    """

    def __init__(self, root: str = "", *, app: FastAPI | None = None) -> None:
        self.seen: list[Scope] = []
        airflow = app or FastAPI(root_path=root)
        if app is None:
            airflow.mount(PREFIX, webhook_app.WebhookApp())
            airflow.add_middleware(Around, seen=self.seen)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}{PREFIX}"
        config = uvicorn.Config(airflow, lifespan="off", log_config=None, access_log=True, log_level="debug")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self.session = requests.Session()
        self.session.trust_env = False

    def __enter__(self) -> Route:
        self._thread.start()
        until(lambda: self._server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, f"{self.url}/{path}", timeout=30, **options)

    def post(self, body: Any = None, *, endpoint: str = "hook", secret: str = SECRET, **options: Any) -> int:
        options = options or {"data": json.dumps(body), "headers": {"content-type": "application/json"}}
        return self.request("POST", f"{endpoint}/{secret}", **options).status_code


@pytest.fixture
def route(mocker: MockerFixture) -> Iterator[Route]:
    prepare_database()
    mocker.patch.object(clients, "kept", {})
    mocker.patch.object(counting, "swept_at", {})
    mocker.patch.object(webhook_app, "READ_EVERY", 0.0)
    mocker.patch.object(handling, "POLL_DELAYS", ())
    with Route() as route:
        yield route


def events(asset: str) -> list[dict[str, Any]]:
    """The ``extra`` of each event of an asset, the oldest first."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        of_asset = select(AssetEvent.extra).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        return list(session.scalars(of_asset.where(AssetModel.name == asset).order_by(AssetEvent.id)))
