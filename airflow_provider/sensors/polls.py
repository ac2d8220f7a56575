"""What the polls of one sensor share, in the task state store: the next one may be made by another process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from airflow_provider.core.generation import Attempt, Relation, relation
from airflow_provider.core.waiting import Begun, Wait

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.execution import ExecutionRef

KEY = "looks"
"""Key of what has been observed and logged. Words in storage stay: a wait survives an upgrade of this package."""
BEGAN_KEY = "began"
"""Key of the moment at which the wait began; retries see it, too."""

_ABOUT = ("kind", "id", "place")


class SensorPolls:
    """State that the polls of this attempt share.

    Attributes: ``ended``: epoch seconds since when the execution has seemed to be over; ``None`` if it does not.
    ``about``: kind, id and place of what an earlier poll has seen; empty if none has.

    :param is_continued: whether another process may poll next, in reschedule mode or after a deferral that crashed: it
        must know what has been logged, and on which system.
    """

    def __init__(self, context: Context, *, is_continued: bool) -> None:
        self._context, self._store = context, context["task_state_store"]
        self._attempt = context["ti"].try_number
        self._is_continued = is_continued
        stored = self._store.get(KEY)
        is_of_this = isinstance(stored, dict) and stored.get("attempt") == self._attempt
        self._kept = cast("dict[str, Any]", stored) if is_of_this else {}
        self.ended: float | None = self._kept.get("ended")
        self.about: ExecutionRef = self._kept.get("about") or {}

    @property
    def is_known(self) -> bool:
        """Whether an earlier process of this attempt has polled."""
        return self._is_continued and self.begun.since is not None

    @property
    def failing_since(self) -> float | None:
        """Epoch seconds of the first of the polls that have been failing; ``None`` if the last one succeeded."""
        return self._kept.get("failing_since")

    @property
    def begun(self) -> Begun:
        return Begun.from_json(self._kept.get("begun"))

    def began(self, now: Callable[[], float]) -> float:
        """As :meth:`airflow_provider.sensors.base.ReleaseSensor.began`."""
        from airflow_provider.operators.attempt import attempt_of

        attempt = attempt_of(self._context)
        kept = cast("dict[str, Any] | None", self._store.get(BEGAN_KEY))
        # A wait that may have been cleared begins anew: a timeout is better than an event from before the clear.
        if kept and relation(Attempt(*kept["attempt"]), attempt, had_succeeded=True) is Relation.SAME:
            return float(kept["at"])
        at = now()
        self._store.set(BEGAN_KEY, {"attempt": list(attempt), "at": at})
        return at

    def keep(self, wait: Wait) -> None:
        """Save what the next poll must know, if it has changed."""
        kept: dict[str, Any] = {"attempt": self._attempt, "failing_since": wait.failing_since, "ended": self.ended}
        if self._is_continued:
            kept["begun"] = wait.begun.to_json()
            if "place" in wait.ref:
                self.about = {name: wait.ref.get(name, "") for name in _ABOUT}
            kept["about"] = self.about
        has_news = self._is_continued or wait.failing_since is not None or self.ended is not None
        if kept != self._kept and (self._kept or has_news):
            self._kept = kept
            self._store.set(KEY, kept)
