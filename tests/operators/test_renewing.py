"""A connection that somebody corrects while a worker waits: after a 401 the worker reads it again, like a triggerer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from airflow_provider.core.commands import Observe
from airflow_provider.exceptions import AuthenticationError
from airflow_provider.hooks.cocktail import CocktailHook
from airflow_provider.operators.carrying_out import Carrier
from airflow_provider.operators.cocktail import CocktailCancelBuildOperator, CocktailRunBuildOperator
from airflow_provider.sensors.cocktail import CocktailBuildSensor
from tests.support.airflow_runs import run_task
from tests.support.serving import serving
from tests.support.systems import define_connection

REF = {"system": "cocktail", "kind": "build_run", "id": "7", "build_seq": "", "tag": ""}


class Vendor:
    """Accepts the first token for the first request, and the second one from then on.

    Attribute ``ends_by_itself``: whether the build is done at the second request; otherwise once it is canceled.
    """

    def __init__(self) -> None:
        self.tokens: list[str | None] = []
        self.ends_by_itself = True
        self.is_canceled = False
        self.url = ""

    def cancel(self, token: str | None) -> tuple[int, Any]:
        status, body = self.answer(token)
        self.is_canceled = status == 200
        return status, body

    def answer(self, token: str | None) -> tuple[int, Any]:
        self.tokens.append(token)
        if token != ("Bearer second-token" if len(self.tokens) > 1 else "Bearer first-token"):
            self.connect("second-token")
            return 401, {"status": "error", "message": "who are you?"}
        is_done = len(self.tokens) > 1 if self.ends_by_itself else self.is_canceled
        state = "DONE" if is_done else "RUNNING"
        run = {"buildRunSeq": 7, "buildSeq": 12, "runType": "BUILD", "runState": state}
        return 200, {"status": "ok", "result": run}

    def connect(self, token: str) -> None:
        define_connection("cocktail_default", conn_type="cocktail", host=self.url, password=token)


@pytest.fixture
def vendor(systems: Any) -> Iterator[Vendor]:
    vendor = Vendor()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(*((404, None) if "/log/" in self.path else vendor.answer(self.headers.get("Authorization"))))

        def do_PUT(self) -> None:
            self.reply(*vendor.cancel(self.headers.get("Authorization")))

        def reply(self, status: int, body: Any) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    vendor.url = f"http://127.0.0.1:{server.server_port}"
    vendor.connect("first-token")
    with serving(server):
        yield vendor


def test_a_sensor_in_a_worker_continues_with_the_mended_connection(vendor):
    ended = run_task(lambda: CocktailBuildSensor(task_id="wait", build_run_seq=7, poke_interval=0.1, timeout=60))
    assert ended.error is None
    assert vendor.tokens[:2] == ["Bearer first-token", "Bearer first-token"]
    assert vendor.tokens[-1] == "Bearer second-token"


def test_an_act_goes_on_with_the_mended_connection(vendor):
    vendor.ends_by_itself = False
    ended = run_task(lambda: CocktailCancelBuildOperator(task_id="cancel", build_run_seq=7, poll_interval=0.1))
    assert ended.error is None
    assert vendor.is_canceled


def test_a_connection_that_cannot_be_read_from_airflow_then_ends_no_wait(vendor, mocker):
    read = CocktailHook.get_connection

    def away_at_the_second_poll(conn_id: str) -> Any:
        if len(vendor.tokens) == 2:
            raise RuntimeError("the API server is away")
        return read(conn_id)

    mocker.patch.object(CocktailHook, "get_connection", staticmethod(away_at_the_second_poll))
    ended = run_task(lambda: CocktailBuildSensor(task_id="wait", build_run_seq=7, poke_interval=0.1, timeout=60))
    assert ended.error is None
    assert vendor.tokens[1:3] == ["Bearer first-token"] * 2
    assert vendor.tokens[-1] == "Bearer second-token"


def test_an_operator_in_a_worker_continues_with_the_mended_connection(vendor):
    operator = CocktailRunBuildOperator(task_id="build", build_seq=12, tag_name="1")
    with operator.get_client({}) as client:  # type: ignore[arg-type]
        client.transport.guard = guard = object()
        carrier = Carrier(operator, {}, client, "key")  # type: ignore[arg-type]
        assert carrier.perform(Observe(REF)).status == "RUNNING"
        with pytest.raises(AuthenticationError):
            carrier.perform(Observe(REF))
        assert carrier.perform(Observe(REF)).status == "DONE"
        assert carrier.client is not client
        assert carrier.client.transport.guard is guard
        # Unchanged, it is not built anew.
        vendor.tokens.clear()
        vendor.tokens.append("first poll")
        vendor.connect("second-token")
        same = carrier.client
        assert carrier.perform(Observe(REF)).status == "DONE"
        assert carrier.client is same
