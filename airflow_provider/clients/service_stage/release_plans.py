"""Release plans of ServiceStage: its older release management, whose data is separate from that of release tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from airflow_provider.clients.rows import Rows
from airflow_provider.clients.service_stage.documents import PlanDeployment, ReleasePlan
from airflow_provider.clients.service_stage.wire import Wire


class ReleasePlans:
    """Executing, rolling back and aborting have no ids: the deployment of a plan shows their state."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire.below("/cas/release-plans")

    def list(self) -> Rows[ReleasePlan]:
        """The plans of the project: ``id``, ``name``, ``action``, ``status``, and times in milliseconds.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0232.html
        """
        return cast("Rows[ReleasePlan]", self._wire.objects_in(self._wire.get(""), "release_plans"))

    def get(self, release_plan_id: str) -> ReleasePlan:
        """A plan with its components.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0233.html
        """
        return cast(
            "ReleasePlan", self._wire.object_in(self._wire.get("/{release_plan_id}", release_plan_id=release_plan_id))
        )

    def get_deployment(self, release_plan_id: str) -> PlanDeployment:
        """The states of the components of a plan (``components``: ``status``, ``job_id``, ``fail_message``, ...).

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0234.html
        """
        answer = self._wire.get("/{release_plan_id}/deploy-info", release_plan_id=release_plan_id)
        return cast("PlanDeployment", self._wire.object_in(answer))

    def create(self, plan: Mapping[str, Any]) -> ReleasePlan:
        """:param plan: the vendor's object: ``name``, ``action`` (``create``, ``upgrade`` or ``clone``),
        ``components``, ``desc``, ``fail_strategy`` (``stop`` or ``continue``), ``swimlane_id``.
        """
        return cast("ReleasePlan", self._wire.object_in(self._wire.send("POST", "", body=dict(plan))))

    def update(self, release_plan_id: str, plan: Mapping[str, Any]) -> ReleasePlan | None:
        """Replace a plan; ``plan`` as for :meth:`create`. The vendor's page shows no answer.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0230.html
        """
        answer = self._wire.send("PUT", "/{release_plan_id}", body=dict(plan), release_plan_id=release_plan_id)
        return cast("ReleasePlan", answer) if isinstance(answer, dict) else None

    def delete(self, release_plan_id: str) -> None:
        """Delete a plan."""
        self._wire.send("DELETE", "/{release_plan_id}", release_plan_id=release_plan_id)

    def execute(self, release_plan_id: str) -> None:
        """Deploy the components of a plan. Accepted is not done; sent once.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0235.html
        """
        self._act(release_plan_id, "execute")

    def rollback(self, release_plan_id: str) -> None:
        """Return the components to their previous versions. Accepted is not done; sent once.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0236.html
        """
        self._act(release_plan_id, "rollback")

    def abort(self, release_plan_id: str) -> None:
        """Deploy no further components of a plan. Accepted is not done; sent once."""
        self._act(release_plan_id, "abort")

    def _act(self, release_plan_id: str, action: str) -> None:
        # Only the caller knows whether it may be repeated.
        below = f"/{{release_plan_id}}/{action}"
        self._wire.send("POST", below, body={}, attempts=1, release_plan_id=release_plan_id)
