"""The client of Cocktail Cloud's builds: ``client.builds`` and ``client.runs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Unpack

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.cocktail.builds import Builds
from airflow_provider.clients.cocktail.errors import build_error_number, is_path_missing
from airflow_provider.clients.cocktail.paths import DEFAULT_PREFIX, Paths
from airflow_provider.clients.cocktail.references import SYSTEM
from airflow_provider.clients.cocktail.run_waits import BuildRunWaits
from airflow_provider.clients.cocktail.runs import Runs
from airflow_provider.clients.cocktail.wire import Wire, unavailable
from airflow_provider.clients.transport import TransportOptions
from airflow_provider.clients.waits import Waits
from airflow_provider.exceptions import ReleasePipelineError


class CocktailClient(ReleaseClient):
    """:param base_url: of the installation, without the prefix.
    :param token: created in the Cocktail UI, with a scope for each call and lists of client addresses.
    :param auth_header: the header that carries the token.
    :param auth_scheme: the word before the token; "" sends the token alone.
    :param api_prefix: of every path.
    :param paths: other templates for some of ``paths.DEFAULTS``, with ``{build_seq}`` or
        ``{build_run_seq}``; ``None`` or "" means that the installation does not publish that one.
    :param headers: sent with every request.
    :param ui_url: of a build run's page, with ``{base}``, ``{build_seq}`` and ``{id}``; default: not known.
    :param options: ``timeout``, ``verify``, ``max_connections``, ``attempts`` and ``on_secret`` of its
        :class:`~airflow_provider.clients.transport.Transport`.
    :raises ConnectionConfigError: one of these values cannot be used.
    """

    system: ClassVar[str] = SYSTEM

    def __init__(
        self,
        base_url: str,
        *,
        token: str,
        auth_header: str = "Authorization",
        auth_scheme: str = "Bearer",
        api_prefix: str = DEFAULT_PREFIX,
        paths: Mapping[str, str | None] | None = None,
        headers: Mapping[str, str] | None = None,
        ui_url: str | None = None,
        **options: Unpack[TransportOptions],
    ) -> None:
        self._wire = wire = Wire(
            base_url,
            token=token,
            auth_header=auth_header,
            auth_scheme=auth_scheme,
            paths=Paths(api_prefix, paths or {}),
            headers=headers,
            ui_url=ui_url,
            options=options,
        )
        super().__init__(wire.transport)
        self.builds = Builds(wire, self._placing.placed)
        self.runs = Runs(wire)
        self.waits = Waits(self._placing, BuildRunWaits(wire, self.runs))

    @property
    def place(self) -> str:
        """With a prefix of its own: installations behind one gateway all count their runs from 1."""
        prefix = self._wire.paths.prefix
        return super().place + (prefix if prefix != DEFAULT_PREFIX else "")

    def check(self) -> str:
        refused: list[ReleasePipelineError] = []
        for use in ("list", "status", "build"):
            params = {"buildSeq": "0"} if use == "list" else None
            try:
                self._wire.call(use, params, attempts=1, build_seq="0", build_run_seq="0")
            except ReleasePipelineError as error:
                if is_path_missing(error):
                    refused.append(error)
                    continue
                # Nothing has the number 0, so the server may answer with an error, but it has accepted the token.
                if not (build_error_number(error.code) or (error.status == 200 and error.code)):
                    raise
            paths = self._wire.paths
            return f"Cocktail Cloud accepts the token ({paths.method(use)} {paths.template(use)})"
        raise unavailable(
            "only starting a build could test the connection, because no other call is available", refused
        )
