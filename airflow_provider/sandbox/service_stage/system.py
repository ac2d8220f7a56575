"""ServiceStage as a whole: its switches, its state, its routes and what the sandbox asks of it."""

from __future__ import annotations

import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Call, Handler, Router
from airflow_provider.sandbox.core.system import System
from airflow_provider.sandbox.core.timeline import Timeline
from airflow_provider.sandbox.core.world import World
from airflow_provider.sandbox.service_stage import seeding
from airflow_provider.sandbox.service_stage.auth import PREFIXES, Auth
from airflow_provider.sandbox.service_stage.errors import (
    CONFLICT,
    FORBIDDEN,
    NO_ACCESS,
    NOT_PUBLISHED,
    THROTTLED,
    UNKNOWN_TASK,
    RefusedError,
    bad_parameter,
)
from airflow_provider.sandbox.service_stage.machine import (
    BUSY,
    FAILED,
    PAUSED,
    RELEASING,
    STATUSES,
    SUCCEEDED,
    TO_APPROVE,
    Machine,
    Release,
    Run,
    Task,
    phases,
)

ROOT = "/v3/{project_id}/pipeline/pipelines"
FIRST_ID = 286541
ACTIONS = ("start", "stop", "retry", "approval", "continue", "rollback")
READ_ONLY_USERS = ("viewer",)
SPEC_FIELDS = (
    "name",
    "description",
    "model_version",
    "config_mode",
    "fail_mode",
    "enterprise_project_id",
    "sources",
    "stages",
)


class ServiceStageSystem(System):
    """Huawei Cloud ServiceStage release tasks; IAM answers below ``/iam`` and at the root."""

    name = "service_stage"
    SWITCHES = {
        "empty_body_status": 200,
        "list_form": "wrapped",
        "list_lag": 0.0,
        "list_time_lags": False,
        "plus_is_blank": False,
        "quota_per_second": 0,
        "record_case": "snake",
        "record_id": "integer",
        "record_lag": 0.0,
        "record_status": True,
        "reply_id": "integer",
        "retry_keeps_id": True,
        "rollback_fails": False,
        "shown_status": {},
        "status_form": "integer",
        "stop_ends_failed": False,
        "task_seconds": 3.9,
        "token_length": 1500,
        "token_lifetime": 86_400,
        "wrong_state_status": 400,
    }
    CHOICES = {
        "empty_body_status": (200, 400),
        "list_form": ("wrapped", "bare"),
        "record_case": ("snake", "camel"),
        "record_id": ("integer", "text"),
        "reply_id": ("integer", "text"),
        "status_form": ("integer", "text"),
        "wrong_state_status": (400, 409),
    }

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.timeline = Timeline()
        self.auth = Auth(self)
        self.machine = Machine(self)
        self.releases: dict[str, Release] = {}
        self.runs: dict[str, Run] = {}
        self.scripts: dict[tuple[str, str], dict[str, Any]] = {}
        self._next_id = FIRST_ID
        self._window: tuple[int, int] = (0, 0)
        self.app = self._routes()

    @property
    def now(self) -> float:
        return self.world.clock.now()

    def next_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    # --- routes ---

    def _routes(self) -> Router:
        router = Router(self._answer)
        self.auth.add_routes(router)
        router.add("GET", ROOT, self._list)
        router.add("POST", ROOT, self._create)
        router.add("GET", f"{ROOT}/{{id}}", self._detail)
        router.add("PUT", f"{ROOT}/{{id}}", self._edit)
        router.add("DELETE", f"{ROOT}/{{id}}", self._delete)
        router.add("GET", f"{ROOT}/{{id}}/records", self._records)
        router.add("POST", f"{ROOT}/{{id}}/action", self._act_on)
        return router

    def _answer(self, call: Call, handler: Handler | None) -> Response:
        with self.world.lock:
            try:
                response = self._checked(call, handler)
            except RefusedError as refused:
                response = refused.reply()
        request_id = uuid.uuid4().hex
        response.headers["X-Request-Id"] = request_id
        if self._is_iam(call):
            response.headers["X-IAM-Trace-Id"] = request_id
        return response

    @staticmethod
    def _is_iam(call: Call) -> bool:
        below = call.path.removeprefix(call.scope.get("root_path", ""))
        roots = ("/v3/auth/", "/v3/projects", "/v3.0/")
        return below.startswith(tuple(prefix + root for prefix in PREFIXES for root in roots))

    def _checked(self, call: Call, handler: Handler | None) -> Response:
        if handler is None:
            message = "The API does not exist or has not been published in the environment"
            raise RefusedError(404, NOT_PUBLISHED, message)
        self._throttle()
        if self._is_iam(call):
            return handler(call)
        call.login, call.user, token_project = self.auth.authenticate(call)
        project_id = call.params["project_id"]
        if project_id not in self.auth.projects.values() or token_project not in (None, project_id):
            raise RefusedError(403, NO_ACCESS, f"No permission to access the project {project_id}")
        if call.method != "GET" and call.user in READ_ONLY_USERS:
            message = "Policy doesn't allow servicestage:pipeline:modify to be performed."
            raise RefusedError(403, FORBIDDEN, message)
        return handler(call)

    def _throttle(self) -> None:
        quota, second = self.switches["quota_per_second"], int(self.now)
        count = self._window[1] + 1 if self._window[0] == second else 1
        self._window = (second, count)
        if quota and count > quota:
            raise RefusedError(
                429,
                THROTTLED,
                f"The throttling threshold has been reached: policy user over ratelimit,limit:{quota},time:1 second",
            )

    def _find(self, call: Call) -> Release:
        release = self.releases.get(call.params["id"])
        if release is None or release.project_id != call.params["project_id"]:
            raise RefusedError(404, UNKNOWN_TASK, "release task not found")
        return release

    def _body(self, call: Call) -> dict[str, Any]:
        try:
            body = call.json()
        except ValueError as error:
            raise bad_parameter(f"malformed JSON: {error}") from None
        if body is None and self.switches["empty_body_status"] == 400:
            raise bad_parameter("the request body is missing")
        if body is not None and not isinstance(body, dict):
            raise bad_parameter("the request body must be an object")
        return body or {}

    # --- release tasks ---

    def create(self, spec: dict[str, Any], project_id: str, user: str, release_id: str | None = None) -> Release:
        """A new release task; ``release_id`` is for the seed."""
        release = Release(release_id or str(uuid.uuid4()), project_id, spec, user, self.now)
        self.releases[release.id] = release
        return release

    def _spec(self, call: Call) -> dict[str, Any]:
        body = self._body(call)
        if not isinstance(body.get("name"), str) or not body["name"]:
            raise bad_parameter("name is required")
        if body.get("model_version") != 2:
            raise bad_parameter("model_version must be 2")
        if body.get("config_mode") not in ("ui", "template"):
            raise bad_parameter("config_mode must be ui or template")
        try:
            phases(body.get("stages") or [])
        except (KeyError, TypeError, AttributeError):
            raise bad_parameter("stages must be a list of stages with name and tasks") from None
        defaults = {"description": "", "fail_mode": "stop", "enterprise_project_id": "0", "sources": [], "stages": []}
        return defaults | {name: body[name] for name in SPEC_FIELDS if body.get(name) is not None}

    def _create(self, call: Call) -> Response:
        release = self.create(self._spec(call), call.params["project_id"], call.user)
        return json_reply(self._item(release))

    def _edit(self, call: Call) -> Response:
        release = self._find(call)
        release.spec = self._spec(call)
        release.version += 1
        release.updated_at = self.now
        return json_reply(self._item(release))

    def _delete(self, call: Call) -> Response:
        release = self._find(call)
        if release.status in BUSY:
            raise self._wrong_state("delete", release)
        del self.releases[release.id]
        return json_reply({})

    def _list(self, call: Call) -> Response:
        project_id = call.params["project_id"]
        items = [self._item(release) for release in self.releases.values() if release.project_id == project_id]
        return json_reply(items if self.switches["list_form"] == "bare" else {"pipelines": items})

    def _item(self, release: Release) -> dict[str, Any]:
        lag = self.switches["list_lag"]
        status = release.status_at(self.now - lag) if lag else release.status
        triggered = release.triggered_at(self.now - lag if self.switches["list_time_lags"] else self.now)
        return {
            "id": release.id,
            "name": release.name,
            "description": release.spec["description"],
            "create_time": _millis(release.created_at),
            "update_time": _millis(release.updated_at),
            "version": str(release.version),
            "model_version": release.spec["model_version"],
            "config_mode": release.spec["config_mode"],
            "status": self._shown(status),
            "creator": release.creator,
            "last_trigger_at": _millis(triggered) if triggered is not None else None,
            "enterprise_project_id": release.spec["enterprise_project_id"],
        }

    def _detail(self, call: Call) -> Response:
        release = self._find(call)
        spec = release.spec
        names = ("name", "description", "model_version", "config_mode", "fail_mode", "enterprise_project_id")
        declaration = {"sources": spec["sources"], "stages": spec["stages"]}
        body = {"id": release.id} | {name: spec[name] for name in names} | {"pipeline_declaration": declaration}
        return json_reply(body)

    def _records(self, call: Call) -> Response:
        shown_at = self.now - self.switches["record_lag"]
        runs = [run for run in self._find(call).runs if run.at <= shown_at]
        return json_reply({"count": len(runs), "records": [self._record(run) for run in reversed(runs)]})

    def _record(self, run: Run) -> dict[str, Any]:
        camel = self.switches["record_case"] == "camel"
        record = {
            "id": run.id if self.switches["record_id"] == "integer" else str(run.id),
            "pipelineId" if camel else "pipeline_id": run.release.id,
            "version": run.release.version,
            "trigger": run.user,
            "triggerAt" if camel else "trigger_at": _millis(run.at),
        }
        if self.switches["record_status"]:
            lag = self.switches["record_lag"]
            record["status"] = self._shown(run.status_at(self.now - lag) if lag else run.status)
        return record

    def _shown(self, status: int) -> int | str:
        shown = self.switches["shown_status"].get(str(status), status)
        return str(shown) if self.switches["status_form"] == "text" else shown

    # --- actions ---

    def _act_on(self, call: Call) -> Response:
        release = self._find(call)
        action = call.query("action_id")
        if action not in ACTIONS:
            raise bad_parameter(f"action_id must be one of {', '.join(ACTIONS)}")
        body = self._body(call)
        run = self._start(release, call, body) if action == "start" else self._move(release, call, body, action)
        return json_reply(
            {
                "id": run.id if self.switches["reply_id"] == "integer" else str(run.id),
                "pipeline_id": release.id,
                "status": self._shown(run.status),
            }
        )

    def _start(self, release: Release, call: Call, body: dict[str, Any]) -> Run:
        selected = _selected(release, body.get("selected_tasks"))
        if not release.stages:
            raise bad_parameter("the release task has no stages")
        if release.status in BUSY:
            raise self._wrong_state("start", release)
        return self.machine.start(release, call.login, call.user, selected, self.now)

    def _move(self, release: Release, call: Call, body: dict[str, Any], action: str) -> Run:
        now, run = self.now, release.runs[-1] if release.runs else None
        if action == "stop" and run is not None:
            run.track.cancel_received(now)
        if action == "approval":
            _check_approval(body)
        allowed = {
            "stop": (RELEASING, TO_APPROVE),
            "continue": (PAUSED,),
            "retry": (FAILED,),
            "rollback": (SUCCEEDED, FAILED),
            "approval": (TO_APPROVE,),
        }
        if run is None or run.status not in allowed[action]:
            raise self._wrong_state(action, release)
        if action == "stop":
            self.machine.stop(run, now)
        elif action == "continue":
            self.machine.go_on(run, now)
        elif action == "retry":
            return self.machine.retry(run, call.login, call.user, now)
        elif action == "rollback":
            self.machine.roll_back(run, now)
        else:
            self._approve(run, body)
        return run

    def _approve(self, run: Run, body: dict[str, Any]) -> None:
        task = next((each for each in self.machine.waiting(run) if each.name == body["task_name"]), None)
        if task is None:
            raise bad_parameter(f"no approval task {body['task_name']} is waiting")
        self.machine.answer(run, task, agreed=body["approval_type"] == "agree", at=self.now)

    def _wrong_state(self, action: str, release: Release) -> RefusedError:
        if self.switches["wrong_state_status"] == 409:
            return RefusedError(409, CONFLICT, f"{action} is not allowed in status {release.status}")
        return bad_parameter(f"{action} is not allowed in status {release.status}")

    def script(self, run: Run, task: Task) -> dict[str, Any]:
        """What a test wants of a task: ``seconds``, ``fails``; ``times`` limits how often."""
        key = (run.release.id, task.name)
        script = self.scripts.get(key, {})
        if "times" in script:
            script["times"] -= 1
            if script["times"] <= 0:
                del self.scripts[key]
        return script

    # --- what the sandbox asks ---

    def reset(self) -> None:
        self.timeline.clear()
        self.auth.reset()
        self.releases.clear()
        self.runs.clear()
        self.scripts.clear()
        self._next_id = FIRST_ID
        seeding.load(self)

    def tick(self, now: float) -> None:
        self.timeline.run(now)

    def executions(self) -> list[dict[str, Any]]:
        return [
            run.track.as_dict() | {"pipeline": run.release.name, "pipeline_id": run.release.id}
            for run in self.runs.values()
        ]

    def offers(self) -> list[str]:
        return [f"release task {release.name}  id {release.id}" for release in self.releases.values()]

    def force_state(self, execution_id: str, state: str) -> None:
        run = self.runs[execution_id]
        if not state.isdigit() or int(state) not in STATUSES:
            raise ValueError(f"one of {', '.join(str(status) for status in sorted(STATUSES))}")
        self.machine.force(run, int(state), self.now)

    def expire_tokens(self) -> None:
        self.auth.expire_tokens()

    def who(self, request: Request) -> str:
        return self.auth.who(request.headers.get("x-auth-token"), request.headers.get("authorization", ""))

    def act(self, action: str, values: dict[str, Any]) -> Any:
        """``script`` a task of a release task, ``revoke_tokens`` of a user."""
        if action == "revoke_tokens":
            return {"revoked": self.auth.revoke(str(values.get("user")))}
        if action != "script":
            return super().act(action, values)
        release = next(
            (each for each in self.releases.values() if values.get("pipeline") in (each.id, each.name)), None
        )
        if release is None:
            raise ValueError(f"no release task {values.get('pipeline')!r}")
        script = {name: values[name] for name in ("seconds", "fails", "times") if name in values}
        self.scripts[(release.id, str(values.get("task")))] = script
        return script


def _millis(at: float) -> int:
    return int(at * 1000)


def _selected(release: Release, selected: Any) -> dict[str, list[str]] | None:
    """The chosen task names by stage name; a refusal names what the release task does not have."""
    if selected is None:
        return None
    known = {phase.name: {task.name for task in phase.tasks} for phase in phases(release.stages)}
    chosen: dict[str, list[str]] = {}
    try:
        for entry in selected:
            chosen[entry["stage_name"]] = list(entry["tasks"])
    except (TypeError, KeyError):
        raise bad_parameter("selected_tasks must be a list of stage_name and tasks") from None
    for stage, tasks in chosen.items():
        unknown = set(tasks) - known.get(stage, set())
        if stage not in known or unknown:
            raise bad_parameter(f"selected_tasks names what does not exist: {stage} {', '.join(map(str, unknown))}")
    return chosen


def _check_approval(body: dict[str, Any]) -> None:
    if not isinstance(body.get("task_name"), str) or not body["task_name"]:
        raise bad_parameter("task_name is required for approval")
    if body.get("approval_type") not in ("agree", "refuse"):
        raise bad_parameter("approval_type must be agree or refuse")
