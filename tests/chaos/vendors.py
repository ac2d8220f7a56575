"""What the four systems hold for each release and what they received; the owner of each start is certain."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.quay import QuayClient
from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.sandbox import seed
from demo.sandbox_server import SandboxServer
from tests.chaos.gates import ASKING_KINDS, GATED_KINDS, Gates

SYSTEMS = ("code_stream", "service_stage", "cocktail", "quay")
UNGATED_KINDS = ("code_stream", "event_rerun", "service_stage", "cocktail", "quay")
KINDS = UNGATED_KINDS + GATED_KINDS + ASKING_KINDS
"""Of releases: one a system, reruns of Code Stream's trigger events, and those that people decide about."""
RERUN_MODES = ("link_in_reply", "link_later", "new_event")
"""How a Code Stream server may answer a rerun."""
COLLEAGUES_BUILDS = 250
"""Build runs on the other Cocktail, with the numbers that ours have here."""
SUCCEEDED = {"COMPLETED", "2", "DONE", "complete"}
# A stopped ServiceStage release is paused (7): nothing continues there.
ENDED = SUCCEEDED | {"FAILED", "CANCELED", "3", "7", "9", "11", "12", "ERROR", "error", "cancelled", "expired"}
FAILED = {"FAILED", "3"}
"""From which an execution can be continued."""
STAGES = [
    {"name": "build", "tasks": [{"name": "b1", "type": "build"}]},
    {"name": "deploy", "tasks": [{"name": "d1", "type": "update_component"}]},
]


PIPELINE = {
    "enabled": True,
    "state": "RELEASED",
    "project": "retail",
    "input": {"tag": "latest"},
    "stageOrder": ["Build", "Prod"],
    "stages": {
        "Build": {"taskOrder": ["Unit"], "tasks": {"Unit": {"type": "CI"}}},
        "Prod": {"taskOrder": ["Deploy"], "tasks": {"Deploy": {"type": "REST"}}},
    },
}


@dataclass(frozen=True)
class Seen:
    """One execution, in its system's words; times are epoch seconds, ``ended`` is ``None`` while it runs.

    :param resumed: how often it was continued after a failure.
    """

    system: str
    id: str
    state: str
    started: float
    ended: float | None
    cancels: tuple[float, ...]
    resumed: int = 0

    @property
    def succeeded(self) -> bool:
        return self.state in SUCCEEDED

    def goes_on_at(self, moment: float) -> bool:
        return self.started <= moment and (self.ended is None or self.ended > moment)


class Vendors:
    """:param sandbox: the stand-ins; they must answer without faults while this asks them."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self._sandbox = sandbox
        access_key, (secret_key, _) = next(iter(seed.SERVICE_STAGE_KEYS.items()))
        self._service_stage = ServiceStageClient(
            f"{sandbox.url}/service_stage",
            access_key=access_key,
            secret_key=secret_key,
            region=next(iter(seed.SERVICE_STAGE_PROJECTS)),
            project_id=next(iter(seed.SERVICE_STAGE_PROJECTS.values())),
        )
        user, password = next(iter(seed.CODE_STREAM_USERS.items()))
        self._code_stream = CodeStreamClient(f"{sandbox.url}/code_stream", username=user, password=password)
        self._cocktail = CocktailClient(f"{sandbox.url}/cocktail", token=seed.COCKTAIL_TOKEN)
        self._quay = QuayClient(f"{sandbox.url}/quay", token=seed.QUAY_TOKEN)
        self.gates = Gates(sandbox.control, self._code_stream, self._service_stage)
        self._repositories: dict[str, str] = {}

    def close(self) -> None:
        for client in (self._code_stream, self._service_stage, self._cocktail, self._quay):
            client.close()

    def answer_reruns(self, mode: str) -> None:
        """Let Code Stream answer reruns in this way from now on."""
        self._sandbox.control.switch("code_stream", rerun=mode)

    def prepare(self, kind: str, name: str, *, fails_at_first: bool = False) -> dict[str, Any]:
        """Make what a release of this name needs for itself; returns the arguments of its operator.

        :param fails_at_first: what it starts first fails, and is to be resumed; only for systems that can do that. If
            people are to decide about it, they do so twice.
        """
        if kind in GATED_KINDS + ASKING_KINDS:
            return self.gates.prepare(kind, name, gates=1 + fails_at_first)
        on_retry = {"on_retry": "resume"} if fails_at_first else {}
        if kind == "code_stream":
            return {"pipeline": "Deploy shop", "project": "retail", "comments": name}
        if kind == "event_rerun":
            return {"event_type": "docker", "event_id": self._event(name, fails_at_first), **on_retry}
        if kind == "service_stage":
            made = self._service_stage.release_tasks.create({"name": name, "config_mode": "ui", "stages": STAGES})
            if fails_at_first:
                self._fail_once("service_stage", made["id"], "d1")
            return {"pipeline": made["id"], **on_retry}
        if kind == "cocktail":
            build = self._cocktail.builds.create({"editType": "N", "buildName": name, "imageName": name})
            # A tag that was built is refused: every attempt that starts something names its own.
            tag = "{{ ti.max_tries }}-{{ ti.try_number }}"
            return {"build_seq": build["buildSeq"], "description": name, "tag_name": tag}
        repository = f"acme/{name}"
        self._quay.repositories.create(repository)
        self._repositories[repository] = name
        return {"repository": repository, "archive_url": f"https://sources.example.com/{name}.tar.gz", "tags": ["t"]}

    def _event(self, name: str, fails_at_first: bool) -> str:
        """A push of an image tag of its own, whose delivery has started nothing."""
        pipeline = "Deploy shop"
        if fails_at_first:
            pipeline = f"Deploy {name}"
            self._code_stream.pipelines.create({"name": pipeline, **PIPELINE})
            self._fail_once("code_stream", pipeline, "Prod.Deploy")
        event = self._sandbox.control.act(
            "code_stream",
            "deliver",
            kind="docker",
            pipeline=pipeline,
            fields={"tag": name},
            inputs={"tag": name},
            refused="the token of the webhook has expired",
        )
        return str(event["id"])

    def _fail_once(self, system: str, pipeline: str, task: str) -> None:
        self._sandbox.control.act(system, "script", pipeline=pipeline, task=task, fails="No space left.", times=1)

    def builds(self, name: str) -> list[Seen]:
        """Cocktail's builds of a release; can be asked while the stand-ins answer with faults."""
        builds = self._sandbox.control.executions("cocktail")
        return [_seen(each) for each in builds if each["started_by"].endswith(f" {name}")]

    def begin_again(self, build: Seen) -> None:
        """Let a running build of Cocktail take as long as if it began now."""
        self._sandbox.control.force("cocktail", build.id, "RUNNING")

    def finish(self, execution: Seen) -> None:
        """Let an execution end well now."""
        word = {"code_stream": "COMPLETED", "service_stage": "2", "cocktail": "DONE", "quay": "complete"}
        self._sandbox.control.force(execution.system, execution.id, word[execution.system])

    def executions(self) -> dict[str, list[Seen]]:
        """All executions by the name of their release, oldest first; under "" what is nobody's here."""
        owner: dict[tuple[str, str], str] = {}
        events = {each["id"]: each["tag"] for each in self._code_stream.events.list("docker")}
        for repository, name in self._repositories.items():
            for build in self._quay.builds.list(repository, limit=100):
                owner["quay", str(build["id"])] = name
        found: dict[str, list[Seen]] = defaultdict(list)
        for each in self._sandbox.control.executions():
            system = each["system"]
            if system in ("code_stream", "cocktail"):
                # Behind the marker; or "Triggered by docker event" and its id.
                last = each["started_by"].rpartition(" ")[2]
                name = events.get(last, last)
            else:
                name = each["pipeline"] if system == "service_stage" else owner.get((system, each["id"]), "")
            if each["kind"] not in ("CANCEL", "REMOVE"):
                found[name].append(_seen(each))
        for executions in found.values():
            executions.sort(key=lambda each: each.started)
        return found


class Elsewhere:
    """Another Cocktail, on which a colleague's builds have the numbers of ours.

    :param sandbox: so slow that nothing ends there.
    """

    def __init__(self, sandbox: SandboxServer) -> None:
        self._sandbox = sandbox
        sandbox.control.switch("cocktail", account_parallel_limit=2 * COLLEAGUES_BUILDS)
        with CocktailClient(f"{sandbox.url}/cocktail", token=seed.COCKTAIL_TOKEN) as client:
            for number in range(COLLEAGUES_BUILDS):
                name = f"colleague-{number}"
                made = client.builds.create({"editType": "N", "buildName": name, "imageName": name})
                client.builds.run(made["buildSeq"], tag_name="1", description="colleague")

    @property
    def url(self) -> str:
        return self._sandbox.url

    def connection(self, connection_id: str) -> dict[str, Any]:
        cocktail = next(each for each in self._sandbox.connections() if each["conn_type"] == "cocktail")
        return {**cocktail, "connection_id": connection_id}

    def executions(self) -> list[Seen]:
        return [
            _seen(each)
            for each in self._sandbox.control.executions("cocktail")
            if each["kind"] not in ("CANCEL", "REMOVE")
        ]


def _seen(each: dict[str, Any]) -> Seen:
    states = each["states"]
    return Seen(
        system=each["system"],
        id=each["id"],
        state=each["state"],
        started=states[0]["at"],
        ended=states[-1]["at"] if each["state"] in ENDED else None,
        cancels=tuple(each["cancels"]),
        resumed=sum(before["state"] in FAILED for before in states[:-1]),
    )
