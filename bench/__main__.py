"""``make bench``: measures ours beside its peers, prints tables, writes ``bench/results`` and the README's table."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from bench.certificates import make_certificates
from bench.chart import draw
from bench.contenders import BY_NAME, HEADLINE, NO_LIST, OURS, PEERS
from bench.loop import Load, LoopBench
from bench.machine import describe_machine, versions
from bench.postgres import Postgres, PostgresMissingError
from bench.readme import rewrite
from bench.results import FAST, READ_WAITS, SLOW, Results
from bench.stub.control import Stub
from bench.table import show
from bench.tasks import OPERATORS, measure_import, measure_tasks
from bench.triggerer import TriggererBench

RESULTS = Path(__file__).parent / "results"
ENDING = 100
IDLE_WINDOW = 30.0
WIDTH = 150
"""Characters in a line where there is no terminal."""


def loads(*, quick: bool) -> Iterator[Load]:
    """What is measured in one loop, in this order."""
    for waits in (100, 1000) if quick else (100, 1000, 5000):
        for name in (*(peer.name for peer in PEERS), HEADLINE):
            window = 20.0 if waits == 1000 or quick else 15.0
            yield Load(name, waits, SLOW, window, ending=ENDING if waits == 1000 else 0)
    yield Load(NO_LIST.name, READ_WAITS, SLOW, 20.0)
    if not quick:
        yield from (Load(each.name, 1000, SLOW) for each in OURS if each.name != HEADLINE)
        yield Load(NO_LIST.name, 1000, SLOW, 15.0)
        yield Load(HEADLINE, 10_000, SLOW)
        yield from (Load(HEADLINE, 1000, SLOW, 15.0, connections) for connections in (5, 20))
    for each in OURS:
        if each.name == HEADLINE or not quick:
            yield Load(each.name, 1000, FAST, 10.0, ending=ENDING)


def triggerer_loads() -> Iterator[list[Load]]:
    """What is measured in the real triggerer: growing loads of one contender after the other."""
    for name in (*(peer.name for peer in PEERS), HEADLINE):
        growing = [Load(name, 300, SLOW, 15.0), Load(name, 1000, SLOW, 15.0, ending=ENDING)]
        yield [*growing, Load(name, 10_000, SLOW, 15.0)] if name == HEADLINE else growing


def run(*, quick: bool, console: Console) -> Results:
    results = Results(describe_machine(), versions())
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        home = Path(folder)
        certificates = make_certificates(home)
        bundle = certificates.bundle
        with Stub(certificates.server) as stub:
            for each in (*PEERS, *OURS):
                console.print(f"import: {each.label}")
                results.imports[each.name] = measure_import(bundle, home, each)
            for name in OPERATORS:
                console.print(f"parse and call: {BY_NAME[name].label}")
                results.tasks.append(measure_tasks(stub, bundle, home, BY_NAME[name]))
            bench = LoopBench(stub, bundle, home)
            console.print("in one loop: nothing")
            results.idle = bench.measure_idle(IDLE_WINDOW)
            for load in loads(quick=quick):
                console.print(
                    f"in one loop: {BY_NAME[load.contender].label}, {load.waits} waits every {load.interval:g} s"
                    + (f" over {load.connections} connections" if load.connections > 1 else "")
                )
                results.loop.append(bench.measure(load))
            if not quick:
                _measure_triggerer(results, stub, bundle, home, console)
    return results


def _measure_triggerer(results: Results, stub: Stub, bundle: Path, home: Path, console: Console) -> None:
    try:
        with Postgres() as postgres:
            console.print("in the triggerer: making the database")
            bench = TriggererBench(stub, bundle, home, postgres)
            for growing in triggerer_loads():
                sizes = ", ".join(str(load.waits) for load in growing)
                console.print(f"in the triggerer: {BY_NAME[growing[0].contender].label}, {sizes} waits")
                results.triggerer += bench.measure(growing)
    except PostgresMissingError as error:
        results.notes.append(f"The triggerer was not measured: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Compares our waits with those of other providers, prints tables, writes bench/results and the "
        "README's table. Takes about half an hour.",
    )
    parser.add_argument("--quick", action="store_true", help="100 and 1000 waits in one loop only; writes no files")
    quick = parser.parse_args().quick
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started ends, too
    console, begun = Console(), time.monotonic()
    if not console.is_terminal:
        console.width = WIDTH
    results = run(quick=quick, console=console)
    show(results, console)
    console.print(f"took {(time.monotonic() - begun) / 60:.0f} min")
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        figures = results.to_json()
        (RESULTS / "latest.json").write_text(json.dumps(figures, indent=1) + "\n")
        (RESULTS / "latest.svg").write_text(draw(results))
        rewrite(figures)


if __name__ == "__main__":
    main()
