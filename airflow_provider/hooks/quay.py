"""Builds a Quay client from a ``quay`` connection."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import AfterValidator

from airflow_provider.clients.quay import QuayClient
from airflow_provider.clients.transport import TransportOptions
from airflow_provider.hooks.base import ReleaseHook
from airflow_provider.hooks.connection_fields import ConnectionFields, Extras, UrlPath, check_template

LinkTemplate = Annotated[str, AfterValidator(partial(check_template, ("id", "kind", "repository")))]


class QuayExtras(Extras):
    """Extras of a ``quay`` connection."""

    api_prefix: UrlPath = "/api/v1"
    ui_url: LinkTemplate | None = None


class QuayHook(ReleaseHook[QuayClient, QuayExtras]):
    """Red Hat Quay.

    :param quay_conn_id: the Airflow connection: ``host``, and ``password`` = OAuth application token.
    """

    system = "quay"
    conn_type = "quay"
    conn_name_attr = "quay_conn_id"
    default_conn_name = "quay_default"
    hook_name = "Red Hat Quay"
    extras_class = QuayExtras

    def __init__(self, quay_conn_id: str = default_conn_name) -> None:
        super().__init__(quay_conn_id)

    @classmethod
    def build_client(cls, fields: ConnectionFields[QuayExtras], options: TransportOptions) -> QuayClient:
        extras = fields.extras
        return QuayClient(
            str(fields.base_url()),
            token=fields.require_for_header("password", fields.password, "the OAuth application token"),
            api_prefix=extras.api_prefix,
            ui_url=extras.ui_url,
            **options,
        )

    @classmethod
    def who(cls, fields: ConnectionFields[QuayExtras]) -> str:
        return "with an OAuth application token"
