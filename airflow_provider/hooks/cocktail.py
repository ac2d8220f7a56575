"""A ``cocktail`` connection becomes a Cocktail client."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.hooks.base import ConnectionFields, Extras, ReleaseHook, read_object

TextObject = Annotated[dict[str, str], BeforeValidator(read_object)]


class CocktailExtras(Extras):
    """Extras of a ``cocktail`` connection."""

    auth_header: str = "Authorization"
    auth_scheme: str = "Bearer"
    api_prefix: str = "/v1"
    paths: TextObject = Field(default_factory=dict)
    headers: TextObject = Field(default_factory=dict)


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
    def build_client(cls, fields: ConnectionFields, common: dict[str, Any]) -> CocktailClient:
        extras: CocktailExtras = fields.extras
        known = ("run", "status", "list", "cancel", "log", "build")
        if unknown := sorted(set(extras.paths) - set(known)):
            raise fields.error("extra `paths`", f"holds unknown names {unknown}: known are {list(known)}")
        # An empty scheme is a choice (the bare token), although empty extras usually mean "not given".
        scheme = "" if fields.raw_extras.get("auth_scheme") == "" else extras.auth_scheme
        return CocktailClient(
            str(fields.base_url()),
            token=fields.require("password", fields.password, "the API token"),
            auth_header=extras.auth_header,
            auth_scheme=scheme,
            api_prefix=extras.api_prefix,
            paths=extras.paths,
            headers=extras.headers,
            **common,
        )
