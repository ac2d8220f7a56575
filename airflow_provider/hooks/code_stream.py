"""Builds a Code Stream client from a ``code_stream`` connection."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.transport import TransportOptions
from airflow_provider.hooks.base import ReleaseHook
from airflow_provider.hooks.connection_fields import (
    ConnectionFields,
    Extras,
    Url,
    UrlPath,
    check_template,
    read_object,
)

LinkTemplate = Annotated[str, AfterValidator(partial(check_template, ("id",)))]
ServerWords = Annotated[dict[str, str], BeforeValidator(read_object)]


class CodeStreamExtras(Extras):
    """Extras of a ``code_stream`` connection."""

    refresh_token: str | None = Field(default=None, repr=False)
    domain: str | None = None
    api_prefix: UrlPath = "/codestream/api"
    api_version: str = "2019-10-17"
    token_url: Url | None = None
    ui_url: LinkTemplate | None = None
    words: ServerWords = Field(default_factory=dict)


class CodeStreamHook(ReleaseHook[CodeStreamClient, CodeStreamExtras]):
    """VMware Code Stream / Aria Automation Pipelines.

    :param code_stream_conn_id: the Airflow connection: ``host``, and either ``login`` with ``password`` (and extra
        ``domain``) or the extra ``refresh_token``.
    """

    system = "code_stream"
    conn_type = "code_stream"
    conn_name_attr = "code_stream_conn_id"
    default_conn_name = "code_stream_default"
    hook_name = "VMware Code Stream"
    extras_class = CodeStreamExtras

    def __init__(self, code_stream_conn_id: str = default_conn_name) -> None:
        super().__init__(code_stream_conn_id)

    @classmethod
    def build_client(cls, fields: ConnectionFields[CodeStreamExtras], options: TransportOptions) -> CodeStreamClient:
        extras = fields.extras
        if extras.refresh_token and (fields.login or fields.password):
            raise fields.error("extra `refresh_token`", "is valid only without login and password")
        if extras.domain and extras.refresh_token:
            raise fields.error("extra `domain`", "is valid only with login and password, not a refresh token")
        if extras.token_url and not extras.refresh_token:
            raise fields.error("extra `token_url`", "is valid only with the extra `refresh_token`")
        if not extras.refresh_token:
            fields.require("login", fields.login, "give login and password, or the extra `refresh_token`")
            fields.require("password", fields.password, "it belongs to the login")
        return CodeStreamClient(
            str(fields.base_url()),
            username=fields.login,
            password=fields.password,
            domain=extras.domain,
            refresh_token=extras.refresh_token,
            api_prefix=extras.api_prefix,
            api_version=extras.api_version,
            token_url=extras.token_url,
            ui_url=extras.ui_url,
            words=extras.words,
            **options,
        )

    @classmethod
    def who(cls, fields: ConnectionFields[CodeStreamExtras]) -> str:
        return "with a refresh token" if fields.extras.refresh_token else f"as user {fields.login}"
