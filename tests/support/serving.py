"""A server of the standard library in a thread, for as long as a block runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from threading import Thread

PAUSE = 0.002
"""Seconds, at the most, until the server notices that the block has ended; the library's 0.5 would add up."""


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Let it answer, and close it afterwards."""
    with server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": PAUSE}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
