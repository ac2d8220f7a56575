"""Free ports of 127.0.0.1."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

# Below the ports that the system hands out for connections: what is free now is still free when a slow server starts.
CHOICE = range(20_000, 32_000)
TRIES = 100


def free_port(preferred: int | None = None) -> int:
    """``preferred`` if nothing listens there, otherwise any free one."""
    for port in _candidates(preferred):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise OSError("no port of 127.0.0.1 is free")


def _candidates(preferred: int | None) -> Iterator[int]:
    if preferred is not None:
        yield preferred
    # Not the generator that a library may have seeded: tests run side by side, and must not all choose alike.
    yield from random.SystemRandom().sample(CHOICE, TRIES)
