"""The build API of Cocktail: one function an operation, and the table that the gateway publishes.

The same URL shape takes a run number in GET and DELETE and a build number in POST, as on a real server.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from airflow_provider.sandbox.cocktail import callbacks
from airflow_provider.sandbox.cocktail.models import ACCOUNT_SEQ, REGISTRY_HOST, Build, BuildRun, run_date
from airflow_provider.sandbox.cocktail.replies import BadCall, Refusal

if TYPE_CHECKING:
    from airflow_provider.sandbox.cocktail.system import CocktailSystem

INT32 = 2**31 - 1


@dataclass
class Call:
    """One request after the gateway: numbers of the path, query and JSON body."""

    system: CocktailSystem
    request: Request
    path: dict[str, str]
    body: bytes

    def number(self, name: str) -> int:
        return _int32(name, self.path[name])

    def query(self, name: str) -> str | None:
        return self.request.query_params.get(name)

    def required(self, name: str) -> str:
        value = self.query(name)
        if value is None:
            raise BadCall(400, f"Required request parameter '{name}' is not present")
        return value

    def query_number(self, name: str) -> int | None:
        value = self.query(name)
        return None if value is None else _int32(name, value)

    def json(self) -> dict[str, Any]:
        if "json" not in self.request.headers.get("content-type", ""):
            raise BadCall(415, "Content type is not supported")
        try:
            value = json.loads(self.body)
        except ValueError:
            raise BadCall(400, "JSON parse error") from None
        if not isinstance(value, dict):
            raise BadCall(400, "JSON parse error")
        return value

    def view(self, run: BuildRun | None, with_steps: bool = False) -> dict[str, Any] | None:
        if run is None:
            return None
        return run.view(tagged_url=self.system.switches["image_url_with_tag"], with_steps=with_steps)


def _int32(name: str, text: str) -> int:
    if not re.fullmatch(r"-?\d+", text) or abs(int(text)) > INT32:
        raise BadCall(400, f"Failed to convert '{name}' to a number")
    return int(text)


# --- runs


def run(call: Call) -> BuildRun:
    build = call.system.store.build(call.number("build_seq"))
    stored = callbacks.stored_url(call.query("callbackUrl"))
    return call.system.store.start_build(build, call.query("tagName"), call.query("description"), stored)


def rerun(call: Call) -> BuildRun:
    store, edits = call.system.store, call.json()
    build, earlier = store.build(call.number("build_seq")), store.run(call.number("build_run_seq"))
    if build is None or earlier is None or earlier.build is not build:
        raise Refusal("006", "build run is not found")
    _edit(build, edits)
    stored = callbacks.stored_url(call.query("callbackUrl"))
    return store.start_build(build, call.query("tagName") or edits.get("tagName"), call.query("description"), stored)


def cancel(call: Call) -> BuildRun:
    stored = callbacks.stored_url(call.required("callbackUrl"))
    return call.system.store.start_cancel(call.system.store.run(call.number("build_run_seq")), stored)


def status(call: Call) -> Any:
    return call.view(call.system.store.run(call.number("build_run_seq")), with_steps=True)


def runs(call: Call) -> Any:
    build_seq = _int32("buildSeq", call.required("buildSeq"))
    omitted = call.system.switches["list_omits"]
    views = [call.view(each) or {} for each in call.system.store.runs_of(build_seq)]
    return [{name: value for name, value in view.items() if name not in omitted} for view in views]


def latest(call: Call) -> Any:
    account, service = call.query_number("accountSeq"), call.query_number("serviceSeq")
    if account is None and service is None:
        return None
    limit = call.query_number("limitCount") or 5
    done = [each for each in _all_runs(call) if each.state == "DONE" and each.run_type == "BUILD"]
    return [call.view(each) for each in done[:limit] if account in (None, ACCOUNT_SEQ)]


def search(call: Call) -> Any:
    image_url, build_seq = call.required("imageUrl"), call.query_number("buildSeq")
    for each in _all_runs(call):
        address = f"{REGISTRY_HOST}/{each.build.image_name}"
        fits = build_seq in (None, each.build.build_seq) and each.run_type == "BUILD"
        if fits and image_url in (address, f"{address}:{each.tag}"):
            return call.view(each)
    return None


def log(call: Call) -> Any:
    found = call.system.store.run(call.number("build_run_seq"))
    return None if found is None else _log_view(call, found, None)


def step_log(call: Call) -> Any:
    step_seq = call.number("build_step_run_seq")
    for each in _all_runs(call):
        if any(step.step_run_seq == step_seq for step in each.steps):
            return _log_view(call, each, step_seq)
    return None


def _log_view(call: Call, found: BuildRun, step_seq: int | None) -> dict[str, Any]:
    switches = call.system.switches
    readable = switches["logs"] == "per_step" or (switches["logs"] == "at_end" and found.finished)
    in_database = switches["db_log"] and readable
    return {
        "buildRunSeq": found.run_seq,
        "runState": found.state,
        "buildSeq": found.build.build_seq,
        "registryProjectId": 27,
        "externalRegistrySeq": 0,
        "buildServerHost": "topic:build-sandbox",
        "dbLog": switches["db_log"],
        "buildRunLogs": [
            step.view(found.run_seq, with_log=in_database)
            for step in found.steps
            if step_seq in (None, step.step_run_seq)
        ],
    }


def other_remove_runs(call: Call) -> Any:
    store = call.system.store
    found = store.run(call.number("build_run_seq"))
    return [] if found is None else [call.view(each) for each in store.sharing_digest(found)]


def remove(call: Call) -> Any:
    store = call.system.store
    return call.view(store.remove(store.run(call.number("build_run_seq"))))


def remove_tags(call: Call) -> Any:
    store, build_seq = call.system.store, call.number("build_seq")
    numbers = [_int32("buildRunSeqs", part) for part in call.required("buildRunSeqs").split(",")]
    found = [each for number in numbers if (each := store.run(number)) and each.build.build_seq == build_seq]
    for each in found:
        store.remove(each)
    return len(found)


def export(call: Call) -> Response:
    found = call.system.store.run(call.number("build_run_seq"))
    if found is None:
        raise Refusal("006", "build run is not found")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        entries.writestr("build.json", json.dumps(found.build.view()))
    return Response(archive.getvalue(), media_type="application/zip")


# --- build definitions


def build(call: Call) -> Any:
    found = call.system.store.build(call.number("build_seq"))
    return found.view() if found else None


def builds(call: Call) -> Any:
    if call.query("accountSeq") is None and call.query("serviceSeq") is None:
        return []
    return [each.view() for each in _builds(call)]


def build_names(call: Call) -> Any:
    return [{"buildSeq": each.build_seq, "buildName": each.build_name} for each in _builds(call)]


def build_count(call: Call) -> Any:
    return len(_builds(call)) if call.number("account_seq") == ACCOUNT_SEQ else 0


def build_images(call: Call) -> Any:
    found = call.system.store.build(call.number("build_seq"))
    if found is None:
        return None
    keys: dict[str, Callable[[BuildRun], Any]] = {
        "TAG": lambda each: each.tag,
        "IMAGE_SIZE": lambda each: each.size,
        "END_TIME": lambda each: each.end,
    }
    done = [each for each in call.system.store.runs_of(found.build_seq) if each.digest]
    done.sort(key=keys.get(call.query("orderColumn") or "", keys["END_TIME"]), reverse=call.query("order") != "ASC")
    tags = [
        {"tag": each.tag, "imageSize": each.size, "imageDigest": each.digest, "endTime": run_date(each.end)}
        for each in done
    ]
    shared = found.shared_view()
    return {"registryName": shared["registryName"], "imageName": shared["imageName"], "tags": tags}


def add_build(call: Call) -> Any:
    call.required("callbackUrl")
    fields, store = call.json(), call.system.store
    if not fields.get("buildName") or not fields.get("imageName"):
        raise Refusal("007", "buildName and imageName are required")
    now = call.system.world.clock.now()
    added = Build(max(store.builds) + 1, fields["buildName"], f"ops/{fields['imageName']}", created=now, updated=now)
    _edit(added, fields)
    store.builds[added.build_seq] = added
    return added.view()


def edit_build(call: Call) -> Any:
    found = call.system.store.build(call.number("build_seq"))
    if found is None:
        raise Refusal("008", "build is not found")
    _edit(found, call.json())
    found.updated = call.system.world.clock.now()
    return found.view()


def delete_build(call: Call) -> BuildRun:
    stored = callbacks.stored_url(call.required("callbackUrl"))
    return call.system.store.start_removal(call.system.store.build(call.number("build_seq")), stored)


def _edit(found: Build, fields: dict[str, Any]) -> None:
    for name, attribute in (
        ("buildName", "build_name"),
        ("buildDesc", "build_desc"),
        ("tagName", "tag_name"),
        ("autotagPrefix", "autotag_prefix"),
        ("autotagSeqType", "autotag_seq_type"),
    ):
        if fields.get(name) is not None:
            setattr(found, attribute, fields[name])
    if "autotagUseYn" in fields:
        found.autotag = fields["autotagUseYn"] == "Y"


def _builds(call: Call) -> list[Build]:
    return [each for each in call.system.store.builds.values() if not each.removed]


def _all_runs(call: Call) -> list[BuildRun]:
    return [each for each in reversed(call.system.store.runs.values()) if not each.removed]


@dataclass(frozen=True)
class Route:
    """``starts``: the answer is the view of a run whose first callback leaves before the reply."""

    name: str
    method: str
    pattern: re.Pattern[str]
    handler: Callable[[Call], Any]
    starts: bool = False


def _route(name: str, method: str, path: str, handler: Callable[[Call], Any], starts: bool = False) -> Route:
    return Route(name, method, re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path)), handler, starts)


ROUTES = (
    _route("list", "GET", "/build/run", runs),
    _route("latest", "GET", "/build/run/latest", latest),
    _route("search", "GET", "/build/run/search", search),
    _route("log", "GET", "/build/run/log/{build_run_seq}", log),
    _route("step_log", "GET", "/build/run/log/step/{build_step_run_seq}", step_log),
    _route("cancel", "PUT", "/build/run/cancel/{build_run_seq}", cancel, starts=True),
    _route("status", "GET", "/build/run/{build_run_seq}", status),
    _route("run", "POST", "/build/run/{build_seq}", run, starts=True),
    _route("rerun", "POST", "/build/run/{build_seq}/{build_run_seq}", rerun, starts=True),
    _route("remove", "DELETE", "/build/run/{build_run_seq}", remove),
    _route("other_remove_runs", "GET", "/build/run/{build_run_seq}/otherremoveruns", other_remove_runs),
    _route("export", "GET", "/build/run/{build_run_seq}/export", export),
    _route("remove_tags", "DELETE", "/build/run/{build_seq}/tag", remove_tags),
    _route("builds", "GET", "/build", builds),
    _route("add_build", "POST", "/build", add_build),
    _route("build_names", "GET", "/build/names", build_names),
    _route("build_count", "GET", "/build/count/{account_seq}", build_count),
    _route("build_images", "GET", "/build/{build_seq}/images", build_images),
    _route("build", "GET", "/build/{build_seq}", build),
    _route("edit_build", "PUT", "/build/{build_seq}", edit_build),
    _route("delete_build", "DELETE", "/build/{build_seq}", delete_build, starts=True),
)
