"""The Red Hat Quay stand-in: its switches, the way of a request, pushed images and the events they raise.

The operations stand in one module for each kind of thing; delivery is in worker.py.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any, ClassVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.core.system import System
from airflow_provider.sandbox.core.world import World
from airflow_provider.sandbox.quay import payloads, replies, rules, web
from airflow_provider.sandbox.quay.auth import Directory
from airflow_provider.sandbox.quay.builds import OUTCOMES, PHASES, BuildManager
from airflow_provider.sandbox.quay.builds import logs as build_logs
from airflow_provider.sandbox.quay.calls import Call
from airflow_provider.sandbox.quay.manifests import SCAN_STATES
from airflow_provider.sandbox.quay.notifications import Notification
from airflow_provider.sandbox.quay.store import SEVERITIES, Finding, Manifest, Repository, State
from airflow_provider.sandbox.quay.worker import Worker

METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]


class QuaySystem(System):
    name = "quay"
    SWITCHES: ClassVar[dict[str, Any]] = {
        "server_hostname": "quay.example.com",
        "codes": "server",
        "read_only_registry": False,
        "read_only_repositories": [],
        "mirrored_repositories": [],
        "authorized_emails": [],
        "notification_send_timeout": 10.0,
        "immutable_tags": False,
        "security_scanner": True,
        "scanner_down": False,
        "scan_status": "scanned",
        "new_image_severity": "Low",
        "ephemeral_build_manager": True,
        "reader_build_logs": False,
        "build_support": True,
        "build_outcome": "complete",
        "build_tries": 3,
        "internalerror_loops": 1,
        "build_log_store_down": False,
        "archive_build_logs": True,
        "max_queued_builds": 0,
    }
    CHOICES: ClassVar[dict[str, tuple[Any, ...]]] = {
        "codes": ("server", "vendor_page", "swagger"),
        "scan_status": SCAN_STATES,
        "new_image_severity": ("", *SEVERITIES),
        "build_outcome": OUTCOMES,
    }
    directory: Directory
    repositories: dict[str, Repository]
    builds: BuildManager
    worker: Worker

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.app = Starlette(routes=[Route("/{path:path}", self._endpoint, methods=METHODS)])

    # --- what the core asks

    def reset(self) -> None:
        now = self.world.clock.now()
        self.directory = Directory(seed.QUAY_USERS, seed.QUAY_TOKENS)
        self.repositories = {}
        self.builds = BuildManager(self)
        self.worker = Worker(self.world, self.switches, self.notification)
        for image in seed.QUAY_IMAGES:
            repository = self._repository(image["repository"])
            pushed = now - image["age"]
            manifest = Manifest(digest_of(image["tag"]), image["size"], pushed, findings_of(image["severities"]))
            repository.manifests[manifest.digest] = manifest
            repository.point(image["tag"], manifest.digest, pushed)

    def tick(self, now: float) -> None:
        self.builds.tick(now)
        self.worker.tick(now)

    def executions(self) -> list[dict[str, Any]]:
        return [
            build.track.as_dict() | {"repository": f"{build.namespace}/{build.name}", "tags": build.tags}
            for build in self.builds.all.values()
        ]

    def offers(self) -> list[str]:
        now = self.world.clock.now()
        return [
            f"repository {each.path}  tags {', '.join(tag.name for tag in each.living_tags(now))}"
            for each in self.repositories.values()
        ]

    def force_state(self, execution_id: str, state: str) -> None:
        build = self.builds.all[execution_id]
        if state not in PHASES:
            raise ValueError(f"a build is one of {', '.join(PHASES)}")
        self.builds.enter(build, state, self.world.clock.now())

    def expire_tokens(self) -> None:
        """Nothing to do: tokens are static, the edge marks the one request."""

    def who(self, request: Request) -> str:
        login = self.directory.login(request, self.world.clock.now(), expired=False)
        return login.user if login else ""

    def state_of(self, repository: str) -> State:
        if repository in self.switches["mirrored_repositories"]:
            return State.MIRROR
        return State.READ_ONLY if repository in self.switches["read_only_repositories"] else State.NORMAL

    def image_pushed(self, repository: str, tag: str, digest: str, size: int) -> None:
        """Creates the repository if need be, as a push by its owner does; every push by tag name is an event."""
        self._store(repository, tag, digest, size)

    # --- events

    def notification(self, uuid: str) -> Notification | None:
        return next(
            (each.notifications[uuid] for each in self.repositories.values() if uuid in each.notifications), None
        )

    def queue_test(self, notification: Notification) -> None:
        server, now = self.switches["server_hostname"], self.world.clock.now()
        place = (server, notification.namespace, notification.name)
        body = payloads.test_body(notification.event, *place, notification.event_config, now)
        self.worker.add(notification, notification.event, body)

    def raise_event(self, repository: str, event: str, body: dict[str, Any]) -> None:
        """Queues ``body`` for every notification of this event."""
        found = self.repositories.get(repository)
        for each in list(found.notifications.values()) if found else ():
            if each.event == event:
                self.worker.add(each, event, body)

    def report_finding(self, repository: Repository, digest: str, finding: Finding) -> None:
        """The scanner's notifier: each of k notifications gets every finding k times."""
        asked = [each for each in repository.notifications.values() if each.event == "vulnerability_found"]
        if not payloads.passes_first_filter([each.event_config for each in asked], finding):
            return
        tags = [each.name for each in repository.living_tags(self.world.clock.now()) if each.digest == digest]
        body = payloads.finding_body(self.switches["server_hostname"], repository, tags, finding)
        for _ in asked:
            self.raise_event(repository.path, "vulnerability_found", body)

    # --- actions of /_sandbox

    def act(self, action: str, values: dict[str, Any]) -> Any:
        """``push_image``, ``report_finding``, ``set_scan``, ``raise_event``, ``issue_token``.

        :raises ValueError: names the action or the value that is wrong
        """
        actions: dict[str, Callable[..., dict[str, Any]]] = {
            "push_image": self._act_push,
            "report_finding": self._act_finding,
            "set_scan": self._act_scan,
            "raise_event": self._act_event,
            "issue_token": self._act_token,
        }
        if action not in actions:
            return super().act(action, values)
        try:
            return actions[action](**values)
        except TypeError as error:
            raise ValueError(f"action {action!r} of quay: {error}") from None

    def _act_push(
        self,
        repository: str,
        tag: str,
        digest: str | None = None,
        size: int = 31_457_280,
        severities: list[str] | None = None,
        children: list[str] | None = None,
        labels: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        digest = digest or digest_of(f"{repository}:{tag}@{time.time_ns()}")
        self.world.image_pushed(repository, tag, digest, size)
        manifest = self.repositories[repository].manifests[digest]
        if severities is not None:
            manifest.findings = findings_of(severities)
        manifest.children = children or []
        for key, value in (labels or {}).items():
            manifest.label(key, value, "manifest")
        return {"digest": digest}

    def _act_finding(self, repository: str, digest: str, severity: str, name: str, **details: str) -> dict[str, Any]:
        found, manifest = self._known_manifest(repository, digest)
        if severity not in SEVERITIES:
            raise ValueError(f"severity must be one of {', '.join(SEVERITIES)}")
        finding = Finding(name, severity, **details)
        manifest.findings.append(finding)
        self.report_finding(found, digest, finding)
        return {}

    def _act_scan(self, repository: str, digest: str, status: str) -> dict[str, Any]:
        if status not in SCAN_STATES:
            raise ValueError(f"status must be one of {', '.join(SCAN_STATES)}")
        self._known_manifest(repository, digest)[1].scan_status = status
        return {}

    def _act_event(self, repository: str, event: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if event not in payloads.EVENTS:
            raise ValueError(f"event must be one of {', '.join(payloads.EVENTS)}")
        namespace, _, name = repository.partition("/")
        base = payloads.repository_body(self.switches["server_hostname"], namespace, name)
        self.raise_event(repository, event, base | (body or {}))
        return {}

    def _act_token(self, user: str, scopes: list[str], expires_in: float | None = None) -> dict[str, Any]:
        expires = None if expires_in is None else self.world.clock.now() + expires_in
        return {"token": self.directory.issue(user, scopes, expires)}

    def _known_manifest(self, repository: str, digest: str) -> tuple[Repository, Manifest]:
        found = self.repositories.get(repository)
        if found is None or digest not in found.manifests:
            raise ValueError(f"quay has no image {digest} in {repository!r}")
        return found, found.manifests[digest]

    def _store(self, path: str, tag: str, digest: str, size: int) -> None:
        now, repository = self.world.clock.now(), self._repository(path)
        if digest not in repository.manifests:
            severity = self.switches["new_image_severity"]
            repository.manifests[digest] = Manifest(digest, size, now, findings_of([severity] if severity else []))
        repository.point(tag, digest, now)
        self.raise_event(path, "repo_push", payloads.push_body(self.switches["server_hostname"], repository, [tag]))

    def _repository(self, path: str) -> Repository:
        namespace, _, name = path.partition("/")
        return self.repositories.setdefault(path, Repository(namespace, name))

    # --- the way of a request

    async def _endpoint(self, request: Request) -> Response:
        body = await request.body()
        with self.world.lock:
            try:
                return self._answer(request, "/" + request.path_params["path"], body)
            except (replies.Problem, replies.Abort, replies.Plain, replies.Crash) as error:
                return replies.of_error(error, request)

    def _answer(self, request: Request, path: str, body: bytes) -> Response:
        found = rules.find(request.method, path)
        if found.redirect:
            return replies.redirect(request, found.redirect)
        if found.operation is None:
            return self._unknown(request, found)
        call = Call(self, request, found.params, body)
        operation = found.operation
        if not operation.open:
            call.login = self.directory.login(request, call.now, self.is_expired(request))
            self.directory.check_call(request, call.login)
            self._check_writable(call, operation)
        if operation.level:
            self.directory.require(call.login, call.namespace, call.repository, self._level(operation))
        reply = operation.handler(call)
        session = self.directory.session(request)
        if session is not None and request.method not in ("GET", "HEAD"):
            reply.headers["X-Next-CSRF-Token"] = session.csrf
        return reply

    def _unknown(self, request: Request, found: rules.Found) -> Response:
        if request.method == "OPTIONS" and found.allowed:
            return Response(b"", 200, headers={"allow": ", ".join(found.allowed)}, media_type="text/html")
        if found.allowed:
            allowed = {"allow": ", ".join(found.allowed)}
            raise replies.Abort(405, "The method is not allowed for the requested URL.", allowed)
        if request.method in ("GET", "HEAD"):
            if page := web.page(self, request.path_params["path"]):
                return HTMLResponse(page)
            return replies.ui(200 if request.path_params["path"] == "" else 404)
        return replies.ui_refuses("OPTIONS, HEAD, GET")

    def _level(self, operation: rules.Operation) -> str:
        is_logs = operation.handler is build_logs
        return "read" if is_logs and self.switches["reader_build_logs"] else operation.level

    def _check_writable(self, call: Call, operation: rules.Operation) -> None:
        if call.request.method in ("GET", "HEAD"):
            return
        if self.switches["read_only_registry"]:
            raise replies.Abort(503, "Quay is currently in read-only mode", is_readonly=True)
        state = self.state_of(f"{call.namespace}/{call.name}")
        if operation.freezes and state is not State.NORMAL:
            self.directory.require(call.login, call.namespace, call.repository, operation.level)
            raise replies.Abort(503, f"Repository is in read only or mirror mode: {state.value}")


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def findings_of(severities: list[str]) -> list[Finding]:
    return [
        Finding(f"CVE-2026-{1000 + number}", severity, description="A vulnerability of the sandbox")
        for number, severity in enumerate(severities)
    ]
