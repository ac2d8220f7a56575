"""Large answers are decoded one after the other, in one thread of the process.

Each takes many times its size in memory, which glibc keeps for the thread that needed it; and two threads that decode
hold up the event loop twice as long as one.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

THREAD = "large-answers"
"""Its name, or rather how that begins."""


@functools.cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, THREAD)


def _renew() -> None:
    _thread.cache_clear()
    # Now, because two threads that ask for the first one at the same time might make one each.
    _thread()


_renew()
# Airflow forks: a child has the object, but not its thread.
os.register_at_fork(after_in_child=_renew)


def one_at_a_time(act: Callable[[], Result]) -> Result:
    """What it returns or raises, once those before it are done. It must not call this function itself."""
    return _thread().submit(act).result()
