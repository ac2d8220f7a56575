"""A task that asks people, in real Airflow in this process: its required action is read and answered as people do."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import contextmanager
from typing import Any, NamedTuple

from pytest_mock import MockerFixture

from airflow_provider.triggers import required_actions
from tests.support.attempts import Task
from tests.support.patching import patched


class RequiredAction(NamedTuple):
    """What people see of it.

    :param answer: the chosen option; ``None`` while it is open.
    :param by: id of who gave it; ``None``: a machine.
    """

    subject: str
    body: str
    options: list[str]
    approvers: list[str]
    answer: str | None
    by: str | None
    comment: str | None


class AskedTask(Task):
    """Not under ``dag.test()``: people can answer."""

    field = "comment"
    """Of the form that they fill in."""

    def attempt(self) -> Any:
        with _not_in_dag_test():
            return super().attempt()

    def answer(self, option: str, by: str = "ada", comment: Any = None) -> Any:
        """A person answers; returns how the task resumed, or ``None`` if Airflow has not resumed it yet."""
        from airflow._shared.timezones import timezone
        from airflow.triggers.base import TriggerEvent
        from airflow.utils.session import create_session

        with create_session() as session:
            row = self._action(session)
            assert row is not None
            assert row.responded_at is None, "Airflow would answer 409"
            row.responded_by, row.responded_at = {"id": by, "name": by.title()}, timezone.utcnow()
            row.chosen_options, row.params_input = [option], {self.field: comment}
            payload = row.as_resume_event_payload()
        return self.resumed(TriggerEvent(payload)) if self.state == "deferred" else None

    def lose_worker(self) -> None:
        """Airflow fails the attempt by itself, and there will be another one, whose task instance has another id."""
        from airflow.utils.session import create_session

        with create_session() as session:
            ti = self._row(session)
            ti.prepare_db_for_next_try(session)
            ti.clear_next_method_args()
            ti.state = "up_for_retry"

    def resumed(self, event: Any) -> Any:
        with _not_in_dag_test():
            return self.resume(event)

    def action(self) -> RequiredAction | None:
        """The required action of the task, if there is one."""
        from airflow.utils.session import create_session

        with create_session() as session:
            row = self._action(session)
            if row is None:
                return None
            return RequiredAction(
                subject=row.subject,
                body=str(row.body),
                options=list(row.options),
                approvers=[each["id"] for each in row.assigned_users],
                answer=row.chosen_options[0] if row.chosen_options else None,
                by=row.responded_by["id"] if row.responded_by else None,
                comment=(row.params_input or {}).get(self.field),
            )

    def in_triggerer(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Only a triggerer reads and closes a required action."""
        from airflow.sdk.api.client import ServerResponseError
        from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse, GetHITLDetailResponse, UpdateHITLDetail
        from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

        plain = InProcessSupervisorComms.send

        def send(comms: Any, msg: Any) -> Any:
            operations = comms.supervisor.client.hitl
            try:
                if isinstance(msg, GetHITLDetailResponse):
                    return operations.get_detail_response(ti_id=msg.ti_id)
                if isinstance(msg, UpdateHITLDetail):
                    return operations.update_response(
                        ti_id=msg.ti_id, chosen_options=msg.chosen_options, params_input=msg.params_input
                    )
            except ServerResponseError as error:
                detail = {"status_code": error.response.status_code, "message": str(error)}
                raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail)) from None
            return plain(comms, msg)

        # As a triggerer's supervisor handles them, which has no form that runs in process.
        with patched(InProcessSupervisorComms, "send", send):
            return super().in_triggerer(work)

    def _action(self, session: Any) -> Any:
        from airflow.models.hitl import HITLDetail

        return session.query(HITLDetail).filter_by(ti_id=self._row(session).id).one_or_none()


def keep_airflow_away(mocker: MockerFixture, *, reads: int) -> None:
    """Make Airflow unavailable for a triggerer's next reads of a required action."""
    from airflow.sdk.execution_time.hitl import get_hitl_detail_content_detail

    failures = iter(range(reads))

    def away_at_first(**named: Any) -> Any:
        if next(failures, None) is not None:
            raise ConnectionError("no answer")
        return get_hitl_detail_content_detail(**named)

    mocker.patch.object(required_actions, "get_hitl_detail_content_detail", away_at_first)


def result_of(ended: Any) -> dict[str, Any]:
    """What a task has returned, which Airflow keeps as an XCom."""
    assert ended.error is None
    value: dict[str, Any] = xcom_of(ended, "return_value")
    return value


def xcom_of(ended: Any, key: str) -> Any:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    ti = ended.ti
    with create_session() as session:
        where = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "key": key}
        return session.query(XComModel).filter_by(**where).one().value


@contextmanager
def _not_in_dag_test() -> Any:
    with (
        patched("airflow_provider.operators.asking.in_dag_test", return_value=False),
        patched("airflow_provider.operators.people.in_dag_test", return_value=False),
    ):
        yield
