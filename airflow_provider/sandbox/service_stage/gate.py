"""What each call must pass before its route: unpublished paths, the quota, authentication, project, permissions."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.service_stage.credentials import Credentials
from airflow_provider.sandbox.service_stage.iam import is_iam
from airflow_provider.sandbox.service_stage.refusals import FORBIDDEN, NO_ACCESS, NOT_PUBLISHED, THROTTLED, Refusal

READ_ONLY_USERS = ("viewer",)


class Gate:
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._window: tuple[int, int] = (0, 0)

    def admit(self, call: Call) -> None:
        if call.match.route is None:
            message = "The API does not exist or has not been published in the environment"
            raise Refusal(404, NOT_PUBLISHED, message)
        self._count(call)
        if is_iam(call):
            return
        call.caller, token_project = self._credentials.identify(call)
        _check_project(call.params["project_id"], token_project, self._credentials.projects.values())
        if call.method != "GET" and call.user in READ_ONLY_USERS:
            message = "Policy doesn't allow servicestage:pipeline:modify to be performed."
            raise Refusal(403, FORBIDDEN, message)

    def complete(self, call: Call, response: Response) -> None:
        """Adds a request id to every answer."""
        request_id = uuid.uuid4().hex
        response.headers["X-Request-Id"] = request_id
        if is_iam(call):
            response.headers["X-IAM-Trace-Id"] = request_id

    def _count(self, call: Call) -> None:
        quota, second = call.switches["quota_per_second"], int(call.now)
        count = self._window[1] + 1 if self._window[0] == second else 1
        self._window = (second, count)
        if quota and count > quota:
            limit = f"policy user over ratelimit,limit:{quota},time:1 second"
            raise Refusal(429, THROTTLED, f"The throttling threshold has been reached: {limit}")


def _check_project(project_id: str, token_project: str | None, projects: Collection[str]) -> None:
    if project_id not in projects or token_project not in (None, project_id):
        raise Refusal(403, NO_ACCESS, f"No permission to access the project {project_id}")
