"""One process of a release window sensor: it asks people whether to release although no window is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider.core.approving import Answer, Rules, is_of_another
from airflow_provider.core.overriding import LONGEST_REASON, OPTIONS, REASON, Overriding
from airflow_provider.core.question import body_of, subject_of
from airflow_provider.operators.asking import (
    can_ask,
    require_action,
    run_details,
    shown,
    task_url,
    warn_if_kept_from_answering,
)
from airflow_provider.operators.attempt import attempt_of
from airflow_provider.operators.carrying_out import save_record

if TYPE_CHECKING:
    from airflow.sdk import Context

KEY = "release_window_override"
"""Of what the sensor remembers of its question, in the task state store."""

FORM = {
    REASON: {
        "value": None,
        "description": "Required. It is recorded with your name.",
        "schema": {"type": "string", "title": "Reason", "minLength": 1, "maxLength": LONGEST_REASON},
    }
}
SENTENCES = (
    "Whoever releases now must give a reason, which is recorded.",
    "If nobody answers, the release waits for its window.",
)


class OverrideAttempt:
    """:param approvers: ids of the users who may override the window."""

    def __init__(self, context: Context, log: Any, approvers: Sequence[str]) -> None:
        self._context = context
        self._log = log
        self._approvers = [str(each).strip() for each in approvers]
        self._noted = Overriding.from_json(context["task_state_store"].get(KEY), attempt_of(context))

    @property
    def override(self) -> Answer | None:
        """The answer by which somebody has overridden the window, perhaps to an earlier attempt."""
        return self._noted.override

    @property
    def is_open(self) -> bool:
        """Whether people are asked something that must be closed before the task ends; only a trigger can."""
        return self._noted.is_open

    @property
    def asked_as(self) -> str:
        """Identifies the awaited answer among those of all tasks; "" if none is."""
        return f"{self._context['ti'].id} {self._noted.asked}" if self._noted.is_open else ""

    def ask(self, closed: str, environment: str | None) -> None:
        """Ask, unless that is done.

        :param closed: why no window is open.
        """
        if self._noted.is_asked:
            return
        if not can_ask():
            self._log.warning("Nobody can be asked in dag.test(), so that nobody can override the release window")
            return
        names = ", ".join(self._approvers)
        self._log.info("%s can release now, under Required Actions, by giving a reason", names)
        details = shown({"Environment": environment, "Closed": closed, **run_details(self._context)})
        body = body_of(
            details, [*Rules(approvers=tuple(self._approvers)).to_lines(), *SENTENCES], task_url(self._context)
        )
        subject = subject_of(self._context["ti"].dag_id, "Release now, outside of the release window")
        require_action(self._context, [*OPTIONS.values()], subject, body, FORM, self._approvers)
        warn_if_kept_from_answering(self._context, self._log, self._approvers)
        # Not before: a question that was noted but not put would take an earlier answer for its own.
        self._noted.ask()
        self._save()

    def is_of_another(self, event: object) -> bool:
        """Whether an event is of the trigger of another question."""
        if not is_of_another(event, self.asked_as):
            return False
        self._log.warning("Airflow delivered the event of another wait, still waiting")
        return True

    def take(self, event: Mapping[str, Any]) -> None:
        """Take an answer as Airflow passes it on; see :attr:`override`."""
        answer = self._noted.take(event, self._approvers)
        self._save()
        if answer is None:
            return
        said = f": {answer.comment}" if answer.comment else ""
        if answer.refused:
            self._log.warning("An answer by %s overrides nothing (%s)%s", answer.who, answer.refused, said)
        else:
            self._log.info("The release window was overridden by %s at %s%s", answer.who, answer.at, said)

    def close(self) -> None:
        """The trigger has closed the question, or Airflow knows of none."""
        self._noted.close()

    def crash(self) -> None:
        """A wait ended without an event. If that happens too often, the question stays as it is."""
        self._noted.crash()
        self._save()

    def finish(self) -> None:
        """The wait has ended without an override."""
        if self._noted.asked:
            self._noted.is_over = True
            self._save()

    def _save(self) -> None:
        save_record(self._context, KEY, self._noted)
