"""The Cocktail client at the sandbox or at a script, and the documents that Cocktail answers with."""

from __future__ import annotations

from typing import Any

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.execution import Execution
from airflow_provider.sandbox import seed
from tests.support.control import SystemControl
from tests.support.scripted import Scripted
from tests.support.until import until

SHOP, AUTOTAG, BROKEN, NO_DIGEST = 12, 13, 14, 15
TOKEN = "scripted-token"


class Stand(SystemControl):
    """The stand-in, fresh, and clients for it."""

    system = "cocktail"

    def client(self, **options: Any) -> CocktailClient:
        return CocktailClient(f"{self.url}/cocktail", **{"token": seed.COCKTAIL_TOKEN, "attempts": 1, **options})


def ended(client: CocktailClient, execution: Execution) -> Execution:
    return until(lambda: client.observe(execution.ref), lambda seen: seen.state.is_terminal)


def run_json(**fields: Any) -> dict[str, Any]:
    return {
        "buildRunSeq": 7,
        "buildSeq": 12,
        "runType": "BUILD",
        "runState": "RUNNING",
        "autotagUseYn": "N",
        "tagName": "1.0",
        "beginTime": "2026-01-02T03:04:05.000+00:00",
        **fields,
    }


def ref(run_seq: int = 7, build_seq: object = 12, tag: str = "", **more: str) -> dict[str, str]:
    return {
        **more,
        "system": "cocktail",
        "kind": "build_run",
        "id": str(run_seq),
        "build_seq": str(build_seq),
        "tag": tag,
    }


def refusal(code: str, message: str = "no", **fields: Any) -> dict[str, Any]:
    return {"status": "error", "code": code, "message": message, "httpStatusCode": 200, **fields}


def scripted_client(scripted: Scripted, *script: Any, **options: Any) -> CocktailClient:
    scripted.script = [step if isinstance(step, tuple) else (200, {}, step) for step in script]
    return CocktailClient(scripted.url, **{"token": TOKEN, "attempts": 1, **options})


INTENT = {"kind": "build_run", "marker": "#af-9c1", "since": 0.0, "build_seq": str(SHOP), "tag": "1.4.2"}
