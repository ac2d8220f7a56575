"""Something that happens while a task waits: done in a thread, and never quietly left undone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.airflow_runs import prepare_database


@contextmanager
def meanwhile(act: Callable[[], Any]) -> Iterator[None]:
    """While the block runs, call ``act`` again and again until it returns something true.

    :raises AssertionError: the block ended first.
    """
    # Two threads that import Airflow for the first time, at once, block each other.
    prepare_database()
    is_over = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            while not act():
                if is_over.is_set():
                    raise AssertionError("the block ended before what should happen meanwhile")
                time.sleep(0.05)
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    if failures:
        raise failures[0]
