"""What the four systems hold for each release and what they saw of it; each start can be told its owner for certain."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.clients.quay import QuayClient
from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.sandbox import seed
from demo.sandbox_server import SandboxServer

SYSTEMS = ("code_stream", "service_stage", "cocktail", "quay")
SUCCEEDED = {"COMPLETED", "2", "DONE", "complete"}
# A stopped ServiceStage release is paused (7): nothing goes on there.
ENDED = SUCCEEDED | {"FAILED", "CANCELED", "3", "7", "9", "11", "12", "ERROR", "error", "cancelled", "expired"}
STAGES = [
    {"name": "build", "tasks": [{"name": "b1", "type": "build"}]},
    {"name": "deploy", "tasks": [{"name": "d1", "type": "update_component"}]},
]


@dataclass(frozen=True)
class Seen:
    """One execution, in its system's words; times are epoch seconds, ``ended`` is ``None`` while it goes on."""

    system: str
    id: str
    state: str
    started: float
    ended: float | None
    cancels: tuple[float, ...]

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
        self._cocktail = CocktailClient(f"{sandbox.url}/cocktail", token=seed.COCKTAIL_TOKEN)
        self._quay = QuayClient(f"{sandbox.url}/quay", token=seed.QUAY_TOKEN)
        self._release_tasks: dict[str, str] = {}
        self._repositories: dict[str, str] = {}

    def close(self) -> None:
        for client in (self._service_stage, self._cocktail, self._quay):
            client.close()

    def prepare(self, system: str, name: str) -> dict[str, Any]:
        """Make what a release of this name needs for itself; returns the arguments of its operator."""
        if system == "code_stream":
            return {"pipeline": "Deploy shop", "project": "retail", "comments": name}
        if system == "service_stage":
            made = self._service_stage.create_pipeline({"name": name, "config_mode": "ui", "stages": STAGES})
            self._release_tasks[str(made["id"])] = name
            return {"pipeline": made["id"]}
        if system == "cocktail":
            made = self._cocktail.create_build({"editType": "N", "buildName": name, "imageName": name})
            # A tag that was built is refused: every attempt that starts something names its own.
            tag = "{{ ti.max_tries }}-{{ ti.try_number }}"
            return {"build_seq": made["buildSeq"], "description": name, "tag_name": tag}
        repository = f"acme/{name}"
        self._quay.create_repository(repository)
        self._repositories[repository] = name
        return {"repository": repository, "archive_url": f"https://sources.example.com/{name}.tar.gz", "tags": ["t"]}

    def executions(self) -> dict[str, list[Seen]]:
        """All executions by the name of their release, oldest first."""
        owner: dict[tuple[str, str], str] = {}
        for pipeline_id, name in self._release_tasks.items():
            for record in self._service_stage.list_records(pipeline_id):
                owner["service_stage", str(record["id"])] = name
        for repository, name in self._repositories.items():
            for build in self._quay.list_builds(repository, limit=100):
                owner["quay", str(build["id"])] = name
        found: dict[str, list[Seen]] = defaultdict(list)
        for each in self._sandbox.get("executions"):
            system = each["system"]
            if system in ("code_stream", "cocktail"):
                name = each["started_by"].partition(" ")[0]
            else:
                name = owner.get((system, each["id"]), "")
            if each["kind"] not in ("CANCEL", "REMOVE"):
                found[name].append(_seen(each))
        for executions in found.values():
            executions.sort(key=lambda each: each.started)
        return found

    def finish(self, execution: Seen) -> None:
        """Let an execution end well now."""
        word = {"code_stream": "COMPLETED", "service_stage": "2", "cocktail": "DONE", "quay": "complete"}
        self._sandbox.post(f"executions/{execution.system}/{execution.id}", state=word[execution.system])


def _seen(each: dict[str, Any]) -> Seen:
    states = each["states"]
    return Seen(
        system=each["system"],
        id=each["id"],
        state=each["state"],
        started=states[0]["at"],
        ended=states[-1]["at"] if each["state"] in ENDED else None,
        cancels=tuple(each["cancels"]),
    )
