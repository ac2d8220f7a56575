"""How figures are compared with the bar, and that tables and chart show every load that was measured."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from rich.console import Console

from bench.__main__ import RESULTS as FOLDER
from bench.chart import draw
from bench.contenders import HEADLINE, NO_LIST, OURS, PEERS
from bench.loop import Figures, Load, percentile
from bench.readme import README, table
from bench.results import FAST, SLOW, Results
from bench.table import show
from bench.tasks import TaskFigures

MACHINE = {"processor": "Some CPU", "cores": 2, "memory_gb": 8, "system": "Linux", "python": "3.11.0", "load": 0.1}


def figures(name: str, cpu: float, *, interval: float = SLOW, waits: int = 1000) -> Figures:
    return Figures(
        load=Load(name, waits, interval),
        cpu=cpu,
        loop_cpu=cpu,
        requests=1.0,
        connections=0.0,
        open=1,
        memory=8.0,
        latency=[0.1 * number for number in range(10)],
        messages=0.0,
        lines=0.0,
        block=0.01,
        block_at_start=0.01,
        block_at_end=0.01,
        lag=0.02,
        stub_cpu=0.1,
    )


def task(name: str, *, first_call: float) -> TaskFigures:
    return TaskFigures(name, parsed=20.0, first_call=first_call, next_call=20.0, requests=1.0, connections=1.0)


def good_results() -> Results:
    loop = [figures(peer.name, 6.0 + number) for number, peer in enumerate(PEERS)]
    loop += [figures(each.name, 0.1, interval=interval) for each in OURS for interval in (SLOW, FAST)]
    loop += [figures(HEADLINE, 0.5, waits=10_000), figures(HEADLINE, 0.05, waits=100)]
    loop += [figures(peer.name, 0.6 + number, waits=100) for number, peer in enumerate(PEERS)]
    loop += [figures(NO_LIST.name, 0.5, waits=100)]
    return Results(
        MACHINE,
        {"some-package": "1.0"},
        loop=loop,
        tasks=[task("dbt_cloud", first_call=34.0), task("cocktail", first_call=60.0)],
        imports={**dict.fromkeys((each.name for each in OURS), 3.0), **{peer.name: 120.0 for peer in PEERS}},
    )


def test_a_good_run_reaches_every_mark() -> None:
    assert [mark.what for mark in good_results().bar() if not mark.reached] == []


@pytest.mark.parametrize(
    ("worse", "mark"),
    [
        ({"cpu": 0.31}, "CPU at 1000 waits"),
        ({"requests": 2.3}, "requests a second at 5 s"),
        ({"connections": 0.1}, "new TCP connections"),
        ({"open": 9}, "open TCP connections"),
        ({"memory": 15.1}, "memory per wait"),
        ({"lines": 0.01}, "messages and log lines"),
        ({"messages": 0.01}, "messages and log lines"),
        ({"block": 0.051}, "longest block"),
        ({"block_at_start": 0.051}, "longest block"),
        ({"block_at_end": 0.051}, "longest block"),
    ],
)
def test_one_system_that_is_worse_misses_its_mark_only(worse: dict[str, float], mark: str) -> None:
    results = good_results()
    place = results.loop.index(next(each for each in results.loop if each.load.contender == "quay"))
    results.loop[place] = replace(results.loop[place], **worse)
    (missed,) = [each.what for each in results.bar() if not each.reached]
    assert missed.startswith(mark)


def test_a_poll_by_itself_that_costs_more_than_the_best_peers_misses_its_mark() -> None:
    results = good_results()
    place = next(number for number, each in enumerate(results.loop) if each.load.contender == NO_LIST.name)
    results.loop[place] = replace(results.loop[place], cpu=0.7)
    (missed,) = [mark for mark in results.bar() if not mark.reached]
    assert (missed.what, missed.target, missed.measured) == (
        "CPU of a single read, ms",
        "<= 10.00, the best peer",
        "11.67",
    )


def test_a_call_counts_with_the_import_before_it() -> None:
    results = good_results()
    assert results.task_cpu("dbt_cloud") == 154.0
    results.tasks[1] = task("cocktail", first_call=152.0)
    (missed,) = [mark for mark in results.bar() if not mark.reached]
    assert (missed.what, missed.measured) == ("CPU of an operator's import and first call, ms", "155")


def test_late_events_miss_the_marks_of_latency() -> None:
    results = good_results()
    place = next(number for number, each in enumerate(results.loop) if each.load.interval == FAST)
    results.loop[place] = replace(results.loop[place], latency=[0.8, 0.9, 2.0])
    assert [mark.what[:22] for mark in results.bar() if not mark.reached] == ["finish to event at 1 s"] * 2


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    assert {mark.reached for mark in Results(MACHINE, {}).bar()} == {None}


def test_a_ratio_is_against_the_best_peer_and_no_less_than_can_be_measured() -> None:
    results = Results(MACHINE, {}, loop=[figures("http", 9.0), figures("databricks", 6.0), figures("quay", 0.0)])
    assert results.cpu_ratio("quay") == pytest.approx(600)


def test_percentiles_of_one_value_are_not_shown() -> None:
    assert percentile([1.0], 99) is None
    assert percentile([0.0, 1.0], 50) == 0.5


def test_tables_show_machine_versions_problems_and_every_contender() -> None:
    results = good_results()
    results.loop[0] = replace(results.loop[0], problems=["3 waits did not end in time"])
    written = io.StringIO()
    show(results, Console(width=200, file=written))
    text = written.getvalue()
    for expected in ("Some CPU", "some-package 1.0", "3 waits did not end in time", *(each.label for each in OURS)):
        assert expected in text


def test_the_chart_is_well_formed_and_has_a_line_for_each_contender() -> None:
    root = ET.fromstring(draw(good_results()))
    lines = root.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2 * (len(PEERS) + 1)
    assert "prefers-color-scheme: dark" in draw(good_results())


def test_the_json_holds_percentiles_and_not_every_latency() -> None:
    assert good_results().to_json()["loop"][0]["latency"] == {"count": 10, "p50": 0.45, "p99": pytest.approx(0.891)}


def test_the_table_of_the_readme_is_that_of_the_last_figures():
    last = json.loads((FOLDER / "latest.json").read_text())
    assert table(last) in README.read_text()
