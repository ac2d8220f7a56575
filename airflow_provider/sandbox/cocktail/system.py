"""The Cocktail Cloud stand-in: its switches, the way of a request through the gateway, and its callbacks.

The rules of runs are in store.py, the operations in routes.py.
"""

from __future__ import annotations

from typing import Any, ClassVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as WebRoute

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.cocktail import callbacks, replies
from airflow_provider.sandbox.cocktail.auth import Gateway, GatewayRefusal
from airflow_provider.sandbox.cocktail.models import RUN_STATES, Build, BuildRun
from airflow_provider.sandbox.cocktail.routes import ROUTES, Call, Route
from airflow_provider.sandbox.cocktail.store import Store
from airflow_provider.sandbox.core.system import System
from airflow_provider.sandbox.core.world import World

METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]
ROUTE_MODES = ("404", "403", "K8sApiStatus404")


class CocktailSystem(System):
    name = "cocktail"
    SWITCHES: ClassVar[dict[str, Any]] = {
        "prefix": "/v1",
        "wrapped": False,
        "real_http_codes": False,
        "severity_letter": "W",
        "invalid_state_code": "CCCMW001000",
        "korean_messages": False,
        "auth_header": "Authorization",
        "auth_scheme": "Bearer",
        "refusal_body": "json",
        "allow_addresses": [],
        "deny_addresses": [],
        "routes": {},
        "step_seconds": {"INIT": 1.0, "CODE_DOWN": 2.0, "CREATE_IMAGE": 5.0, "CANCEL": 0.5, "DELETE": 1.0},
        "failing_step": "",
        "build_server_unreachable": False,
        "refuse_build_server": False,
        "stuck_created": False,
        "no_digest": False,
        "reproducible_builds": False,
        "account_parallel_limit": 10,
        "created_counts_as_running": True,
        "failed_runs_block_their_tag": False,
        "autotag_zone": "UTC",
        "refuse_missing_tag": False,
        "cancel_loses_race": False,
        "description_limit": 0,
        "image_url_with_tag": True,
        "list_omits": [],
        "db_log": True,
        "logs": "per_step",
        "callbacks_lost": False,
        "callbacks_duplicated": False,
        "callbacks_reordered": False,
        "callback_delay": 0.0,
        "callback_timeout": 5.0,
    }
    CHOICES: ClassVar[dict[str, tuple[Any, ...]]] = {
        "refusal_body": ("json", "empty", "html"),
        "failing_step": ("", "INIT", "CODE_DOWN", "CREATE_IMAGE"),
        "logs": ("per_step", "at_end", "never"),
    }
    store: Store
    gateway: Gateway

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.app = Starlette(routes=[WebRoute("/{path:path}", self._endpoint, methods=METHODS)])

    # --- what the core asks

    def reset(self) -> None:
        self.gateway = Gateway(self.switches, {seed.COCKTAIL_TOKEN: seed.COCKTAIL_TOKEN_NAME})
        builds = [Build(**fields) for fields in seed.COCKTAIL_BUILDS]
        self.store = Store(self.world.clock, self.switches, builds, self._announce, self._pushed)
        self._lines: dict[int, callbacks.CallbackLine] = {}
        self._set_aside: dict[int, list[callbacks.Message]] = {}
        self._delayed: list[tuple[float, int, callbacks.Message]] = []

    def tick(self, now: float) -> None:
        self.store.tick(now)
        if self._delayed:
            due = [each for each in self._delayed if each[0] <= now]
            self._delayed = [each for each in self._delayed if each[0] > now]
            for _, run_seq, message in due:
                self._line(run_seq).add(message)

    def executions(self) -> list[dict[str, Any]]:
        """Build runs only: a cancel or a removal is something done to one."""
        return [run.execution() for run in self.store.runs.values() if run.run_type == "BUILD"]

    def offers(self) -> list[str]:
        return [
            f"build {build.build_seq}  {build.build_name}  image {build.image_name}"
            for build in self.store.builds.values()
        ]

    def force_state(self, execution_id: str, state: str) -> None:
        if state not in RUN_STATES:
            raise ValueError(f"a run is one of {', '.join(RUN_STATES)}")
        if not execution_id.isdecimal():
            raise KeyError(execution_id)
        self.store.force(int(execution_id), state)

    def expire_tokens(self) -> None:
        """Nothing to do: tokens are static, the edge marks the one request."""

    def who(self, request: Request) -> str:
        return self.gateway.who(request)

    def act(self, action: str, values: dict[str, Any]) -> Any:
        """``issue_token`` {name, scopes, expires_in} answers a JWT; ``revoke_token`` {name}."""
        now = self.world.clock.now()
        if action == "issue_token":
            lifetime = values.get("expires_in")
            expires = None if lifetime is None else now + lifetime
            return {"token": self.gateway.issue(values.get("name", "issued"), values.get("scopes"), expires, now)}
        if action == "revoke_token":
            if not self.gateway.revoke(values.get("name", "")):
                raise ValueError(f"cocktail has no token named {values.get('name')!r}")
            return {}
        return super().act(action, values)

    def _check_switch(self, name: str, value: Any) -> None:
        super()._check_switch(name, value)
        if name != "routes":
            return
        known = {route.name for route in ROUTES}
        for route, mode in value.items():
            if route not in known:
                raise ValueError(f"switch 'routes' names {route!r}; there are {', '.join(sorted(known))}")
            if mode not in ROUTE_MODES:
                raise ValueError(f"switch 'routes' sets {route!r} to {mode!r}; it must be one of {list(ROUTE_MODES)}")

    # --- the way of a request

    async def _endpoint(self, request: Request) -> Response:
        path = "/" + request.path_params["path"]
        prefix = self.switches["prefix"].rstrip("/")
        if not path.startswith(f"{prefix}/"):
            return replies.gateway_refusal(404, "Not Found", self.switches["refusal_body"])
        body = await request.body()
        matches = [(route, match) for route in ROUTES if (match := route.pattern.fullmatch(path[len(prefix) :]))]
        chosen = next(((r, m) for r, m in matches if r.method == request.method), None)
        route, match = chosen or (None, None)
        try:
            self._pass_gateway(request, route)
            if route is None or match is None:
                raise replies.BadCall(405 if matches else 404, "Method not allowed" if matches else "Not found")
            call = Call(self, request, match.groupdict(), body)
            if route.starts:
                return await run_in_threadpool(self._start, route, call)
            with self.world.lock:
                value = route.handler(call)
            return value if isinstance(value, Response) else replies.result(value, wrapped=self.switches["wrapped"])
        except GatewayRefusal as refusal:
            return replies.gateway_refusal(refusal.status, str(refusal), self.switches["refusal_body"])
        except (replies.Refusal, replies.InvalidState, replies.BadCall) as problem:
            return replies.error(problem, self.switches)

    def _pass_gateway(self, request: Request, route: Route | None) -> None:
        name = route.name if route else ""
        self.gateway.check(request, name, self.world.clock.now(), self.is_expired(request))
        mode = self.switches["routes"].get(name)
        if mode == "K8sApiStatus404":
            raise replies.BadCall(404, "Not found")
        if mode is not None:
            raise GatewayRefusal(int(mode), "Not Found" if mode == "404" else "Permission denied")

    def _start(self, route: Route, call: Call) -> Response:
        """The first callback is delivered before the reply, and outside the lock: the receiver may ask back."""
        with self.world.lock:
            run: BuildRun = route.handler(call)
            line = self._line(run.run_seq)
            line.hold()
            self._announce(run)
        try:
            line.deliver_first(self._send_now)
        finally:
            line.release()
        with self.world.lock:
            view = call.view(run)
        return replies.result(view, wrapped=self.switches["wrapped"])

    # --- callbacks and images

    def _line(self, run_seq: int) -> callbacks.CallbackLine:
        return self._lines.setdefault(run_seq, callbacks.CallbackLine(self._send))

    def _announce(self, run: BuildRun) -> None:
        if self.switches["callbacks_lost"]:
            return
        tagged_url = self.switches["image_url_with_tag"]
        is_removal = run.run_type == "REMOVE"
        body = callbacks.build_body(run.build) if is_removal else callbacks.run_body(run, tagged_url)
        about = f"run {run.run_seq} {run.state}"
        messages = callbacks.messages(run.callback_url, body, about)
        if self.switches["callbacks_duplicated"]:
            messages = messages * 2
        if self.switches["callbacks_reordered"]:
            aside = self._set_aside.setdefault(run.run_seq, [])
            if not run.finished:
                aside.extend(messages)
                return
            messages = [*messages, *aside]
        for message in messages:
            if self.switches["callback_delay"]:
                due = self.world.clock.now() + self.switches["callback_delay"]
                self._delayed.append((due, run.run_seq, message))
            else:
                self._line(run.run_seq).add(message)

    def _send(self, message: callbacks.Message, answered: Any) -> None:
        self.world.outbox.post(
            message.url,
            message.body,
            message.headers,
            system=self.name,
            about=message.about,
            timeout=self.switches["callback_timeout"],
            on_done=answered,
        )

    def _send_now(self, message: callbacks.Message) -> None:
        self.world.outbox.post_now(
            message.url,
            message.body,
            message.headers,
            system=self.name,
            about=message.about,
            timeout=self.switches["callback_timeout"],
        )

    def _pushed(self, run: BuildRun) -> None:
        """A build without a digest in its record still pushed an image; Cocktail just did not learn which."""
        self.world.image_pushed(run.build.image_name, run.tag, run.pushed_digest, run.size)
