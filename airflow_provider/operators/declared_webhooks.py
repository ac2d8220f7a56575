"""The webhook that Airflow's configuration declares for a task.

Separate from the operators that use it, which every parsing of a DAG file imports.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.webhooks import endpoints

if TYPE_CHECKING:
    from airflow_provider.operators.base import ReleaseOperator


def endpoint_of(operator: ReleaseOperator[Any], **which: str) -> endpoints.WebhookEndpoint:
    """
    :param which: ``asset`` and ``uri``, or ``name``, as of :func:`~airflow_provider.webhooks.endpoints.endpoint_for`.
    :raises ConnectionConfigError: no webhook is declared for it and the operator's connection, or several are.
    """
    return endpoints.endpoint_for(cast("endpoints.Source", operator.system), conn_id=operator.conn_id, **which)


def secrets_of(operator: ReleaseOperator[Any], **which: str) -> Iterator[str]:
    """Its secrets; none as long as no webhook can be determined."""
    with suppress(ReleasePipelineError):
        yield from endpoints.secrets_of(endpoint_of(operator, **which))
