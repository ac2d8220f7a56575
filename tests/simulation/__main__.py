"""``python -m tests.simulation``: lives many lives, counts what they did, and reports those that went wrong."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from airflow_provider.core.generation import Relation
from airflow_provider.core.states import TRANSITIONS
from tests.simulation import story
from tests.simulation.lives import live
from tests.simulation.plan import draw

BATCH = 500
MOST_STORIES = 3
"""Lives that are printed in full; of the others only the seed and the violation."""


@dataclass
class Tally:
    """What many lives did."""

    lives: int = 0
    moves: Counter[Any] = field(default_factory=Counter)
    relations: Counter[Any] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.lives += other.lives
        self.moves.update(other.moves)
        self.relations.update(other.relations)
        self.counted.update(other.counted)
        self.failed += other.failed


def live_many(seeds: range) -> Tally:
    tally = Tally()
    for seed in seeds:
        world = live(draw(seed))
        tally.lives += 1
        tally.moves.update(world.moves)
        tally.relations.update(world.relations)
        tally.counted.update(world.counted)
        tally.failed += [(seed, violation) for violation in world.violations[:1]]
    return tally


def try_lives(first: int, count: int, processes: int) -> Tally:
    """:param first: seed of the first life; the others have those that follow it."""
    batches = [range(seed, min(seed + BATCH, first + count)) for seed in range(first, first + count, BATCH)]
    tally = Tally()
    for part in _each(batches, processes):
        tally.add(part)
    return tally


def _each(batches: list[range], processes: int) -> Iterator[Tally]:
    if processes == 1:
        yield from map(live_many, batches)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(live_many, batches)


def report(tally: Tally, seconds: float) -> None:
    print("transitions of the core (states.TRANSITIONS), and how often each was made:")
    for (before, after), reason in TRANSITIONS.items():
        print(f"  {tally.moves[before, after]:9,}  {before:>10} -> {after:<10}  {reason}")
    print("how attempts related to the one that saved the record (generation.Relation):")
    for related in Relation:
        print(f"  {tally.relations[related]:9,}  {related}")
    print("other decisions and events:")
    for name, count in sorted(tally.counted.items()):
        print(f"  {count:9,}  {name}")
    print(f"{tally.lives:,} lives in {seconds:.0f} s: {tally.lives / seconds:.0f} a second")


def is_well(tally: Tally) -> bool:
    """Whether nothing went wrong; prints what did."""
    never = [f"never made: {before} -> {after}" for before, after in TRANSITIONS if not tally.moves[before, after]]
    never += [f"no attempt was {related}" for related in Relation if not tally.relations[related]]
    for missing in never:
        print(missing, file=sys.stderr)
    for seed, violation in tally.failed[MOST_STORIES:]:
        print(f"life {seed} failed: {violation}", file=sys.stderr)
    for seed, violation in tally.failed[:MOST_STORIES]:
        print(f"\nlife {seed} failed: {violation}; shortened:", file=sys.stderr)
        print(story.render(story.shorten(draw(seed))), file=sys.stderr)
    if tally.failed:
        print(f"\n{len(tally.failed)} of {tally.lives:,} lives failed", file=sys.stderr)
    return not tally.failed and not never


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description="Simulates many lives of a task in virtual time, prints what they did, and the story of each in "
        "which a promise broke. The exit status is 1 if one did.",
    )
    parser.add_argument("--lives", type=int, default=100_000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first life (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="how many at once (default: %(default)s)")
    parser.add_argument("--story", type=int, metavar="SEED", help="print the story of one life instead")
    parser.add_argument("--short", action="store_true", help="with --story: shorten a life that fails first")
    parser.add_argument(
        "--guards",
        nargs="?",
        const="",
        metavar="PART",
        help="remove each guard whose name contains PART (default: all), and count the lives until that shows",
    )
    options = parser.parse_args()
    if options.story is not None:
        plan = draw(options.story)
        if options.short and live(plan).violations:
            plan = story.shorten(plan)
        print(story.render(plan))
        return 0
    if options.guards is not None:
        from tests.simulation.mutations import named, try_guards

        return 0 if try_guards(named(options.guards), options.processes) else 1
    begun = time.monotonic()
    tally = try_lives(options.seed, options.lives, options.processes)
    report(tally, time.monotonic() - begun)
    return 0 if is_well(tally) else 1


if __name__ == "__main__":
    sys.exit(main())
