"""A caller of the stand-in for Cocktail, who does not use our client."""

from __future__ import annotations

from typing import Any

import requests

from tests.support.control import SystemControl
from tests.support.receiver import Receiver
from tests.support.until import until

TOKEN = {"Authorization": "Bearer sandbox-cocktail-token"}
SHOP, AUTOTAG, BROKEN, NO_DIGEST = 12, 13, 14, 15


class Api(SystemControl):
    """The stand-in, fresh; ``call`` speaks to the build API, the rest to the sandbox."""

    system = "cocktail"
    speed = 40

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, **query: Any) -> requests.Response:
        url = f"{self.url}/cocktail/v1{path}"
        return requests.request(method, url, params=query, headers=TOKEN if headers is None else headers, timeout=60)

    def start(self, build_seq: int = SHOP, tag: str = "1.0", **query: Any) -> dict[str, Any]:
        return self.call("POST", f"/build/run/{build_seq}", tagName=tag, **query).json()

    def ended(self, run_seq: int) -> dict[str, Any]:
        return until(
            lambda: self.call("GET", f"/build/run/{run_seq}").json(), lambda run: run["runState"] in ("DONE", "ERROR")
        )

    def deliveries(self) -> list[dict[str, Any]]:
        return requests.get(f"{self.url}/_sandbox/deliveries", params={"system": "cocktail"}, timeout=60).json()


def states(receiver: Receiver) -> list[str]:
    """Its callbacks, in order."""
    return [body["data"]["runState"] for body in receiver.bodies()]
