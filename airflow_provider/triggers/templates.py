"""Templates that are rendered in the triggerer, for a sensor that starts there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from airflow.sdk import Context


def pulling_one_xcom(context: Context) -> Context:
    """The context with a ``ti.xcom_pull`` that pulls from an unmapped task unless ``map_indexes`` says otherwise.

    Airflow 3.3.2's triggerer never answers a request for all map indexes, which ``xcom_pull`` makes by default: the
    trigger would hang forever.
    """
    ti = _PullingOne(context["ti"])
    return cast("Context", {**context, "ti": ti, "task_instance": ti})


class _PullingOne:
    """A task instance with another default for ``map_indexes``."""

    def __init__(self, ti: Any) -> None:
        self._ti = ti

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ti, name)

    def xcom_pull(self, *args: Any, **options: Any) -> Any:
        return self._ti.xcom_pull(*args, **{"map_indexes": -1, **options})
