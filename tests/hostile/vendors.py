"""A sandbox of its own for each kind of neighbour, and the executions there: none ends by itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.quay import QuayClient
from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.execution import ExecutionRef
from airflow_provider.sandbox import seed
from demo.sandbox_server import SandboxServer

SYSTEMS = ("code_stream", "service_stage", "cocktail", "quay")
SLOW = 0.0001
"""How many times faster than their nominal pace executions run: none ends within an hour."""
WORDS = {"code_stream": "COMPLETED", "service_stage": "2", "cocktail": "DONE", "quay": "complete"}
"""Each system's word for an execution that has succeeded."""
SUCCESSES = ["COMPLETED", "APPROVED", "DONE", "complete", "scanned", 2, 9, 11, "2", "9", "11"]
"""Words that no vendor here uses by itself: any success that a client reports is wrong then."""
STAGES = [{"name": "build", "tasks": [{"name": "b1", "type": "build"}]}]
IN_VAIN = "never-there"


class Vendor:
    """:param name: of its connections: ``<name>_<system>_<number>``.
    :param home: of its log.
    :param connections: to each of its systems.
    """

    def __init__(self, name: str, home: Path, connections: int = 1) -> None:
        self._name, self._connections = name, connections
        self._turns = itertools.count()
        self.sandbox = SandboxServer(home / name, speed=SLOW)
        self._numbers = itertools.count()

    def start(self) -> None:
        self.sandbox.__enter__()
        url = self.sandbox.url
        user, password = next(iter(seed.CODE_STREAM_USERS.items()))
        access_key, (secret_key, _) = next(iter(seed.SERVICE_STAGE_KEYS.items()))
        region, project_id = next(iter(seed.SERVICE_STAGE_PROJECTS.items()))
        self._code_stream = CodeStreamClient(f"{url}/code_stream", username=user, password=password)
        self._service_stage = ServiceStageClient(
            f"{url}/service_stage", access_key=access_key, secret_key=secret_key, region=region, project_id=project_id
        )
        self._cocktail = CocktailClient(f"{url}/cocktail", token=seed.COCKTAIL_TOKEN)
        self._quay = QuayClient(f"{url}/quay", token=seed.QUAY_TOKEN)
        self.sandbox.control.switch("cocktail", account_parallel_limit=1000)

    def stop(self) -> None:
        self.sandbox.stop()

    def connections(self) -> dict[str, dict[str, Any]]:
        """As Airflow's table has them, by id."""
        fields = self.sandbox.control.connections
        return {
            f"{self._name}_{system}_{number}": each
            for system, each in fields.items()
            for number in range(self._connections)
        }

    def conn_id(self, system: str) -> str:
        """Of one connection after the other."""
        return f"{self._name}_{system}_{next(self._turns) % self._connections}"

    def be_hostile(self, seed_number: int) -> None:
        """From now on, most answers are garbage; logins sometimes succeed."""
        kinds: tuple[tuple[str, float], ...] = (("(login|auth/tokens|authorize)", 0.05), ("", 0.7))
        for path, probability in kinds:
            self.sandbox.control.fault(
                "all",
                "hostile",
                path=path or "^(?!.*(login|auth/tokens|authorize))",
                probability=probability,
                seed=seed_number,
                spared=SUCCESSES,
            )

    def end(self, ref: ExecutionRef) -> None:
        """Let an execution succeed now."""
        self.sandbox.control.force(ref["system"], ref["id"], WORDS[ref["system"]])

    def begin(self, system: str) -> ExecutionRef:
        """Start an execution of a system; it must answer properly."""
        number = next(self._numbers)
        make: dict[str, Callable[[int], ExecutionRef]] = {
            "code_stream": self._pipeline,
            "service_stage": self._release,
            "cocktail": self._run,
            "quay": self._build,
        }
        return {"system": system, **make[system](number)}

    def other_refs(self, system: str) -> list[ExecutionRef]:
        """What can be waited for besides executions, and never comes."""
        found = {
            "code_stream": [
                {"kind": "event", "id": "", "event_type": "docker", "filters": f'{{"tag": "{IN_VAIN}"}}'},
                {"kind": "approval", "id": "", "pipeline": IN_VAIN},
            ],
            "quay": [{"kind": "tag", "id": IN_VAIN, "repository": "acme/shop", "tag": IN_VAIN, "digest": ""}],
        }.get(system, [])
        return [{"system": system, **each} for each in found]

    def _pipeline(self, number: int) -> ExecutionRef:
        pipeline = self._code_stream.pipelines.find("Deploy shop", project="retail")
        return self._code_stream.pipelines.run(pipeline["id"], comments=f"wait {number}").ref

    def _release(self, number: int) -> ExecutionRef:
        made = self._service_stage.release_tasks.create({"name": f"w{number}", "config_mode": "ui", "stages": STAGES})
        before = self._service_stage.releases.intent(made["id"], "start")
        return self._service_stage.releases.act(made["id"], "start", before=before).ref

    def _run(self, number: int) -> ExecutionRef:
        made = self._cocktail.builds.create({"editType": "N", "buildName": f"w{number}", "imageName": f"w{number}"})
        return self._cocktail.builds.run(made["buildSeq"], tag_name="1").ref

    def _build(self, number: int) -> ExecutionRef:
        return self._quay.builds.start("acme/shop", archive_url="https://h/a.tgz", tags=[f"t{number}"]).ref
