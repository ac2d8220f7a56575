"""A ``cocktail`` connection becomes a Cocktail client."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.clients.transport import TransportOptions
from airflow_provider.hooks.base import ReleaseHook
from airflow_provider.hooks.connection_fields import (
    ConnectionFields,
    Extras,
    UrlPath,
    check_template,
    header_problem,
    read_object,
)


def _check_header_name(name: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise ValueError(f"{name!r} is no name of an HTTP header")
    return name


HeaderName = Annotated[str, AfterValidator(_check_header_name)]
Paths = Annotated[dict[str, str | None], BeforeValidator(read_object)]
Headers = Annotated[dict[str, str], BeforeValidator(read_object)]
LinkTemplate = Annotated[str, AfterValidator(partial(check_template, ("id", "build_seq")))]


class CocktailExtras(Extras):
    """Extras of a ``cocktail`` connection."""

    auth_header: HeaderName = "Authorization"
    auth_scheme: str = "Bearer"
    api_prefix: UrlPath = "/v1"
    paths: Paths = Field(default_factory=dict)
    headers: Headers = Field(default_factory=dict)
    ui_url: LinkTemplate | None = None

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            _check_header_name(name)
            if problem := header_problem(value):
                raise ValueError(f"the value of {name} {problem}")
        return headers


class CocktailHook(ReleaseHook[CocktailClient]):
    """Cocktail Cloud builds.

    :param cocktail_conn_id: the Airflow connection: ``host``, and ``password`` = API token.
    """

    system = "cocktail"
    conn_type = "cocktail"
    conn_name_attr = "cocktail_conn_id"
    default_conn_name = "cocktail_default"
    hook_name = "Cocktail Cloud"
    extras_class = CocktailExtras

    def __init__(self, cocktail_conn_id: str = default_conn_name) -> None:
        super().__init__(cocktail_conn_id)

    @classmethod
    def build_client(cls, fields: ConnectionFields, options: TransportOptions) -> CocktailClient:
        extras: CocktailExtras = fields.extras
        if extras.auth_header.lower() in (name.lower() for name in extras.headers):
            raise fields.error("extra `headers`", f"holds {extras.auth_header}, which carries the token already")
        # An empty scheme is a choice (the bare token), although empty extras usually mean "not given".
        scheme = "" if fields.raw_extras.get("auth_scheme") == "" else extras.auth_scheme
        return CocktailClient(
            str(fields.base_url()),
            token=fields.require_for_header("password", fields.password, "the API token"),
            auth_header=extras.auth_header,
            auth_scheme=scheme,
            api_prefix=extras.api_prefix,
            paths=extras.paths,
            headers=extras.headers,
            ui_url=extras.ui_url,
            **options,
        )

    @classmethod
    def who(cls, fields: ConnectionFields) -> str:
        return "with an API token"
