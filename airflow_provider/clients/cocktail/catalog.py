"""The operations of Cocktail's build API around executions: build definitions, other reads of runs, removing runs.

Their paths follow from the documented one and may be missing; unlike those in paths.py they are fixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from airflow_provider.clients import urls
from airflow_provider.clients.cocktail import answers
from airflow_provider.clients.cocktail.base import CocktailBase
from airflow_provider.clients.cocktail.executions import Json
from airflow_provider.clients.urls import Params


class CocktailCatalog(CocktailBase):
    """One method an operation. A missing path is a ``NotFoundError`` or ``PermissionDeniedError``."""

    # --- runs

    def list_latest_build_runs(
        self, *, account_seq: int | None = None, service_seq: int | None = None, limit: int = 5
    ) -> list[Json]:
        """The latest successful runs of an account or of a service."""
        if account_seq is None and service_seq is None:
            raise self.bad_request("account_seq or service_seq must be given")
        params = {"accountSeq": account_seq, "serviceSeq": service_seq, "limitCount": limit}
        return self._objects("/build/run/latest", params)

    def find_build_run(self, image_url: str, *, build_seq: int | str | None = None) -> Json | None:
        """The run that made an image; :param image_url: as in a run's ``imageUrl``."""
        if not image_url:
            raise self.bad_request("image_url must not be empty")
        params = {"imageUrl": image_url, "buildSeq": build_seq}
        data = self._ask("GET", "/build/run/search", params)
        return None if data is None else self._object_of("/build/run/search", data)

    def get_build_step_log(self, build_step_run_seq: int | str) -> Json:
        """The log of one step of a run, in the form of :meth:`CocktailClient.get_build_run_log`."""
        return self._one("GET", "/build/run/log/step/{build_step_run_seq}", build_step_run_seq=build_step_run_seq)

    def rerun_build(
        self,
        build_seq: int | str,
        build_run_seq: int | str,
        edits: Mapping[str, Any],
        *,
        tag_name: str,
        description: str | None = None,
        callback_url: str | None = None,
    ) -> Json:
        """Change a build definition and run it; :param edits: a build with ``editType``."""
        self._check_tag(tag_name)
        self._warn_of_tag(tag_name)
        self._check_callback(callback_url)
        params = {"tagName": tag_name, "description": description, "callbackUrl": callback_url or ""}
        path = "/build/run/{build_seq}/{build_run_seq}"
        return self._one("POST", path, params, edits, build_seq=build_seq, build_run_seq=build_run_seq)

    def list_runs_sharing_digest(self, build_run_seq: int | str) -> list[Json]:
        """The runs that removing this one would take along."""
        return self._objects("/build/run/{build_run_seq}/otherremoveruns", build_run_seq=build_run_seq)

    def remove_build_run(self, build_run_seq: int | str) -> Json:
        """Remove a run, its tag in the internal registry, and the runs that share its digest."""
        return self._one("DELETE", "/build/run/{build_run_seq}", build_run_seq=build_run_seq)

    def remove_tags(self, build_seq: int | str, build_run_seqs: Sequence[int | str]) -> int:
        """Remove several runs of a build with their tags; returns how many."""
        if isinstance(build_run_seqs, str) or not build_run_seqs:
            raise self.bad_request("build_run_seqs must be a list of at least one number")
        numbers = ",".join(self._number("build_run_seqs", each) for each in build_run_seqs)
        data = self._ask("DELETE", "/build/run/{build_seq}/tag", {"buildRunSeqs": numbers}, build_seq=build_seq)
        return answers.number(data) or 0

    # --- build definitions

    def list_builds(self, *, account_seq: int | None = None, service_seq: int | None = None) -> list[Json]:
        """The build definitions of an account or of a service."""
        if account_seq is None and service_seq is None:
            raise self.bad_request("account_seq or service_seq must be given")
        return self._objects("/build", {"accountSeq": account_seq, "serviceSeq": service_seq})

    def count_builds(self, account_seq: int | str) -> int:
        return answers.number(self._ask("GET", "/build/count/{account_seq}", account_seq=account_seq)) or 0

    def list_build_images(
        self,
        build_seq: int | str,
        *,
        order: Literal["DESC", "ASC"] = "DESC",
        order_column: Literal["TAG", "IMAGE_SIZE", "END_TIME"] = "END_TIME",
    ) -> Json:
        """``{"registryName", "imageName", "tags"}``."""
        params = {"order": order, "orderColumn": order_column}
        return self._one("GET", "/build/{build_seq}/images", params, build_seq=build_seq)

    def create_build(self, build: Mapping[str, Any], *, callback_url: str | None = None) -> Json:
        """:param build: a build with ``editType`` N."""
        self._check_callback(callback_url)
        return self._one("POST", "/build", {"callbackUrl": callback_url or ""}, build)

    def update_build(self, build_seq: int | str, build: Mapping[str, Any]) -> Json:
        """:param build: the whole build, with ``editType`` U."""
        return self._one("PUT", "/build/{build_seq}", None, build, build_seq=build_seq)

    def delete_build(self, build_seq: int | str, *, callback_url: str | None = None) -> Json:
        """Delete a build; the answer is the new REMOVE run that does it."""
        self._check_callback(callback_url)
        params = {"callbackUrl": callback_url or ""}
        return self._one("DELETE", "/build/{build_seq}", params, build_seq=build_seq)

    # --- inside

    def _ask(
        self,
        method: str,
        template: str,
        params: Params | None = None,
        body: Mapping[str, Any] | None = None,
        **numbers: int | str,
    ) -> Any:
        values = {name: self._number(name, value) for name, value in numbers.items()}
        path = self._paths.prefix + urls.path(template, **values)
        return self._exchange(method, path, params, body=None if body is None else dict(body))

    def _one(
        self,
        method: str,
        template: str,
        params: Params | None = None,
        body: Mapping[str, Any] | None = None,
        **numbers: int | str,
    ) -> Json:
        return self._object_of(template, self._ask(method, template, params, body, **numbers))

    def _objects(self, template: str, params: Params | None = None, **numbers: int | str) -> list[Json]:
        data = self._ask("GET", template, params, None, **numbers)
        if not isinstance(data, (list, type(None))):
            raise self._unexpected_at(template, "the answer is not a list")
        return [self._object_of(template, each) for each in data or []]
