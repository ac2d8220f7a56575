"""Builds a ServiceStage client from a ``service_stage`` connection."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.clients.transport import TransportOptions
from airflow_provider.hooks.base import ReleaseHook
from airflow_provider.hooks.connection_fields import ConnectionFields, Extras, Url, check_template

LinkTemplate = Annotated[str, AfterValidator(partial(check_template, ("id", "pipeline_id")))]


class ServiceStageExtras(Extras):
    """Extras of a ``service_stage`` connection."""

    auth: Literal["aksk", "token"] = "aksk"
    region: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]+$")
    project_id: str | None = None
    iam_url: Url | None = None
    security_token: str | None = Field(default=None, repr=False)
    domain_name: str | None = None
    ui_url: LinkTemplate | None = None


class ServiceStageHook(ReleaseHook[ServiceStageClient, ServiceStageExtras]):
    """Huawei Cloud ServiceStage, release management.

    :param service_stage_conn_id: the Airflow connection: ``login`` = access key and ``password`` = secret key; or, with
        the extra ``auth`` = ``token``, an IAM user, its password and the extra ``domain_name``.
    """

    system = "service_stage"
    conn_type = "service_stage"
    conn_name_attr = "service_stage_conn_id"
    default_conn_name = "service_stage_default"
    hook_name = "Huawei Cloud ServiceStage"
    extras_class = ServiceStageExtras

    def __init__(self, service_stage_conn_id: str = default_conn_name) -> None:
        super().__init__(service_stage_conn_id)

    @classmethod
    def build_client(
        cls, fields: ConnectionFields[ServiceStageExtras], options: TransportOptions
    ) -> ServiceStageClient:
        extras = fields.extras
        base_url = fields.base_url(required=False)
        uses_token = extras.auth == "token"
        if uses_token:
            login = fields.require("login", fields.login, "the IAM user")
        else:
            login = fields.require_for_header("login", fields.login, "the access key")
        password = fields.require("password", fields.password, "of the IAM user" if uses_token else "the secret key")
        if not base_url:
            fields.require("extra `region`", extras.region, "it determines the endpoint, unless host does")
        if not extras.region and not extras.project_id:
            raise fields.error("extra `project_id`", "is missing: give it or the extra `region`")
        if not extras.region and not extras.iam_url and uses_token:
            raise fields.error(
                "extra `region`", "is missing: it determines the IAM endpoint, unless the extra `iam_url` does"
            )
        if uses_token:
            fields.require("extra `domain_name`", extras.domain_name, "the account of the IAM user")
            if extras.security_token:
                raise fields.error("extra `security_token`", "is valid only with an access key, not a token")
            credentials: dict[str, Any] = {"username": login, "password": password, "domain_name": extras.domain_name}
        else:
            if extras.domain_name:
                raise fields.error("extra `domain_name`", "is valid only with the extra `auth` = `token`")
            credentials = {"access_key": login, "secret_key": password, "security_token": extras.security_token}
        return ServiceStageClient(
            base_url,
            region=extras.region,
            project_id=extras.project_id,
            iam_url=extras.iam_url,
            ui_url=extras.ui_url,
            **credentials,
            **options,
        )

    @classmethod
    def who(cls, fields: ConnectionFields[ServiceStageExtras]) -> str:
        return f"as IAM user {fields.login}" if fields.extras.auth == "token" else "with an access key"
