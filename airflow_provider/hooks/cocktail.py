"""Builds a Cocktail client from a ``cocktail`` connection."""

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
        # Not shown: the value may have been given with it.
        raise ValueError("must be the name of an HTTP header, such as X-Api-Key")
    return name


HeaderName = Annotated[str, AfterValidator(_check_header_name)]
PathTemplates = Annotated[dict[str, str | None], BeforeValidator(read_object)]
Headers = Annotated[dict[str, str], BeforeValidator(read_object)]
LinkTemplate = Annotated[str, AfterValidator(partial(check_template, ("id", "build_seq")))]


class CocktailExtras(Extras):
    """Extras of a ``cocktail`` connection."""

    auth_header: HeaderName = "Authorization"
    auth_scheme: str = "Bearer"
    api_prefix: UrlPath = "/v1"
    paths: PathTemplates = Field(default_factory=dict)
    headers: Headers = Field(default_factory=dict, repr=False)
    ui_url: LinkTemplate | None = None

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            _check_header_name(name)
            if problem := header_problem(value):
                raise ValueError(f"the value of {name} {problem}")
        return headers


class CocktailHook(ReleaseHook[CocktailClient, CocktailExtras]):
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
    def build_client(cls, fields: ConnectionFields[CocktailExtras], options: TransportOptions) -> CocktailClient:
        extras = fields.extras
        if extras.auth_header.lower() in (name.lower() for name in extras.headers):
            raise fields.error("extra `headers`", f"must not contain {extras.auth_header}, which carries the token")
        # An empty scheme means the bare token, although other empty extras mean "not given".
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
    def who(cls, fields: ConnectionFields[CocktailExtras]) -> str:
        return "with an API token"
