"""The client of VMware Aria Automation Pipelines (Code Stream): ``client.pipelines``, ``client.executions``, ..."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Unpack

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.code_stream.answer_waits import AnswerWaits
from airflow_provider.clients.code_stream.approval_waits import ApprovalWaits
from airflow_provider.clients.code_stream.approvals import Approvals
from airflow_provider.clients.code_stream.custom_integrations import CustomIntegrations
from airflow_provider.clients.code_stream.documents import GerritTrigger, Variable, Webhook
from airflow_provider.clients.code_stream.endpoints import Endpoints
from airflow_provider.clients.code_stream.event_waits import EventWaits
from airflow_provider.clients.code_stream.events import Events
from airflow_provider.clients.code_stream.execution_waits import ExecutionWaits
from airflow_provider.clients.code_stream.executions import Executions
from airflow_provider.clients.code_stream.fields import Json
from airflow_provider.clients.code_stream.gerrit_listeners import GerritListeners
from airflow_provider.clients.code_stream.login import NO_SERVICE, Credentials
from airflow_provider.clients.code_stream.pipelines import Pipelines
from airflow_provider.clients.code_stream.references import SYSTEM
from airflow_provider.clients.code_stream.rerun_search import RerunSearch
from airflow_provider.clients.code_stream.rerun_waits import RerunWaits
from airflow_provider.clients.code_stream.reruns import Reruns
from airflow_provider.clients.code_stream.resources import CloneableResource, PatchableResource, Resource
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.transport import TransportOptions
from airflow_provider.clients.waits import Waits
from airflow_provider.exceptions import NotFoundError


class CodeStreamClient(ReleaseClient):
    """VMware Code Stream / Aria Automation Pipelines 8.x.

    References are of kind ``execution``, ``rerun`` (an event that leads to an execution), ``event`` (a future one),
    ``approval`` (a user operation, or a future one) and ``answer`` (to a user operation).

    :param base_url: of the appliance or the SaaS API, such as ``https://vra.example.com``.
    :param username: with ``password``, and ``domain`` for a directory user.
    :param refresh_token: an API token instead of these; with ``token_url``, one of the SaaS token service.
    :param api_prefix: ``/codestream/api`` or its older alias ``/pipeline/api``.
    :param ui_url: of an execution's page, with ``{base}`` and ``{id}``.
    :param words: the server's words for ``rerun``, ``resume``, ``approve`` and ``reject``, if they differ from
        :data:`~airflow_provider.clients.code_stream.words.WORDS`.
    :param options: ``timeout``, ``verify``, ``max_connections``, ``attempts`` and ``on_secret`` of its
        :class:`~airflow_provider.clients.transport.Transport`.
    :raises ConnectionConfigError: the credentials are incomplete or contradict each other, or a word is unusable.
    """

    system: ClassVar[str] = SYSTEM

    def __init__(
        self,
        base_url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        domain: str | None = None,
        refresh_token: str | None = None,
        api_prefix: str = "/codestream/api",
        api_version: str = "2019-10-17",
        token_url: str | None = None,
        ui_url: str | None = None,
        words: Mapping[str, str] | None = None,
        **options: Unpack[TransportOptions],
    ) -> None:
        self._wire = wire = Wire(
            base_url,
            credentials=Credentials(username, password, domain, refresh_token, token_url),
            api_prefix=api_prefix,
            api_version=api_version,
            ui_url=ui_url,
            words=words,
            options=options,
        )
        super().__init__(wire.transport)
        self.executions = Executions(wire, self._placing.placed)
        self.pipelines = Pipelines(wire, self._placing.placed)
        self.events = Events(wire)
        execution_waits = ExecutionWaits(wire, self.executions)
        reruns = RerunSearch(wire, self.events, self.executions, execution_waits)
        self.reruns = Reruns(wire, self.events, self.executions, reruns)
        self.approvals = Approvals(wire, self.executions, execution_waits, self._placing.placed)
        self.endpoints = Endpoints(wire)
        self.custom_integrations = CustomIntegrations(wire)
        self.variables: Resource[Variable] = Resource(wire, "/variables")
        self.git_webhooks: Resource[Webhook] = Resource(wire, "/git-webhooks")
        self.registry_webhooks: PatchableResource[Webhook] = PatchableResource(wire, "/registry-webhooks")
        self.gerrit_listeners = GerritListeners(wire)
        self.gerrit_triggers: CloneableResource[GerritTrigger] = CloneableResource(wire, "/gerrit-triggers")
        self.waits = Waits(
            self._placing,
            execution_waits,
            RerunWaits(wire, self.events, reruns, execution_waits),
            EventWaits(wire),
            ApprovalWaits(wire, self.approvals, execution_waits),
            AnswerWaits(wire, self.approvals),
        )

    def about(self) -> Json:
        """:raises NotFoundError: this host has no Pipelines service; the error says why that may be."""
        try:
            return self._wire.get("/about")
        except NotFoundError as error:
            raise NotFoundError(NO_SERVICE, call=error.call) from None

    def check(self) -> str:
        version = self.about().get("latestApiVersion")
        self._wire.get("/pipelines", {"$top": 1})
        return f"Code Stream, API version {version}, at {self.transport.base_url}"
