"""The control routes of a running sandbox, for tests of one of its systems."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow_provider.sandbox.client import SandboxClient

Control = SandboxClient


class SystemControl:
    """The control routes as one system needs them, after a reset.

    :param url: of the sandbox
    """

    system: ClassVar[str]
    speed: ClassVar[float] = 100

    def __init__(self, url: str) -> None:
        self.url = url
        self.control = SandboxClient(url)
        self.control.reset(self.speed)

    def get(self, what: str, **query: Any) -> Any:
        return self.control.get(what, **query)

    def post(self, what: str, **body: Any) -> Any:
        return self.control.post(what, **body)

    def switch(self, **switches: Any) -> None:
        self.control.switch(self.system, **switches)

    def act(self, action: str, **values: Any) -> Any:
        return self.control.act(self.system, action, **values)

    def fault(self, **fault: Any) -> None:
        self.control.fault(self.system, **fault)

    def requests(self, method: str | None = None) -> list[str]:
        """Method and path of the requests received."""
        return [f"{each['method']} {each['path']}" for each in self.control.requests(self.system, method)]
