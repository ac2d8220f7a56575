"""Removes guards from the code, and counts the lives until one goes wrong that does not with the guard."""

from __future__ import annotations

import importlib
import inspect
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from tests.simulation import guards_page
from tests.simulation.guards import CORE, GUARDS, HERE, Change, Guard
from tests.simulation.guards_page import Shown
from tests.simulation.lives import live
from tests.simulation.plan import draw

MOST_LIVES = 20_000
BATCH = 250


@contextmanager
def without(guard: Guard) -> Iterator[None]:
    """The code lacks the guard while this lasts."""
    replaced: list[tuple[Any, str, Any]] = []
    try:
        for change in guard.changes:
            _remove(change, replaced)
        yield
    finally:
        for owner, name, before in reversed(replaced):
            setattr(owner, name, before)


def _remove(change: Change, replaced: list[tuple[Any, str, Any]]) -> None:
    module_name, _, path = change.where.partition(":")
    module = importlib.import_module(module_name)
    owner: Any = module
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    before = vars(owner)[name]
    source = textwrap.dedent(inspect.getsource(before))
    old, new = textwrap.dedent(change.old) if "\n" in change.old else change.old, change.new
    if source.count(change.old) < 1:
        raise LookupError(f"{change.where} has no such guard any more: {old!r}")
    code = compile(source.replace(change.old, new, 1), f"<{change.where} without a guard>", "exec")
    after = next(each for each in code.co_consts if hasattr(each, "co_name") and each.co_name == name)
    mutated = FunctionType(after, before.__globals__, name, before.__defaults__, before.__closure__)
    mutated.__kwdefaults__ = before.__kwdefaults__
    for holder in [owner] if classes else [each for each in list(sys.modules.values()) if _holds(each, name, before)]:
        replaced.append((holder, name, before))
        setattr(holder, name, mutated)


def _holds(module: Any, name: str, function: Any) -> bool:
    is_ours = str(getattr(module, "__name__", "")).startswith((CORE, HERE))
    return is_ours and getattr(module, name, None) is function


def lives_until_noticed(guard: Guard, first: int = 0, most: int = MOST_LIVES) -> tuple[int, str] | None:
    """How many lives it takes until one fails without the guard, and how; ``None`` if none does."""
    for begin in range(first, first + most, BATCH):
        with without(guard):
            plans = [plan for plan in map(draw, range(begin, begin + BATCH)) if guard.concerns(plan)]
            failed = [(plan.seed, found) for plan in plans if (found := live(plan).violations)]
        for seed, found in failed:
            # A life that also fails with the guard says nothing about it.
            if not live(draw(seed)).violations:
                return seed - first + 1, found[0]
    return None


def named(part: str) -> tuple[Guard, ...]:
    """The guards whose names contain this text; all of them if it is empty.

    :raises LookupError: there are none.
    """
    found = tuple(guard for guard in GUARDS if part in guard.name)
    if not found:
        raise LookupError(f"no guard's name contains {part!r}")
    return found


def try_guards(guards: tuple[Guard, ...], processes: int) -> bool:
    """Print after how many lives the removal of each guard shows; returns whether all do. All of them make a page."""
    begun = time.monotonic()
    print(guards_page.HEADER, flush=True)
    seen: list[Shown] = []
    with ProcessPoolExecutor(processes) as pool:
        for guard, found in zip(guards, pool.map(lives_until_noticed, guards), strict=True):
            seen.append(Shown(guard.name, guard.part, guard.faults, *(found or (None, ""))))
            print(seen[-1], flush=True)
    if guards == GUARDS:
        guards_page.write(seen, MOST_LIVES)
    print(f"{len(guards)} guards in {time.monotonic() - begun:.0f} s")
    return all(each.lives is not None for each in seen)
