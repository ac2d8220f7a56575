"""The hostile vendor of the sandbox: everything but proper answers, at random but repeatably, until it is removed."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
import requests

from airflow_provider.sandbox.app import SandboxServer
from airflow_provider.sandbox.core.hostile import Hostile
from tests.support.control import Control

REAL = json.dumps({"builds": [{"id": "b-1", "phase": "building"}], "totalCount": 1, "has_additional": False}).encode()


def answered(sandbox: SandboxServer, path: str = "/quay/api/v1/repository/acme/shop/build/") -> bytes:
    """Everything that arrives over a connection of its own."""
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        found = b""
        while piece := connection.recv(1 << 20):
            found += piece
        return found


@pytest.mark.parametrize("system", ["quay", "all"])
def test_it_answers_whatever_it_likes_until_it_is_taken_away(
    sandbox: SandboxServer, control: Control, system: str
) -> None:
    good = answered(sandbox)
    control.post("faults", system=system, fault="hostile", seed=1, seconds=0.1)
    assert len({answered(sandbox) for _ in range(30)}) > 15
    assert control.get("requests", system="quay")[-1]["fault"] == "hostile"
    requests.delete(f"{sandbox.url}/_sandbox/faults", timeout=60)
    assert answered(sandbox).partition(b"\r\n")[0] == good.partition(b"\r\n")[0]


def test_it_is_hostile_on_its_own_paths_only(sandbox: SandboxServer, control: Control) -> None:
    control.post("faults", system="quay", path="/tag", fault="hostile", seed=1)
    assert {answered(sandbox).partition(b"\r\n")[0] for _ in range(20)} == {b"HTTP/1.1 401 Unauthorized"}


def test_the_same_seed_answers_the_same() -> None:
    def answers(seed: int) -> list[Any]:
        vendor = Hostile(seed)
        return [vendor.answer(vendor.next_seed(), 200, REAL) for _ in range(50)]

    assert answers(3) == answers(3) != answers(4)


@pytest.mark.parametrize(
    ("what", "shown_by"),
    {
        "huge bodies": lambda each: len(each) > 16 * 2**20,
        "gzip bombs": lambda each: b"Content-Encoding: gzip" in each and len(each) > 50_000,
        "deep nesting": lambda each: b'{"a":' * 10_000 in each,
        "long headers": lambda each: b"x" * 500_000 in each.partition(b"\r\n\r\n")[0],
        "many headers": lambda each: each.partition(b"\r\n\r\n")[0].count(b"\r\n") > 1000,
        "redirects": lambda each: b"Location:" in each,
        "absurd Retry-After": lambda each: b"Retry-After: 1e300" in each,
        "NUL": lambda each: rb"\u0000" in each,
        "NaN": lambda each: b"NaN" in each,
        "lone surrogates": lambda each: rb"\ud800" in each,
        "endless pages": lambda each: b'"next_page": "page-' in each and b'"totalCount": 1000000000' in each,
        "nothing at all": lambda each: not each,
        "statuses that there are not": lambda each: each.startswith(b"HTTP/1.1 999"),
    }.items(),
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_nothing_is_missing(what: str, shown_by: Any) -> None:
    vendor = Hostile(7)
    sent = (vendor.answer(vendor.next_seed(), 200, REAL) for _ in range(20_000))
    assert any(shown_by(b"".join(each.pieces)) for each in sent), what


def test_some_answers_come_in_pieces_and_none_takes_longer_than_its_limit() -> None:
    vendor = Hostile(7, slowest=2.0)
    times = [
        len(sent.pieces) * sent.pauses for sent in (vendor.answer(vendor.next_seed(), 200, REAL) for _ in range(500))
    ]
    assert 1.0 < max(times) <= 2.0


def test_it_never_makes_up_what_it_is_to_spare() -> None:
    vendor = Hostile(7, spared=["complete", 2, "2"])
    real = json.dumps({"builds": [{"id": "b-1", "phase": "building"}, {"phase": "complete"}]}).encode()
    for _ in range(2000):
        sent = b"".join(vendor.answer(vendor.next_seed(), 200, real).pieces)
        assert b'"id": "b-1", "phase": "complete"' not in sent
        assert b'"phase": 2,' not in sent


def test_unknown_systems_are_refused(control: Control) -> None:
    reply = requests.post(f"{control.url}/_sandbox/faults", json={"system": "x", "fault": "hostile"}, timeout=60)
    assert reply.status_code == 400
