"""What runs of triggers have in common whose tasks ask people: the question, and how it is closed."""

from __future__ import annotations

from typing import Any

from airflow_provider.links import QUESTION_XCOM
from tests.simulation.airflow import AirflowError
from tests.simulation.people import RequiredAction
from tests.simulation.triggerers import TriggerRun
from tests.simulation.world import Steps


class QuestionRun(TriggerRun):
    """One run of such a trigger."""

    trigger: Any

    @property
    def _action(self) -> RequiredAction | None:
        """The question, as long as no other attempt has taken it over."""
        return self.task.action if self.trigger.id == self.task.id else None

    def _close(self, why: str, *, is_lost: bool = False) -> Steps[None]:
        """As ``Asked.close``: unless the task asks another question by now.

        :param is_lost: whether it could not be found out what became of the approval.
        """
        try:
            yield from self.airflow.call()
            asked_now = self.task.xcoms.get(QUESTION_XCOM)
            if asked_now not in (None, self.trigger.asked_as):
                return
            yield from self.airflow.call()
        except AirflowError:
            return
        if self._action and self._action.is_open:
            self.world.note(str(self), f"closes the question: {why}")
            is_race = self.task.xcoms.get(QUESTION_XCOM) != asked_now
            self.world.judge.closes(self, self._action, is_race=is_race, is_lost=is_lost)
            self._action.is_closed = True
