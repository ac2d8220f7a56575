"""Code Stream as a whole: its switches, its state, its routes and what the sandbox asks of it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from airflow_provider.sandbox.code_stream import formats, seeding
from airflow_provider.sandbox.code_stream.auth import Auth
from airflow_provider.sandbox.code_stream.errors import RefusedError, refusal
from airflow_provider.sandbox.code_stream.events import FIELDS, REFUSED_DELIVERY, Events
from airflow_provider.sandbox.code_stream.exchange import Exchange
from airflow_provider.sandbox.code_stream.executions import Executions
from airflow_provider.sandbox.code_stream.lists import compile_filter
from airflow_provider.sandbox.code_stream.machine import TERMINAL, Execution, Machine, Task
from airflow_provider.sandbox.code_stream.operations import Operations
from airflow_provider.sandbox.code_stream.pipelines import Pipelines
from airflow_provider.sandbox.code_stream.store import Store, Stored
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Call, Handler, Router
from airflow_provider.sandbox.core.system import System
from airflow_provider.sandbox.core.timeline import Timeline
from airflow_provider.sandbox.core.world import World

API_VERSION = "2019-10-17"
PREFIXES = ("/codestream/api", "/pipeline/api")
READ_ONLY = {("viewer", "retail")}
MASK = "*****"
NOTIFIED = {
    "STARTED": "STARTED",
    "COMPLETED": "SUCCESS",
    "FAILED": "FAILURE",
    "WAITING": "WAITING",
    "CANCELED": "CANCELED",
}
_REFERENCE = re.compile(r"\$\{(?:input\.)?(\w+)\}")


class CodeStreamSystem(System):
    """VMware Code Stream / Aria Automation Pipelines, on-prem and SaaS login."""

    name = "code_stream"
    SWITCHES = {
        "about_needs_token": True,
        "answered_twice_status": 200,
        "batch_errors": "objects",
        "bearer_lifetime": 28_800,
        "cancel_loses_race": False,
        "case_sensitive_actions": False,
        "disabled_status": 400,
        "event_resume": "continues",
        "event_status_lags": False,
        "event_time": "text",
        "execution_links": "normal",
        "first_index": 1,
        "insert_per_page": 0,
        "legacy_start_reply": False,
        "login_error_status": 400,
        "missing_input_status": 400,
        "no_pipelines_service": False,
        "omit_document": False,
        "opaque_bearer": False,
        "project_id_field": True,
        "refresh_error_status": 400,
        "refresh_lifetime": 7_776_000,
        "rerun": "link_in_reply",
        "rerun_delay": 2.0,
        "resume_failed": False,
        "rollback": "none",
        "saas_idle": 1500,
        "server_url": "text",
        "shown_status": {},
        "start_status": 202,
        "tags_form": "strings",
        "task_seconds": 3.7,
        "tasks_without_expand": False,
        "top_maximum": 2000,
        "unauthorised_answer": 200,
        "unknown_filter": 400,
        "unzoned_updated_at": False,
        "words": {"rerun": "Rerun", "resume": "Resume", "approve": "Approved", "reject": "Rejected"},
        "wrong_api_version": "ignore",
        "wrong_state_status": 400,
    }
    CHOICES = {
        "answered_twice_status": (200, 400, 409),
        "batch_errors": ("objects", "strings"),
        "event_resume": ("continues", "refused"),
        "event_time": ("text", "int"),
        "execution_links": ("normal", "singular", "pipeline", "host"),
        "login_error_status": (400, 401, 403),
        "refresh_error_status": (400, 403),
        "rerun": ("link_in_reply", "link_later", "new_event", "new_event_in_reply", "message_only"),
        "rollback": ("none", "completed", "failed"),
        "server_url": ("text", "object"),
        "start_status": (200, 202),
        "tags_form": ("strings", "objects"),
        "unauthorised_answer": (200, 403),
        "unknown_filter": (200, 400),
        "wrong_api_version": ("ignore", "400"),
        "wrong_state_status": (200, 400, 409, 500),
    }

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.switch_version = 0
        self.timeline = Timeline()
        self.auth = Auth(self)
        self.machine = Machine(self)
        self.runs = Executions(self)
        self.operations = Operations(self)
        self.events = Events(self)
        self.pipelines = Pipelines(self)
        self.git_webhooks = Store(self, "git-webhooks")
        self.registry_webhooks = Store(
            self, "registry-webhooks", defaults={"enabled": True, "input": {}}, patchable=("enabled",)
        )
        listener_fields = ("apiToken", "endpoint", "name", "description")
        self.gerrit_listeners = Store(
            self, "gerrit-listeners", required=listener_fields, patchable=("connected",), clonable=True
        )
        self.gerrit_triggers = Store(
            self,
            "gerrit-triggers",
            required=("name", "branch", "gerritProject", "listener"),
            defaults={"enabled": True},
            patchable=("enabled",),
            clonable=True,
        )
        self.variables = Store(
            self, "variables", required=("name", "description", "type", "value"), render=_mask_secret_variable
        )
        self._stores = (
            self.git_webhooks,
            self.registry_webhooks,
            self.gerrit_listeners,
            self.gerrit_triggers,
            self.variables,
            self.pipelines,
        )
        self.executions_by_id: dict[str, Execution] = {}
        self.running: Counter[str] = Counter()
        self.queues: defaultdict[str, deque[Execution]] = defaultdict(deque)
        self.scripts: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.app = self._routes()

    @property
    def now(self) -> float:
        return self.world.clock.now()

    @property
    def words(self) -> dict[str, str]:
        """This server's words for actions on events and for answers: the switch need not name them all."""
        return {**self.SWITCHES["words"], **self.switches["words"]}

    # --- routes ---

    def _routes(self) -> Router:
        router = Router(self._answer)
        self.auth.add_routes(router)
        router.add("GET", "/iaas/api/projects", self._projects)
        for api in PREFIXES:
            router.add("GET", f"{api}/about", self._about)
            router.add("GET", f"{api}/user-preferences", _user_preferences)
            router.add("POST", f"{api}/gerrit-listeners/validate", self._validate_listener)
            for path in (f"{api}/gerrit-listeners/{{id}}", f"{api}/gerrit-listeners/{{project}}/{{name}}"):
                router.add("GET", f"{path}/projects", self._listener_projects)
            self.runs.add_routes(router, api)
            self.operations.add_routes(router, api)
            self.events.add_routes(router, api)
            Exchange(self).add_routes(router, api)
            for store in self._stores:
                store.add_routes(router, api)
        return router

    def _answer(self, call: Call, handler: Handler | None) -> Response:
        with self.world.lock:
            try:
                return self._checked(call, handler)
            except RefusedError as refused:
                return refusal(refused.status, refused.message, call.path, self.now)

    def _checked(self, call: Call, handler: Handler | None) -> Response:
        below = call.path.removeprefix(call.scope.get("root_path", ""))
        is_api = below.startswith(PREFIXES)
        if handler is None or (is_api and self.switches["no_pipelines_service"]):
            raise RefusedError(404, "No handler found")
        is_login = below.startswith("/csp/") or below == "/iaas/api/login"
        is_open = below.endswith("/about") and not self.switches["about_needs_token"]
        if not is_login and not is_open:
            call.user = self.auth.authenticate(call)
        version = call.query("apiVersion")
        if is_api and version not in (None, API_VERSION) and self.switches["wrong_api_version"] == "400":
            raise RefusedError(400, f"Unsupported apiVersion {version!r}")
        return handler(call)

    def _about(self, call: Call) -> Response:
        supported = {
            "apiVersion": API_VERSION,
            "documentationLink": "/codestream/api/swagger/swagger-ui.html",
            "deprecationPolicy": {"deprecatedAt": "", "description": "", "expiresAt": ""},
        }
        return json_reply({"latestApiVersion": API_VERSION, "supportedApis": [supported]})

    def _projects(self, call: Call) -> Response:
        names = sorted({pipeline.project for pipeline in self.pipelines.objects.values()})
        documents = [{"id": formats.project_id(name), "name": name} for name in names]
        text = call.query("$filter")
        if text:
            try:
                predicate = compile_filter(text)
            except ValueError as error:
                raise RefusedError(400, f"Invalid $filter: {error}") from None
            documents = [document for document in documents if predicate(document)]
        return json_reply({"content": documents, "totalElements": len(documents), "numberOfElements": len(documents)})

    def _validate_listener(self, call: Call) -> Response:
        fields = self.gerrit_listeners.spec(call, self.gerrit_listeners.required)
        return json_reply(fields | {"connected": True, "_reason": ""})

    def _listener_projects(self, call: Call) -> Response:
        listener = self.gerrit_listeners.find(call)
        mine = [each for each in self.gerrit_triggers.objects.values() if each.fields["listener"] == listener.name]
        return json_reply(sorted({each.fields["gerritProject"] for each in mine}))

    def require_write(self, user: str, project: str) -> None:
        """RefusedError(403) when the user may only read in the project."""
        if (user, project) in READ_ONLY:
            raise RefusedError(403)

    # --- executions ---

    def start(
        self,
        pipeline: Stored,
        *,
        inputs: dict[str, Any],
        user: str,
        comments: str = "",
        tags: list[Any] | None = None,
        source: str = "",
        triggered_by: str = "",
        nested: bool = False,
        rollback: bool = False,
        at: float | None = None,
    ) -> Execution:
        """A new execution of a pipeline; every call makes one."""
        index = self.pipelines.counters.get(pipeline.id, self.switches["first_index"] - 1) + 1
        self.pipelines.counters[pipeline.id] = index
        at = self.now if at is None else at
        execution = Execution(
            id=formats.new_id(),
            index=index,
            pipeline_id=pipeline.id,
            name=pipeline.name,
            project=pipeline.project,
            definition=pipeline.fields,
            inputs=pipeline.fields["input"] | inputs,
            comments=comments,
            tags=tags or [],
            source=source,
            user=user,
            at=at,
            triggered_by=triggered_by,
            nested=nested,
            rollback=rollback,
        )
        self.executions_by_id[execution.id] = execution
        self.machine.begin(execution, at)
        return execution

    def insert_finished(
        self,
        pipeline_id: str,
        *,
        status: str = "COMPLETED",
        at: float | None = None,
        inputs: dict[str, Any] | None = None,
    ) -> Execution:
        """An execution that has ended already, as a row in the lists; ``at`` is its request time."""
        pipeline = self.pipelines.objects[pipeline_id]
        at = self.now if at is None else at
        execution = self.start(pipeline, inputs=inputs or {}, user=seeding.USER, at=at)
        execution.wake += 1
        execution.track.started_by = seeding.MARKER
        failed = status != "COMPLETED"
        for stage in execution.stages:
            stage.status, stage.started_at, stage.ended_at = "COMPLETED", at, at
            for task in (task for group in stage.groups for task in group):
                task.status, task.started_at, task.ended_at = "COMPLETED", at, at
        if failed:
            number = len(execution.stages) - 1
            stage = execution.stages[number]
            group = len(stage.groups) - 1
            task = stage.groups[group][-1]
            task.status, task.message = "FAILED", "Script execution failed."
            stage.status, stage.message = "FAILED", f"{task.name}: {task.message}"
            execution.cursor = (number, group)
        execution.message = f"{task.key}: {task.message}" if failed else "Execution Completed."
        if not failed:
            self.fill_output(execution)
        execution.status, execution.ended_at = status, at
        execution.track.enter(status, at)
        return execution

    def fill_output(self, execution: Execution) -> None:
        """The output of a pipeline: its definition with inputs put in, and what its tasks gave."""
        output = {
            name: _put_in(value, execution.inputs) for name, value in execution.definition.get("output", {}).items()
        }
        for task in execution.tasks:
            output |= task.output
        execution.output = output

    def forget(self, execution: Execution) -> None:
        """Deletes an execution; what it was doing stops."""
        self.slot_freed(execution, self.now)
        del self.executions_by_id[execution.id]

    def slot_freed(self, execution: Execution, at: float) -> None:
        """An execution no longer counts against the concurrency of its pipeline; the first in the queue starts."""
        if not execution.counted:
            return
        execution.counted = False
        self.running[execution.pipeline_id] -= 1
        queue = self.queues[execution.pipeline_id]
        while queue:
            first = queue.popleft()
            if first.status == "QUEUED" and not first.held and first.id in self.executions_by_id:
                self.machine.leave_queue(first, at)
                break

    def script(self, execution: Execution, task: Task) -> dict[str, Any]:
        """What a test wants of a task: ``seconds``, ``fails`` (the message), ``output``."""
        key = (execution.project, execution.name, task.key)
        script = self.scripts.get(key, {})
        if "times" in script:
            script["times"] -= 1
            if script["times"] <= 0:
                del self.scripts[key]
        return {} if execution.rollback else script

    def notify(self, execution: Execution, status: str) -> None:
        """Tells the pipeline's notification webhooks about an event of the execution."""
        event = NOTIFIED.get(status)
        webhooks = (execution.definition.get("notifications") or {}).get("webhook") or ()
        for webhook in webhooks:
            if event is not None and webhook.get("event") == event and webhook.get("url"):
                payload = webhook.get("payload") or {"event": event, "executionId": execution.id, "status": status}
                self.world.outbox.post(
                    webhook["url"],
                    payload,
                    webhook.get("headers"),
                    system=self.name,
                    about=f"{event} of execution {execution.id}",
                    timeout=10,
                )

    # --- what the sandbox asks ---

    def reset(self) -> None:
        self.switch_version += 1
        self.timeline.clear()
        self.auth.reset()
        self.executions_by_id.clear()
        self.running.clear()
        self.queues.clear()
        self.scripts.clear()
        self.operations.all.clear()
        self.events.all.clear()
        self.pipelines.counters.clear()
        for store in self._stores:
            store.objects.clear()
        seeding.load(self)

    def tick(self, now: float) -> None:
        self.timeline.run(now)

    def set_switches(self, values: dict[str, Any]) -> None:
        super().set_switches(values)
        self.switch_version += 1

    def executions(self) -> list[dict[str, Any]]:
        return [
            execution.track.as_dict() | {"pipeline": execution.name, "project": execution.project}
            for execution in self.executions_by_id.values()
        ]

    def offers(self) -> list[str]:
        pipelines = [f"pipeline {each.name}  project {each.project}" for each in self.pipelines.objects.values()]
        events = [
            f"{each.kind} event {each.id}  {each.name}: "
            + (f"led to an execution that is {each.execution.track.state}" if each.execution else "led to nothing")
            for each in self.events.all.values()
        ]
        return [*pipelines, *events]

    def force_state(self, execution_id: str, state: str) -> None:
        self.machine.force(self.executions_by_id[execution_id], state.upper(), self.now)

    def expire_tokens(self) -> None:
        self.auth.expire_bearers()

    def who(self, request: Request) -> str:
        return self.auth.user_of(request.headers.get("authorization", ""), self.now)

    def image_pushed(self, repository: str, tag: str, digest: str, size: int) -> None:
        namespace, _, image = repository.rpartition("/")
        for webhook in list(self.registry_webhooks.objects.values()):
            fields = webhook.fields
            wanted = fields["enabled"] and fields.get("repoName") in (repository, image)
            wanted = wanted and re.fullmatch(fields.get("tagNamePattern") or ".*", tag) is not None
            if not wanted or not re.fullmatch(fields.get("imageNameRegExPattern") or ".*", image):
                continue
            accepted = self.auth.is_valid_refresh_token(fields.get("refreshToken"))
            self.events.deliver(
                "docker",
                name=webhook.name,
                project=webhook.project,
                pipeline=fields.get("pipeline", ""),
                fields={"repo": image, "repoNamespace": namespace, "imageName": image, "tag": tag, "owner": namespace},
                inputs={name: _put_in(value, {"tag": tag}) for name, value in fields["input"].items()},
                refused=None if accepted else REFUSED_DELIVERY,
            )

    def act(self, action: str, values: dict[str, Any]) -> Any:
        """``deliver`` an event, ``insert_executions``, ``script`` a task, ``expire_refresh_tokens``."""
        actions = {
            "deliver": self._act_deliver,
            "insert_executions": self._act_insert,
            "script": self._act_script,
            "expire_refresh_tokens": lambda _: self.auth.expire_refresh_tokens() or {},
        }
        if action not in actions:
            return super().act(action, values)
        return actions[action](values)

    def _act_deliver(self, values: dict[str, Any]) -> Any:
        kind = values.get("kind")
        if kind not in FIELDS:
            raise ValueError(f"kind must be one of {', '.join(FIELDS)}")
        fields = values.get("fields") or {}
        unknown = set(fields) - set(FIELDS[kind])
        if unknown:
            raise ValueError(f"a {kind} event has no field {', '.join(sorted(unknown))}")
        event = self.events.deliver(
            kind,
            name=values.get("name", f"{kind}-shop"),
            project=values.get("project", "retail"),
            pipeline=values.get("pipeline", "Deploy shop"),
            fields=fields,
            inputs=values.get("inputs"),
            refused=values.get("refused"),
        )
        return self.events.document(event)

    def _named(self, values: dict[str, Any]) -> Stored:
        pipeline = self.pipelines.named(values.get("pipeline", ""), values.get("project", "retail"))
        if pipeline is None:
            raise ValueError(f"no pipeline {values.get('pipeline')!r} in project {values.get('project', 'retail')!r}")
        return pipeline

    def _act_insert(self, values: dict[str, Any]) -> Any:
        status = values.get("status", "COMPLETED")
        if status not in TERMINAL:
            raise ValueError(f"status must be one of {', '.join(sorted(TERMINAL))}")
        pipeline = self._named(values)
        return {
            "ids": [self.insert_finished(pipeline.id, status=status).id for _ in range(int(values.get("count", 1)))]
        }

    def _act_script(self, values: dict[str, Any]) -> Any:
        pipeline = self._named(values)
        script = {name: values[name] for name in ("seconds", "fails", "output", "times") if name in values}
        self.scripts[(pipeline.project, pipeline.name, str(values.get("task")))] = script
        return script


def _put_in(value: Any, inputs: dict[str, Any]) -> Any:
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return inputs.get(whole[1])
    return _REFERENCE.sub(lambda match: str(inputs.get(match[1], "")), value)


def _user_preferences(call: Call) -> Response:
    return json_reply({"userName": call.user, "preferences": {}})


def _mask_secret_variable(document: dict[str, Any]) -> dict[str, Any]:
    return document | {"value": MASK} if document.get("type") == "SECRET" else document
