"""Webhooks that arrive at real API servers on PostgreSQL, two of them behind what balances between them, and killed."""

from __future__ import annotations

import gzip
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider.sandbox import seed
from demo.ports import free_port
from demo.processes import SessionProcess, StartError, adopt_orphans
from demo.sandbox_server import SandboxServer
from tests.chaos.cluster import Cluster, kill_session
from tests.chaos.databases import missing
from tests.support import secrets
from tests.support.until import until

DAGS = Path(__file__).parent / "webhook_dags"
PREFIX = "/release-pipelines/webhooks"
RECORDING = Path(__file__).parents[1] / "sandbox" / "data" / "quay_webhooks.jsonl"
EVENTS = "acme/events"

SECRET, OLDER = (f"{secrets.OF_WEBHOOKS}-000000000{number}" for number in (1, 2))
WRONG = (f"{SECRET[:-1]}7", f"{SECRET}7", SECRET[:-1], f"{secrets.OF_WEBHOOKS}%2e%2e", f"{SECRET}/{OLDER}")

PUSHES, FINDINGS, REPEATS = 500, 500, 300
SENDERS = 6
LIMIT = 420.0
PAUSE = 0.3
"""Seconds between two questions to the API servers, which have other work to do."""


class Airflow(Cluster):
    """A scheduler, a DAG processor and two API servers."""

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.postgres = self._postgres.start()
        self._servers.append(self.postgres)
        (self.home / "passwords.json").write_text('{"admin": "admin"}')
        self.ports = {"api-server-1": self.port, "api-server-2": free_port()}
        commands = {name: ["api-server", "--port", str(port)] for name, port in self.ports.items()}
        env = self.env | self._timeouts(self._migrate())
        for name, command in {**commands, "dag-processor": ["dag-processor"], "scheduler": SCHEDULER}.items():
            self.components[name] = SessionProcess(name, ["airflow", *command], directory=self.home, env=env)
            self.components[name].start()

    def _missing(self, dag_ids: tuple[str, ...]) -> list[str]:
        try:
            # There is no triggerer here.
            missing = [name for name in self.api.unhealthy_components() if name != "triggerer"]
            if not missing and (errors := self.api.import_errors()):
                raise StartError(f"Airflow cannot import a DAG:\n{errors[0]}")
            return missing or [dag_id for dag_id in dag_ids if not self.api.has_dag(dag_id)] or self._silent()
        except requests.RequestException:
            return ["api server"]

    def _silent(self) -> list[str]:
        """API servers that do not answer yet."""
        silent = []
        for name, port in self.ports.items():
            try:
                requests.get(f"http://127.0.0.1:{port}/api/v2/version", timeout=5).raise_for_status()
            except requests.RequestException:
                silent.append(name)
        return silent

    def revive(self) -> None:
        """Start what has ended by itself, such as a scheduler whose database was away."""
        for name, component in self.components.items():
            if name not in self._killed and not component.is_running:
                component.start()


SCHEDULER = ["scheduler", "--skip-serve-logs"]


@dataclass
class Stage:
    airflow: Airflow
    sandbox: SandboxServer
    turns: Iterator[int] = field(default_factory=itertools.count)

    def url(self, secret: str = SECRET, endpoint: str = "pushes") -> str:
        """Of one of the API servers, in turn."""
        ports = list(self.airflow.ports.values())
        return f"http://127.0.0.1:{ports[next(self.turns) % len(ports)]}{PREFIX}/{endpoint}/{secret}"

    def push(self, tag: str, repository: str = EVENTS) -> str:
        return str(self.sandbox.control.act("quay", "push_image", repository=repository, tag=tag)["digest"])

    def events(self) -> list[dict[str, Any]]:
        """All asset events."""
        return list(self._pages("assets/events", "asset_events", "timestamp"))

    def runs(self) -> list[dict[str, Any]]:
        return list(self._pages("dags/on_push/dagRuns", "dag_runs", "id"))

    def _pages(self, path: str, name: str, order: str) -> Iterator[dict[str, Any]]:
        for page in itertools.count():
            query = {"limit": 100, "offset": 100 * page, "order_by": order}
            found = self.airflow.api.call("GET", path, params=query)[name]
            yield from found
            if len(found) < 100:
                return


def runs_of(event: dict[str, Any]) -> list[str]:
    """The runs that an event has gone into."""
    return [run["run_id"] for run in event["created_dagruns"]]


def recorded(event: str) -> dict[str, Any]:
    """A webhook of a real Quay."""
    lines = map(json.loads, RECORDING.read_text().splitlines())
    return next(each["body"] for each in lines if (each["event"], each["kind"]) == (event, "real"))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    if packages := missing("postgresql"):
        pytest.skip(f"needs Debian's {' '.join(packages)}")
    adopt_orphans()
    home = tmp_path_factory.mktemp("webhooks")
    with SandboxServer(home / "sandbox", speed=50) as sandbox:
        endpoint = {"source": "quay", "asset": "pushed-image", "secrets": [SECRET, OLDER]}
        quay = seed.connections(sandbox.url)["quay"]
        variables = {
            "AIRFLOW__RELEASE_PIPELINES__WEBHOOKS": json.dumps({"pushes": endpoint}),
            "AIRFLOW__LOGGING__UVICORN_LOGGING_LEVEL": "DEBUG",
            "AIRFLOW_CONN_QUAY_DEFAULT": json.dumps(quay),
        }
        airflow = Airflow(home / "airflow", dags=DAGS, variables=variables)
        # Quay takes no URL that names 127.0.0.1; this is another way to write it.
        airflow.env["AIRFLOW__RELEASE_PIPELINES__WEBHOOKS_URL"] = f"http://127.1:{airflow.port}"
        with airflow:
            airflow.wait_until_ready("on_push", "registry_webhooks")
            airflow.api.unpause("on_push")
            sandbox.control.reset(50)
            yield Stage(airflow, sandbox)
            assert secrets.found_in(secrets.kept_by_cluster(airflow)) == []
    texts = [path.read_text(errors="replace") for path in home.rglob("*") if path.is_file()]
    assert f"{PREFIX}/pushes/***" in "".join(texts), "no access was logged"
    assert secrets.found_in(texts, [secrets.OF_WEBHOOKS]) == []


def test_a_recorded_webhook_of_a_real_quay_starts_a_run_of_the_dag_on_its_asset(stage: Stage) -> None:
    digest = stage.push("ok")
    before = len(stage.runs())
    Sender(stage).deliver(recorded("repo_push"))
    run = until(lambda: stage.runs()[before:], seconds=LIMIT, pause=PAUSE)[0]
    assert run["run_type"] == "asset_triggered"
    (event,) = stage.events()
    assert runs_of(event) == [run["dag_run_id"]]
    assert (event["extra"]["repository"], event["extra"]["tag"], event["extra"]["digest"]) == (EVENTS, "ok", digest)


def test_from_notifications_as_code_to_a_run_everything_is_wired_by_itself(stage: Stage) -> None:
    api = stage.airflow.api
    run_id = api.trigger("registry_webhooks")
    ended = ("success", "failed")
    run = until(lambda: api.dag_run("registry_webhooks", run_id), lambda run: run["state"] in ended, LIMIT, PAUSE)
    assert run["state"] == "success"
    result = api.xcom("registry_webhooks", run_id, "keep") or {"notifications": []}
    assert [each["config"]["url"] for each in result["notifications"]] == ["http://127.1/***"]
    before = len(stage.runs())
    digest = stage.push("1.4.2", "acme/shop")
    run = until(lambda: stage.runs()[before:], seconds=LIMIT, pause=PAUSE)[0]
    (event,) = [each for each in stage.events() if each["extra"].get("digest") == digest]
    assert runs_of(event) == [run["dag_run_id"]]


class Sender:
    """Sends as the vendor does: each message again and again until it is answered with 200."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.delivered = 0
        self.refused: Counter[int | str] = Counter()
        self._lock = threading.Lock()

    def deliver(self, message: dict[str, Any]) -> None:
        deadline = time.monotonic() + LIMIT
        for number in itertools.count():
            status = post(self._stage.url(OLDER if number % 3 == 2 else SECRET), json=message)
            with self._lock:
                if status == 200:
                    self.delivered += 1
                    return
                self.refused[status] += 1
            assert time.monotonic() < deadline, f"not taken: {self.refused}"
            time.sleep(0.5)


def post(url: str, **options: Any) -> int | str:
    try:
        return requests.post(url, timeout=10, **options).status_code
    except requests.RequestException as error:
        return type(error).__name__


class Chunks:
    """A body of which nobody says how long it is."""

    def __iter__(self) -> Iterator[bytes]:
        return iter([b" " * 65_536] * 100)


def noise(stage: Stage, over: threading.Event) -> Counter[int | str]:
    """What strangers and broken senders send meanwhile; how each was answered."""
    answers: Counter[int | str] = Counter()
    whole = recorded("repo_push")
    as_json = {"content-type": "application/json"}
    bomb = gzip.compress(b" " * (64 * 1024 * 1024), 1)
    kinds: list[tuple[str, dict[str, Any]]] = [
        *((secret, {"json": whole}) for secret in WRONG),
        (SECRET, {"data": b" " * (6 * 1024 * 1024), "headers": as_json}),
        (SECRET, {"data": Chunks(), "headers": as_json}),
        (SECRET, {"data": bomb, "headers": {**as_json, "content-encoding": "gzip"}}),
        (SECRET, {"data": b"\x00\xff{", "headers": as_json}),
        (SECRET, {"data": b"[" * 100_000, "headers": as_json}),
        (SECRET, {"json": {"repository": "../..", "updated_tags": ["x"]}}),
        (SECRET, {"data": b"a=b"}),
    ]
    while not over.is_set():
        for secret, options in kinds:
            answers[post(stage.url(secret), **options)] += 1
            answers[post(stage.url(secret, endpoint="nobodys"), json=whole)] += 1
            if over.wait(0.05):
                break
    return answers


def test_a_thousand_webhooks_are_counted_once_each_whatever_is_killed_meanwhile(stage: Stage) -> None:
    airflow = stage.airflow
    tags, names = [f"t{number}" for number in range(PUSHES)], [f"CVE-{number}" for number in range(FINDINGS)]
    for tag in tags:
        stage.push(tag)
    push, finding = recorded("repo_push"), recorded("vulnerability_found")
    messages = [push | {"updated_tags": [tag]} for tag in tags]
    messages += [finding | {"vulnerability": finding["vulnerability"] | {"id": name}} for name in names]
    messages = [message for pair in zip(messages[::2], messages[1::2], strict=True) for message in pair]
    repeats = messages[::3][:REPEATS]
    before = {each["id"] for each in stage.events()}
    sender, over = Sender(stage), threading.Event()
    with ThreadPoolExecutor(SENDERS + 1) as threads:
        noisy = threads.submit(noise, stage, over)
        sent = [threads.submit(sender.deliver, message) for message in [*messages, *repeats]]
        try:
            for share, killed in ((0.15, "api-server-1"), (0.35, "both"), (0.6, "database"), (0.8, "api-server-2")):
                until(lambda: sender.delivered, (share * len(sent)).__le__, LIMIT, PAUSE)
                kill_and_restart(airflow, killed)
            for each in sent:
                each.result()
        finally:
            over.set()
        answers = noisy.result()
    assert sender.delivered == len(messages) + REPEATS
    assert sum(sender.refused.values()) > 0, "nothing that was killed was noticed"
    assert answers[200] == 0
    assert {404, 400, 413, 415} <= set(answers), answers
    extras = [each["extra"] for each in stage.events() if each["id"] not in before]
    counted = Counter(each.get("tag") or each["vulnerability"]["id"] for each in extras)
    assert counted == Counter([*tags, *names])
    airflow.revive()
    until(lambda: all(map(runs_of, stage.events())), seconds=LIMIT, pause=PAUSE)
    assert {len(runs_of(event)) for event in stage.events()} == {1}


def kill_and_restart(airflow: Airflow, what: str) -> None:
    """As when machines die: without a word, and another one takes their place after some seconds."""
    if what == "database":
        kill_session(airflow.postgres)
        time.sleep(2)
        # What it has left in memory must be gone first.
        until(lambda: start_and_see(airflow.postgres), seconds=LIMIT)
        airflow.revive()
        return
    names = ["api-server-1", "api-server-2"] if what == "both" else [what]
    for name in names:
        airflow.kill(name)
    time.sleep(2)
    for name in names:
        airflow.restart(name)


def start_and_see(process: SessionProcess) -> bool:
    """Whether a process that was started is up for some seconds."""
    process.start()
    time.sleep(2)
    return process.is_running
