"""Tasks that ask people about approvals; of whose execution is in the run's configuration, or it is their own."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any, NoReturn

from airflow.sdk import DAG, BaseNotifier

from airflow_provider.notifications import ApprovalNotifier
from airflow_provider.operators.code_stream import CodeStreamApprovalOperator, CodeStreamRunPipelineOperator
from airflow_provider.operators.service_stage import ServiceStageApprovalOperator


class SlowlyDeferring(CodeStreamApprovalOperator):
    """Leaves people time to answer before its deferral lands."""

    def defer(self, **deferral: Any) -> NoReturn:
        time.sleep(6)
        super().defer(**deferral)


class Logged(BaseNotifier):
    """Writes into the log of the task."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def notify(self, context: Any) -> None:
        logging.getLogger(__name__).info("Notified: %s", self.text)


ASKING = {"task_id": "ask", "execution_id": "{{ params.execution_id }}", "poll_interval": 1}
OF_EACH_RUN = {"schedule": None, "params": {"execution_id": ""}}

with DAG("approvals", **OF_EACH_RUN):
    CodeStreamApprovalOperator(**ASKING, message="from the pipeline", notifiers=[ApprovalNotifier(Logged)])

with DAG("approval_in_the_end", **OF_EACH_RUN):
    CodeStreamApprovalOperator(**ASKING, retries=3, retry_delay=timedelta(seconds=1))

with DAG("approval_slowly", **OF_EACH_RUN):
    SlowlyDeferring(**ASKING)

with DAG("approval_by_two", **OF_EACH_RUN):
    CodeStreamApprovalOperator(**ASKING, approvers=["ada", "bob"], approvals=2)

with DAG("approval_by_others", **OF_EACH_RUN):
    CodeStreamApprovalOperator(**ASKING, not_requester=True)

with DAG("approval_in_time", **OF_EACH_RUN):
    CodeStreamApprovalOperator(**ASKING, response_timeout=15)

with DAG("approval_of_release", schedule=None):
    ServiceStageApprovalOperator(task_id="ask", pipeline="shop-release-approval", poll_interval=1)

GATED = {
    "task_id": "ask",
    "pipeline": "{{ params.pipeline }}",
    "project": "retail",
    "inputs": {"tag": "1.4.2"},
    "approve": True,
    "poll_interval": 1,
    # Two for the workers that tests kill, and one more: Airflow 3.3.2 itself fails a task here and there while its API
    # server is slow.
    "retries": 3,
    "retry_delay": timedelta(seconds=1),
}
OF_A_PIPELINE = {"schedule": None, "params": {"pipeline": "Deploy shop with approval"}}

with DAG("gates", **OF_A_PIPELINE):
    CodeStreamRunPipelineOperator(**GATED)

with DAG("gates_in_a_pool", **OF_A_PIPELINE):
    CodeStreamRunPipelineOperator(**GATED, pool="gates")
