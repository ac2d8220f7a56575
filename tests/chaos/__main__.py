"""``python -m tests.chaos``: the suite or its short form; prints a table, exit status 1 if it is not clean."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path
from typing import Any

import requests

from demo.processes import StartError, adopt_orphans
from demo.sandbox_server import SandboxServer
from tests.chaos.accounting import Account, History
from tests.chaos.cluster import Cluster
from tests.chaos.connections import Connections
from tests.chaos.databases import install_missing
from tests.chaos.director import Director
from tests.chaos.gates import ASKING_KINDS
from tests.chaos.plan import Release, make_plan
from tests.chaos.task_logs import TaskLogs
from tests.chaos.vendors import RERUN_MODES, SYSTEMS, Elsewhere, Vendors

DAGS = Path(__file__).parent / "dags"
FAULTS: tuple[dict[str, Any], ...] = (
    {"fault": "latency", "seconds": 0.8, "probability": 0.1},
    {"fault": "status", "status": 503, "probability": 0.03},
    {"fault": "status", "status": 502, "probability": 0.02},
    {"fault": "status", "status": 500, "probability": 0.02},
    {"fault": "status", "status": 429, "headers": {"Retry-After": "1"}, "probability": 0.03},
    {"fault": "reset_before", "probability": 0.02},
    {"fault": "reset_after", "probability": 0.03},
    {"fault": "truncate", "probability": 0.02},
    {"fault": "html", "probability": 0.02},
)


@dataclass(frozen=True)
class Form:
    """How long a run of the suite is.

    :param waves: DAG runs, at least.
    :param of_each: releases of one kind and mode in a wave.
    :param kills: at least so many SIGKILLs.
    :param between: seconds from one wave to the next.
    :param speed: of the sandbox; a release takes nominally 8 seconds.
    """

    waves: int
    of_each: int
    kills: int
    between: float
    speed: float


SHORT = Form(waves=2, of_each=2, kills=12, between=20.0, speed=0.5)
WHOLE = Form(waves=9, of_each=2, kills=40, between=25.0, speed=0.4)

REQUEST_TIMEOUT = 8.0
"""Seconds; after a start whose answer was lost, the next attempt searches for a time that grows with this."""
SPARE = 3
"""More waves, for a machine so fast that all is over before each kind of harm was done."""
HARM_LIMIT = 1800.0
"""Seconds for which harm is done at most, be the machine as busy as it may."""
CALM = 3
"""Looks, a second apart, that find all runs over."""
STUCK_AFTER = 180.0
"""Seconds without any change after which tasks are taken for stuck."""
END_LIMIT = 1800.0
"""Seconds that the last releases may take after the harm."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Kills Airflow's processes under running releases and accounts for each start. Prints a table; the "
        "exit status is 1 if anything was doubled, lost, wrongly canceled, left running or wrongly decided.",
    )
    parser.add_argument("--short", action="store_true", help="fewer releases and kills, with LocalExecutor only")
    parser.add_argument("--executor", choices=["local", "celery"], help="only this one (default: one after the other)")
    parser.add_argument("--seed", type=int, help="repeat the run that printed this seed (default: another each time)")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(10_000) if arguments.seed is None else arguments.seed
    executors = [arguments.executor] if arguments.executor else ["local"] if arguments.short else ["local", "celery"]
    adopt_orphans()
    # So that everything is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        install_missing("postgresql", "redis-server")
        clean = [run(SHORT if arguments.short else WHOLE, executor, seed) for executor in executors]
    except StartError as error:
        print(error)
        return 1
    return 0 if all(clean) else 1


def run(form: Form, executor: str, seed: int) -> bool:
    """One run of the suite; returns whether all was well and enough has happened."""
    print(f"chaos with {executor} executor, SEED={seed}", flush=True)
    home = Path(tempfile.mkdtemp(prefix="chaos-"))
    # PostgreSQL runs as a user of its own, who must be able to reach its directory.
    home.chmod(0o755)
    started = time.monotonic()
    with (
        SandboxServer(home / "sandbox", speed=form.speed) as sandbox,
        SandboxServer(home / "elsewhere", speed=0.001) as other,
    ):
        sandbox.control.switch("cocktail", account_parallel_limit=1000)
        vendors, elsewhere = Vendors(sandbox), Elsewhere(other)
        releases, plan = make_plan(vendors, form.waves + SPARE, form.of_each)
        (home / "plan.json").write_text(json.dumps(plan))
        cluster = Cluster(
            home / "airflow", dags=DAGS, celery=executor == "celery", variables={"CHAOS_PLAN": str(home / "plan.json")}
        )
        logs = TaskLogs(cluster.task_logs)
        with cluster:
            cluster.wait_until_ready(*plan)
            connections = {each["conn_type"]: _impatient(each) for each in sandbox.connections()}
            changes = {
                each.conn_id: (
                    connections["cocktail"] | {"connection_id": each.conn_id},
                    _impatient(elsewhere.connection(each.conn_id)),
                )
                for each in releases
                if each.conn_id
            }
            for connection in [*connections.values(), *(before for before, _ in changes.values())]:
                cluster.api.save_connection(connection)
            for number, (system, fault) in enumerate(product(SYSTEMS, FAULTS)):
                sandbox.control.fault(system, seed=seed + number, **fault)
            moving = Connections(cluster.api, logs, changes, releases)
            director = Director(
                cluster, vendors, releases, moving, logs, kills=form.kills, seed=seed, log=home / "director.log"
            )
            runs = direct(cluster, director, vendors, form, list(plan))
            sandbox.control.clear_faults()
            begun = [each for each in releases if each.dag_id in runs]
            account = settle(cluster, vendors, elsewhere, director, begun, runs)
        vendors.close()
    print(account.table())
    print(f"{director.kills.total()} kills: {_counted(director.kills)}; also: {_counted(director.others)}")
    print(f"people about gates: {account.decisions}")
    print(f"ended by the triggerer: {account.ended_in_triggerer} tasks; ", end="")
    print(f"failed and named both systems: {len(moving.named)} of {len(moving.changed)} with a changed connection")
    print(f"{time.monotonic() - started:.0f} s", flush=True)
    lacking = director.lacking + account.lacking
    if account.is_clean and not lacking:
        shutil.rmtree(home, ignore_errors=True)
        return True
    if not account.is_clean:
        print(account.complaints())
    if lacking:
        print(f"too little harm, it proves nothing without: {', '.join(lacking)}")
    print(f"SEED={seed} repeats it; logs: {home}", flush=True)
    return False


def direct(cluster: Cluster, director: Director, vendors: Vendors, form: Form, dag_ids: list[str]) -> dict[str, str]:
    """Wave after wave with harm in between, until the harm is enough; returns the run of each DAG."""
    runs: dict[str, str] = {}
    rerun_modes = cycle(RERUN_MODES)
    next_wave = time.monotonic()
    end = next_wave + HARM_LIMIT
    while time.monotonic() < end:
        if len(runs) >= form.waves and not director.lacking:
            break
        is_wanted = len(runs) < form.waves or (len(runs) < len(dag_ids) and _are_over(cluster, runs))
        if is_wanted and time.monotonic() >= next_wave and (run_id := _trigger(cluster, dag_ids[len(runs)])):
            runs[dag_ids[len(runs)]] = run_id
            next_wave = time.monotonic() + form.between
        vendors.answer_reruns(next(rerun_modes))
        time.sleep(director.act())
    director.finish()
    return runs


def settle(
    cluster: Cluster,
    vendors: Vendors,
    elsewhere: Elsewhere,
    director: Director,
    releases: list[Release],
    runs: dict[str, str],
) -> Account:
    """Wait, unharmed, for the end of all runs, and then for cancels that are under way; and collect what happened."""
    cluster.wait_until_ready()
    end = time.monotonic() + END_LIMIT
    states, changed, calm = None, time.monotonic(), 0
    # A run that has failed goes on when a person clears a task of it.
    while calm < CALM and time.monotonic() < min(end, changed + STUCK_AFTER):
        director.restart_ended()
        with suppress(requests.RequestException):
            director.answer()
            before, states = states, _states(cluster, runs)
            if states != before:
                changed = time.monotonic()
        calm = calm + 1 if _are_over(cluster, runs) else 0
        time.sleep(1)
    time.sleep(12)
    executions, gates = vendors.executions(), vendors.gates.taken()
    # Who only asks has started nothing: what it asks about is somebody else's.
    others = [seen for each in releases if each.kind in ASKING_KINDS for seen in executions.pop(each.name)]
    states = _states(cluster, runs)
    logs = TaskLogs(cluster.task_logs)
    histories = []
    for release in releases:
        where = (release.dag_id, release.task_id, release.map_index)
        result = cluster.api.xcom(release.dag_id, runs[release.dag_id], release.task_id, map_index=release.map_index)
        seen = executions.pop(release.name, [])
        is_from_here = result and elsewhere.url not in result["ref"].get("place", "")
        histories.append(
            History(
                release,
                seen,
                director.acts[release.name],
                states[where][0],
                result["id"] if result and is_from_here else None,
                guesses=logs.guesses(release),
                named=logs.named(release, seen),
                ended_in_triggerer=logs.ended_in_triggerer(release),
                gates=gates.get(release.name, []),
                said=director.reviewers.said[release.name],
            )
        )
    others += [each for several in executions.values() for each in several]
    return Account(histories, others + elsewhere.executions())


def _impatient(connection: dict[str, Any]) -> dict[str, Any]:
    extra = json.loads(connection.get("extra") or "{}")
    return {**connection, "extra": json.dumps({**extra, "request_timeout": REQUEST_TIMEOUT})}


def _states(cluster: Cluster, runs: dict[str, str]) -> dict[tuple[str, str, int], tuple[str | None, int]]:
    """State and number of try of each task instance."""
    return {
        (each["dag_id"], each["task_id"], each["map_index"]): (each["state"], each["try_number"])
        for dag_id, run_id in runs.items()
        for each in cluster.api.task_instances(dag_id, run_id)
    }


def _trigger(cluster: Cluster, dag_id: str) -> str | None:
    """The run of a DAG, made unless a lost answer hid it; ``None`` while the API server is down."""
    try:
        return next(iter(cluster.api.run_ids(dag_id)), None) or cluster.api.trigger(dag_id)
    except requests.RequestException:
        return None


def _are_over(cluster: Cluster, runs: dict[str, str]) -> bool:
    try:
        return all(cluster.api.dag_run(*each)["state"] in ("success", "failed") for each in runs.items())
    except requests.RequestException:
        return False


def _counted(counts: Any) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common()) or "nothing"


if __name__ == "__main__":
    sys.exit(main())
