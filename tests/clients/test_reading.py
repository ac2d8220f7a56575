"""All reads of one answer share its time limit."""

from __future__ import annotations

import io
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients.reading import TimedReader


def test_each_read_may_take_what_is_left_of_the_time_and_none_begins_after_it(mocker: MockerFixture) -> None:
    clock = SimpleNamespace(now=100.0)
    mocker.patch("airflow_provider.clients.reading.time", SimpleNamespace(monotonic=lambda: clock.now))
    one, other = socket.socketpair()
    limits: list[float | None] = []

    class Raw(io.RawIOBase):
        def readinto(self, buffer: Any) -> int:
            limits.append(one.gettimeout())
            return 1

    with one, other:
        one.settimeout(5.0)
        reader = TimedReader(Raw(), one)
        for _ in range(2):
            reader.readinto(bytearray(1))
            clock.now += 2.0
        assert limits == [5.0, 3.0]
        clock.now += 1.0
        # However much has arrived.
        with pytest.raises(TimeoutError):
            reader.readinto(bytearray(1))
        assert len(limits) == 2
