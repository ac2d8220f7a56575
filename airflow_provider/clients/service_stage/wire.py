"""Sends requests to ServiceStage's release management, and checks the form of its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider.clients import urls
from airflow_provider.clients.answers import Decoder
from airflow_provider.clients.decoding import loads
from airflow_provider.clients.service_stage.references import SYSTEM
from airflow_provider.clients.transport import Transport
from airflow_provider.exceptions import BadRequestError, Call, Effect, NotFoundError, UnexpectedResponseError
from airflow_provider.execution import ExecutionRef

Json = dict[str, Any]
Objects = list[Json]
Names = list[str]
"""In classes with a method ``list``, the types need other names."""

HEADERS = {"Content-Type": "application/json;charset=utf8"}
"""Written as in the vendor's pages, because the value is signed."""


RELEASE_TASKS = "/pipeline/pipelines"


class Wire:
    """:param learn_project_id: may request it from IAM, once.
    :param ui_url: see :class:`~airflow_provider.clients.service_stage.ServiceStageClient`.
    :param root: of the paths, below the project.
    """

    def __init__(
        self,
        transport: Transport,
        learn_project_id: Callable[[], str],
        ui_url: str | None,
        root: str = RELEASE_TASKS,
    ) -> None:
        self.transport = transport
        self._learn_project_id = learn_project_id
        self._ui_url = ui_url
        self._root = root

    def below(self, root: str) -> Wire:
        """A wire for another group of calls."""
        return Wire(self.transport, self._learn_project_id, self._ui_url, root)

    @property
    def project_id(self) -> str:
        return self._learn_project_id()

    def get(self, below: str, *, decode: Decoder = loads, **values: str) -> Any:
        """:param below: the path below the root."""
        answer = self.transport.request("GET", self._path(below, **values), headers=self._headers(), decode=decode)
        return answer.data

    def send(
        self,
        method: str,
        below: str,
        params: Mapping[str, str] | None = None,
        *,
        body: object = None,
        attempts: int | None = None,
        **values: str,
    ) -> Any:
        path = self._path(below, **values)
        return self.transport.request(method, path, params, body=body, headers=self._headers(), attempts=attempts).data

    def object_in(self, body: Any) -> Json:
        if not isinstance(body, dict):
            raise self.unexpected("an object", body)
        return body

    def objects_in(self, body: Any, name: str) -> Objects:
        """A list in an object under ``name``, or a bare one: the vendor's pages show both."""
        items = body.get(name) if isinstance(body, dict) else body
        if items is None and isinstance(body, dict) and body.get("count") in (0, "0"):
            # Some encoders write an empty list as null.
            return []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self.unexpected(f"a list of {name}", body)
        return items

    def page(self, ref: ExecutionRef) -> str | None:
        """The link to an execution; ``None`` if the connection has no URL for pages."""
        return urls.page(self._ui_url, self.transport.base_url, ref)

    def need(self, value: str | None, name: str) -> None:
        """
        :raises BadRequestError: an argument is empty.
        """
        if not value or not value.strip():
            raise self.bad_request(f"{name} must not be empty")

    def bad_request(self, summary: str) -> BadRequestError:
        """An error about an argument, found before anything was sent."""
        return BadRequestError(summary, call=Call(system=SYSTEM))

    def unexpected(self, wanted: str, body: Any) -> UnexpectedResponseError:
        return UnexpectedResponseError(
            f"the answer must be {wanted}, got {'empty' if body is None else type(body).__name__}",
            call=Call(system=SYSTEM),
            effect=Effect.UNKNOWN,
        )

    def _path(self, below: str, **values: str) -> str:
        for name, value in values.items():
            self.need(value, name)
        return urls.path(f"/v3/{{project_id}}{self._root}{below}", project_id=self.project_id, **values)

    def _headers(self) -> dict[str, str]:
        return {**HEADERS, "X-Project-Id": self.project_id}


def not_answered(error: NotFoundError) -> UnexpectedResponseError:
    """The error for a 404 that is not from ServiceStage itself: a gateway may publish nothing for a while."""
    return UnexpectedResponseError(error.summary, call=error.call, effect=Effect.UNKNOWN)
