"""Components of ServiceStage's applications: read, change, start, stop and scale them; and the jobs that do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from airflow_provider.clients.rows import Rows
from airflow_provider.clients.service_stage.documents import Component, ComponentJob, Job
from airflow_provider.clients.service_stage.wire import Objects, Wire

_OF_APPLICATION = "/applications/{application_id}/components"
_ONE = _OF_APPLICATION + "/{component_id}"


class Components:
    """Calls that take time answer with a ``job_id``, whose state :meth:`get_job` returns."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire.below("/cas")

    def list(self, application_id: str | None = None) -> Rows[Component]:
        """The components of an application; default: of the whole project."""
        if application_id is None:
            answer = self._wire.get("/components")
        else:
            answer = self._wire.get(_OF_APPLICATION, application_id=application_id)
        return cast("Rows[Component]", self._wire.objects_in(answer, "components"))

    def get(self, application_id: str, component_id: str) -> Component:
        """One component with its ``status``."""
        answer = self._wire.get(_ONE, application_id=application_id, component_id=component_id)
        return cast("Component", self._wire.object_in(answer))

    def create(self, application_id: str, component: Mapping[str, Any]) -> ComponentJob:
        """Create a component and deploy it; sent once.

        :param component: the vendor's object: ``name``, ``environment_id``, ``runtime_stack``, ``source``,
            ``refer_resources``, ``version``, ``replica``, ...
        :return: ``component_id`` and ``job_id``.
        """
        body = dict(component)
        answer = self._wire.send("POST", _OF_APPLICATION, body=body, attempts=1, application_id=application_id)
        return cast("ComponentJob", self._wire.object_in(answer))

    def update(self, application_id: str, component_id: str, component: Mapping[str, Any]) -> ComponentJob:
        """Change a component, which deploys it anew; ``component`` and answer as for :meth:`create`, sent once."""
        body = dict(component)
        answer = self._wire.send(
            "PUT", _ONE, body=body, attempts=1, application_id=application_id, component_id=component_id
        )
        return cast("ComponentJob", self._wire.object_in(answer))

    def delete(self, application_id: str, component_id: str) -> ComponentJob | None:
        """Delete a component; the vendor's page shows no answer, but some servers send the ``job_id``.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0080.html
        """
        answer = self._wire.send("DELETE", _ONE, application_id=application_id, component_id=component_id)
        return cast("ComponentJob", answer) if isinstance(answer, dict) else None

    def act(
        self, application_id: str, component_id: str, action: str, parameters: Mapping[str, Any] | None = None
    ) -> ComponentJob:
        """Start, stop, restart, scale or roll back a component. Accepted is not done; sent once.

        :param action: ``start``, ``stop``, ``restart``, ``scale``, ``rollback``, ``continue_deploy``,
            ``check_gray_release``, ``modify_gray_rule`` or ``rollback_current``.
        :param parameters: ``replica``, ``hosts`` or ``version``, as the action needs them.
        :return: ``job_id``.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0082.html
        """
        self._wire.need(action, "action")
        answer = self._wire.send(
            "POST",
            _ONE + "/action",
            body={"action": action, "parameters": dict(parameters or {})},
            attempts=1,
            application_id=application_id,
            component_id=component_id,
        )
        return cast("ComponentJob", self._wire.object_in(answer))

    def list_records(self, application_id: str, component_id: str) -> Objects:
        """The history of a component, with its jobs."""
        answer = self._wire.get(_ONE + "/records", application_id=application_id, component_id=component_id)
        return self._wire.objects_in(answer, "records")

    def get_job(self, job_id: str) -> Job:
        """The state of a job: ``job`` with its ``execution_status``, such as ``RUNNING`` or ``SUCCEEDED``."""
        return cast("Job", self._wire.object_in(self._wire.get("/jobs/{job_id}", job_id=job_id)))
