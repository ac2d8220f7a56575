"""The client of Huawei Cloud ServiceStage: ``client.releases``, ``client.approvals``, ``client.release_tasks``, ..."""

from __future__ import annotations

import functools
from typing import ClassVar, Unpack
from urllib.parse import urlsplit

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.service_stage.approval_waits import ApprovalWaits
from airflow_provider.clients.service_stage.approvals import Approvals
from airflow_provider.clients.service_stage.components import Components
from airflow_provider.clients.service_stage.errors import read_huawei_error
from airflow_provider.clients.service_stage.login import HuaweiCredentials
from airflow_provider.clients.service_stage.references import SYSTEM
from airflow_provider.clients.service_stage.release_observer import ReleaseObserver
from airflow_provider.clients.service_stage.release_plans import ReleasePlans
from airflow_provider.clients.service_stage.release_tasks import ReleaseTasks
from airflow_provider.clients.service_stage.release_waits import ReleaseWaits
from airflow_provider.clients.service_stage.releases import Releases
from airflow_provider.clients.service_stage.wire import Wire
from airflow_provider.clients.transport import Transport, TransportOptions
from airflow_provider.clients.waits import Waits


class ServiceStageClient(ReleaseClient):
    """Release tasks of one IAM project. Authenticates with an access key, or with the password of an IAM user.

    :param base_url: scheme, host and path; default: the endpoint of ``region``.
    :param region: for example ``ap-southeast-3``.
    :param project_id: IAM project of the region (not a CodeArts project); default: requested from IAM once.
    :param iam_url: default: the IAM endpoint of ``region``.
    :param access_key: AK, with ``secret_key`` and, for temporary keys, ``security_token``.
    :param username: IAM user, with ``password`` and ``domain_name`` (the account); instead of an access key.
    :param ui_url: of an execution's page, with ``{base}``, ``{pipeline_id}`` and ``{id}``; default: not known.
    :param options: ``timeout``, ``verify``, ``max_connections``, ``attempts`` and ``on_secret`` of its
        :class:`~airflow_provider.clients.transport.Transport`.
    :raises ConnectionConfigError: a value is missing or contradicts another one.

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0244.html
    """

    system: ClassVar[str] = SYSTEM

    def __init__(
        self,
        base_url: str | None = None,
        *,
        region: str | None = None,
        project_id: str | None = None,
        iam_url: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        security_token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        domain_name: str | None = None,
        ui_url: str | None = None,
        **options: Unpack[TransportOptions],
    ) -> None:
        credentials = HuaweiCredentials(
            region=region,
            project_id=project_id,
            iam_url=iam_url,
            access_key=access_key,
            secret_key=secret_key,
            security_token=security_token,
            username=username,
            password=password,
            domain_name=domain_name,
        )
        credentials.check()
        transport = Transport(
            self.system,
            base_url or credentials.endpoint("servicestage", "host"),
            read_error=functools.partial(read_huawei_error, access_key=access_key),
            **options,
        )
        super().__init__(transport)
        transport.auth, learn_project_id = credentials.set_up(transport)
        self._wire = wire = Wire(transport, learn_project_id, ui_url)
        self.release_tasks = tasks = ReleaseTasks(wire)
        observer = ReleaseObserver(wire, tasks)
        self.releases = Releases(wire, tasks, observer, placed=self._placing.placed, check_place=self._placing.check)
        self.approvals = Approvals(tasks, self.releases, observer, observe=self.observe)
        self.release_plans = ReleasePlans(wire)
        self.components = Components(wire)
        self.waits = Waits(
            self._placing,
            ReleaseWaits(wire, tasks, self.releases, observer),
            ApprovalWaits(wire, tasks, observer),
        )

    @property
    def project_id(self) -> str:
        """The IAM project of the release tasks; requested from IAM once if it was not given."""
        return self._wire.project_id

    @property
    def place(self) -> str:
        return f"{super().place} project {self.project_id}"

    def check(self) -> str:
        """List the release tasks."""
        pipelines = self.release_tasks.list()
        host = urlsplit(self.transport.base_url).netloc.rpartition("@")[2]
        return f"ServiceStage at {host} answers: project {self.project_id}, {len(pipelines)} release tasks"
