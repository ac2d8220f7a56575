"""Waits until a release may go out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.bases.sensor import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException

from airflow_provider.exceptions import BadRequestError
from airflow_provider.operators.arguments import Seconds, SecondsOrZero, Windows
from airflow_provider.operators.base import DEFERRAL_MARGIN
from airflow_provider.operators.checking import CheckedArguments, rule_of
from airflow_provider.release_windows import WindowSource

if TYPE_CHECKING:
    from typing import Unpack

    from airflow.sdk import Context
    from pydantic import JsonValue

    from airflow_provider.core.release_window import Opening, ReleaseCalendar
    from airflow_provider.operators.shared_arguments import PokingArguments

LOGGED_KEY = "release_window_logged"
"""Of the task state store: why no window is open, as the log of this attempt says it."""


class ReleaseWindowSensor(CheckedArguments, BaseSensorOperator):
    """Waits until now is inside a release window, and returns that window; sleeps in the triggerer until it opens.

    :param windows: ``[{"days": ["mon", ...], "from": "22:00", "to": "06:00"}, ...]`` in local time; a window may pass
        midnight. Or where they are kept for many DAGs: ``variable:<name>`` of an Airflow Variable, or ``file:<path>``,
        a JSON or YAML object with ``windows``, ``timezone`` and ``freezes``. (templated)
    :param timezone: IANA name; default: that of the object, else UTC. (templated)
    :param freezes: ``[{"from": "2026-12-20", "to": "2027-01-03"}, ...]``: dates or ISO 8601 date-times, both inclusive,
        or ``MM-DD`` for every year; with ``environments`` for these only, and a ``reason``, which is logged.
        (templated)
    :param environment: which of the freezes that name environments count. (templated)
    :param deferrable: sleep in the triggerer (default); otherwise check every ``poke_interval`` seconds.
    :param timeout: seconds or timedelta (default 7 days), after which the task fails with ``AirflowSensorTimeout``, or
        skips with ``soft_fail``.
    """

    template_fields: Sequence[str] = ("windows", "timezone", "freezes", "environment")
    ui_color = "#e6f1ec"

    def __init__(
        self,
        *,
        windows: Windows,
        timezone: str | None = None,
        freezes: Sequence[Mapping[str, Any]] | None = None,
        environment: str | None = None,
        deferrable: bool = True,
        poke_interval: Seconds = 60.0,
        timeout: SecondsOrZero | None = None,
        **kwargs: Unpack[PokingArguments],
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.windows = windows
        self.timezone = timezone
        self.freezes = freezes
        self.environment = environment
        self.deferrable = deferrable
        self._logged: JsonValue = None

    @rule_of("windows", "timezone", "freezes", "environment")
    def _check_windows(self) -> None:
        if self._source.is_elsewhere:
            return
        try:
            self._source.read()
        except BadRequestError as error:
            raise BadRequestError(f"task {self.task_id!r}: {error.summary}") from None

    def execute(self, context: Context) -> Any:
        if not self.deferrable:
            return super().execute(context)
        return self._open_or_defer(time.time() + self.timeout)

    def poke(self, context: Context) -> PokeReturnValue:
        calendar, now = self._source.read(), datetime.now(UTC)
        opening = calendar.opening_at(now)
        if opening:
            return PokeReturnValue(True, self._result(opening, calendar))
        self._log_news(context, calendar, now)
        return PokeReturnValue(False)

    def _log_news(self, context: Context, calendar: ReleaseCalendar, now: datetime) -> None:
        """Log why no window is open, once for each attempt, and again only when the reason changes.

        In reschedule mode each poke is a process of its own: the store remembers what has been logged.
        """
        freeze, opening = calendar.freeze_at(now), calendar.opening_after(now)
        reason: list[JsonValue] = [
            context["ti"].try_number,
            str(freeze),
            opening.opens.isoformat() if opening else None,
        ]
        store = context["task_state_store"] if self.reschedule else None
        if self._logged is None and store:
            self._logged = store.get(LOGGED_KEY)
        if reason == self._logged:
            return
        self._logged = reason
        self.log.info("%s", _closed(calendar, now))
        if store:
            store.set(LOGGED_KEY, reason)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Called when the trigger has fired; checks again, because the windows may have changed at that moment."""
        return self._open_or_defer(event["deadline"])

    def _open_or_defer(self, deadline: float) -> Any:
        calendar, now = self._source.read(), datetime.now(UTC)
        opening = calendar.opening_at(now)
        if opening:
            return self._result(opening, calendar)
        closed = _closed(calendar, now)
        if now.timestamp() >= deadline:
            self._time_out(closed)
        self.log.info("%s", closed)
        return self._defer(deadline)

    def _defer(self, deadline: float) -> NoReturn:
        from airflow_provider.triggers.release_window import ReleaseWindowTrigger

        self.defer(
            trigger=ReleaseWindowTrigger(source=self._source.to_json(), deadline=deadline),
            method_name="execute_complete",
            timeout=timedelta(seconds=max(0.0, deadline - time.time()) + DEFERRAL_MARGIN),
        )

    def _time_out(self, closed: str) -> NoReturn:
        problem = f"no release window opened within {self.timeout:g} s. {closed}"
        if self.soft_fail:
            raise AirflowSkipException(problem)
        raise AirflowSensorTimeout(problem)

    @property
    def _source(self) -> WindowSource:
        return WindowSource(self.windows, self.timezone, self.freezes, self.environment)

    def _result(self, opening: Opening, calendar: ReleaseCalendar) -> dict[str, Any]:
        opens, closes = (moment.astimezone(calendar.timezone).isoformat() for moment in opening)
        self.log.info("The release window is open until %s", closes)
        return {
            "system": "release_window",
            "id": opens,
            "url": None,
            "state": "succeeded",
            "outputs": {"opens": opens, "closes": closes, "environment": self.environment},
        }


def _closed(calendar: ReleaseCalendar, now: datetime) -> str:
    """Why no window is open, and when the next one opens."""
    freeze, opening = calendar.freeze_at(now), calendar.opening_after(now)
    reason = f"No release window is open: freeze {freeze}" if freeze else "No release window is open"
    if opening is None:
        return f"{reason}, and none opens within two years"
    opens, closes = (f"{moment.astimezone(calendar.timezone):%a %Y-%m-%d %H:%M %Z}" for moment in opening)
    return f"{reason}. The next one opens {opens} (in {_duration(opening.opens - now)}) and closes {closes}"


def _duration(span: timedelta) -> str:
    hours, rest = divmod(int(span.total_seconds()), 3600)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min"
