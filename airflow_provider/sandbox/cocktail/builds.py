"""The routes of builds: Cocktail's word for the definitions that are run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.cocktail import callbacks
from airflow_provider.sandbox.cocktail.arguments import object_of, path_number, required
from airflow_provider.sandbox.cocktail.delivering import Delivering
from airflow_provider.sandbox.cocktail.models import ACCOUNT_SEQ, Build, BuildRun, run_date
from airflow_provider.sandbox.cocktail.refusals import BuildRefusal
from airflow_provider.sandbox.cocktail.results import result
from airflow_provider.sandbox.cocktail.running import Runner
from airflow_provider.sandbox.cocktail.state import State
from airflow_provider.sandbox.core.calls import Call, Unlocked
from airflow_provider.sandbox.core.routing import Router

SORTED_BY: dict[str, Callable[[BuildRun], Any]] = {
    "TAG": lambda run: run.tag,
    "IMAGE_SIZE": lambda run: run.size,
    "END_TIME": lambda run: run.end,
}


class Builds:
    def __init__(self, state: State, runner: Runner, delivering: Delivering) -> None:
        self._state = state
        self._runner = runner
        self._delivering = delivering

    def add_routes(self, router: Router) -> None:
        router.add("GET", "/build", self._list, "builds")
        router.add("POST", "/build", self._add, "add_build")
        router.add("GET", "/build/names", self._names, "build_names")
        router.add("GET", "/build/count/{account_seq}", self._count, "build_count")
        router.add("GET", "/build/{build_seq}/images", self._images, "build_images")
        router.add("GET", "/build/{build_seq}", self._get, "build")
        router.add("PUT", "/build/{build_seq}", self._edit, "edit_build")
        router.add("DELETE", "/build/{build_seq}", self._delete, "delete_build")

    def _named(self, call: Call) -> Build | None:
        return self._state.build(path_number(call, "build_seq"))

    def _get(self, call: Call) -> Response:
        found = self._named(call)
        return result(call, found and found.view())

    def _list(self, call: Call) -> Response:
        if call.query("accountSeq") is None and call.query("serviceSeq") is None:
            return result(call, [])
        return result(call, [each.view() for each in self._state.builds])

    def _names(self, call: Call) -> Response:
        names = [{"buildSeq": each.build_seq, "buildName": each.build_name} for each in self._state.builds]
        return result(call, names)

    def _count(self, call: Call) -> Response:
        return result(call, len(self._state.builds) if path_number(call, "account_seq") == ACCOUNT_SEQ else 0)

    def _images(self, call: Call) -> Response:
        found = self._named(call)
        if found is None:
            return result(call, None)
        key = SORTED_BY.get(call.query("orderColumn") or "", SORTED_BY["END_TIME"])
        done = [each for each in self._state.runs_of(found.build_seq) if each.digest]
        tags = [
            {"tag": each.tag, "imageSize": each.size, "imageDigest": each.digest, "endTime": run_date(each.end)}
            for each in sorted(done, key=key, reverse=call.query("order") != "ASC")
        ]
        shared = found.shared_view()
        return result(call, {"registryName": shared["registryName"], "imageName": shared["imageName"], "tags": tags})

    def _add(self, call: Call) -> Response:
        required(call, "callbackUrl")
        fields = object_of(call)
        if not fields.get("buildName") or not fields.get("imageName"):
            raise BuildRefusal("007", "buildName and imageName are required")
        added = self._state.add_build(fields["buildName"], f"ops/{fields['imageName']}")
        added.edit(fields)
        return result(call, added.view())

    def _edit(self, call: Call) -> Response:
        found = self._named(call)
        if found is None:
            raise BuildRefusal("008", "build is not found")
        found.edit(object_of(call))
        found.updated = call.now
        return result(call, found.view())

    def _delete(self, call: Call) -> Unlocked:
        stored = callbacks.stored_url(required(call, "callbackUrl"))
        return self._delivering.answer_started(call, self._runner.start_removal(self._named(call), stored))
