"""The client of a running sandbox: its control routes, and the Airflow connections that lead to it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import requests

from airflow_provider.sandbox import seed

TIMEOUT = 30.0


class SandboxError(Exception):
    """The sandbox has refused a request; the text says which and why."""


class SandboxClient:
    """Controls and inspects a running sandbox.

    ``system`` is ``"code_stream"``, ``"service_stage"``, ``"cocktail"`` or ``"quay"``.

    :param url: of the sandbox, for example ``http://127.0.0.1:8900``
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        # A proxy set in the environment cannot reach this machine.
        self._session.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    # --- connections

    @property
    def connections(self) -> dict[str, dict[str, Any]]:
        """The fields of an Airflow connection to each system, by the name of the system."""
        return seed.connections(self.url)

    @property
    def environment(self) -> dict[str, str]:
        """The same as environment variables: ``AIRFLOW_CONN_QUAY_DEFAULT`` and its three siblings."""
        return seed.environment(self.url)

    # --- the whole sandbox

    def health(self) -> dict[str, Any]:
        """The names of the four systems, the time and the speed, once all four systems answer."""
        return dict(self.get("health"))

    def reset(self, speed: float | None = None) -> None:
        """Empties everything, and loads the data that the example DAGs use; faults, switches and logs are gone too.

        :param speed: how many times faster than their nominal pace executions run; None: as at the start
        """
        self.post("reset", **({} if speed is None else {"speed": speed}))

    def advance(self, seconds: float) -> None:
        """Moves the clock of the sandbox: what is due by then happens. The clock of Airflow does not move."""
        self.post("clock", advance=seconds)

    # --- how it behaves

    def fault(self, system: str, fault: str, **details: Any) -> None:
        """Makes the next request to a system fail, or several of them.

        :param system: or ``"all"``
        :param fault: ``"latency"`` (with ``seconds``), ``"status"`` (with ``status``; ``headers``, ``body``),
            ``"status_after"`` (the same, after the effect), ``"reset_before"``, ``"reset_after"`` (the effect takes
            place, the answer is lost), ``"truncate"``, ``"html"``, ``"expire_token"`` or ``"hostile"``
        :param details: which requests: ``method``, ``path`` (a regular expression), ``after`` (how many pass first),
            ``times`` (default 1) or ``probability`` with ``seed``
        """
        self.post("faults", system=system, fault=fault, **details)

    def clear_faults(self) -> None:
        self._call("DELETE", "faults")

    def switch(self, system: str, **switches: Any) -> None:
        """Changes how a system behaves where its vendor's documentation is unclear; ``switches()`` lists them."""
        self.post("switches", system=system, **switches)

    def switches(self, system: str) -> dict[str, Any]:
        """The switches of a system and their values."""
        return dict(self.get("switches", system=system)[system])

    def act(self, system: str, action: str, **values: Any) -> Any:
        """An action that only one system has, such as ``act("quay", "push_image", repository=..., tag=...)``."""
        return self.post("actions", system=system, action=action, **values)

    # --- what happened

    def executions(self, system: str | None = None) -> list[dict[str, Any]]:
        """Every execution, oldest first: its id, who started it, its states with times, the cancels it received."""
        return list(self.get("executions", **_of(system)))

    def force(self, system: str, execution_id: str, state: str) -> None:
        """Puts an execution into a state, given in the system's own words."""
        self.post(f"executions/{system}/{execution_id}", state=state)

    def requests(self, system: str | None = None, method: str | None = None, path: str = "") -> list[dict[str, Any]]:
        """The requests received, in order: time, method, path, query, status, caller; never a secret.

        :param method: only requests with this method
        :param path: only those whose path contains this
        """
        found = self.get("requests", **_of(system))
        return [each for each in found if method in (None, each["method"]) and path in each["path"]]

    def deliveries(self, system: str | None = None) -> list[dict[str, Any]]:
        """The callbacks and webhooks that were sent, in order."""
        return list(self.get("deliveries", **_of(system)))

    # --- any of the control routes

    def get(self, what: str, **query: str) -> Any:
        """``GET /_sandbox/<what>``."""
        return self._call("GET", what, params=query)

    def post(self, what: str, **body: Any) -> Any:
        """``POST /_sandbox/<what>``."""
        return self._call("POST", what, json=body)

    def _call(self, method: str, what: str, **options: Any) -> Any:
        answer = self._session.request(method, f"{self.url}/_sandbox/{what}", timeout=TIMEOUT, **options)
        if not answer.ok:
            raise SandboxError(f"{method} /_sandbox/{what}: {answer.status_code} {_detail(answer)}")
        return answer.json()


def _of(system: str | None) -> dict[str, str]:
    return {} if system is None else {"system": system}


def _detail(answer: requests.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text
