"""Waits until a release may go out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, BaseOperator, TriggerFailureReason
from airflow.sdk.bases.sensor import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException

from airflow_provider.exceptions import BadRequestError
from airflow_provider.operators.arguments import Seconds, SecondsOrZero, Windows
from airflow_provider.operators.base import DEFERRAL_MARGIN, noticed_within
from airflow_provider.operators.checking import CheckedArguments, rule_of
from airflow_provider.release_windows import WindowSource

if TYPE_CHECKING:
    from typing import Unpack

    from airflow.sdk import Context
    from pydantic import JsonValue

    from airflow_provider.core.approving import Answer
    from airflow_provider.core.release_window import Opening, ReleaseCalendar
    from airflow_provider.operators.overriding import OverrideAttempt
    from airflow_provider.operators.shared_arguments import PokingArguments

LOGGED_KEY = "release_window_logged"
"""Of the task state store: why no window is open, as the log of this attempt says it."""

ENDLESS = ", and does not close within two years"
"""The end of a sentence about a window without an end."""


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
    :param approvers: ids of the Airflow users who may release although no window is open. They are asked under the
        required actions while the sensor sleeps, and must give a reason; who did, when and why is the result's
        ``override``. Default: nobody may.
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
        approvers: Sequence[str] | None = None,
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
        self.approvers = approvers
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

    @rule_of("approvers")
    def _check_approvers(self) -> None:
        if self.approvers is None:
            return
        if not self.approvers or not all(str(each).strip() for each in self.approvers):
            raise self.bad_argument("approvers", f"must name users, got {self.approvers!r}")
        if not self.deferrable:
            raise self.bad_argument("approvers", "needs deferrable=True: only a task that is deferred can be answered")

    def execute(self, context: Context) -> Any:
        if not self.deferrable:
            return super().execute(context)
        return self._open_or_defer(context, time.time() + self.timeout, self._override(context))

    def poke(self, context: Context) -> PokeReturnValue:
        calendar, now = self._source.read(), datetime.now(UTC)
        opening = calendar.opening_at(now)
        if opening:
            return PokeReturnValue(True, self._result(opening, calendar, now))
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

    def execute_complete(self, context: Context, event: dict[str, Any], deadline: float | None = None) -> Any:
        """Called when the trigger has fired, or with the answer of a person.

        Checks again, because the windows may have changed at that moment.

        :param deadline: lost in ``dag.test()``, where the trigger's event carries it.
        """
        override = self._override(context)
        if override and not override.is_of_another(event):
            if "chosen_options" in event:
                override.take(event)
            else:
                override.close()
        return self._open_or_defer(context, deadline or event["deadline"], override)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Check again after a deferral that ended without an event. A trigger that crashed is no reason to skip."""
        if next_method != TRIGGER_FAIL_REPR:
            return super().resume_execution(next_method, next_kwargs, context)
        error = (next_kwargs or {}).get("error")
        self.log.warning("The wait ended without an event: %s", error)
        if error == TriggerFailureReason.TRIGGER_TIMEOUT or self._source.read().opening_at(datetime.now(UTC)):
            return super().resume_execution("check_again", None, context)
        if self.never_fail:
            raise AirflowSkipException(f"the wait failed: {error}")
        return BaseOperator.resume_execution(self, next_method, next_kwargs, context)

    def check_again(self, context: Context) -> Any:
        """Called when the deadline has passed, or a window is open, and no trigger has said so."""
        override = self._override(context)
        if override:
            override.crash()
        return self._open_or_defer(context, time.time(), override)

    def _override(self, context: Context) -> OverrideAttempt | None:
        if not self.approvers:
            return None
        from airflow_provider.operators.overriding import OverrideAttempt

        return OverrideAttempt(context, self.log, self.approvers)

    def _open_or_defer(self, context: Context, deadline: float, override: OverrideAttempt | None) -> Any:
        if override and override.override:
            return self.overridden(override.override)
        calendar, now = self._source.read(), datetime.now(UTC)
        opening = calendar.opening_at(now)
        if not opening and now.timestamp() < deadline:
            closed = _closed(calendar, now)
            self.log.info("%s", closed)
            if override:
                override.ask(closed, self.environment)
        elif not (override and override.is_open):
            if override:
                override.finish()
            return self._result(opening, calendar, now) if opening else self._time_out(_closed(calendar, now))
        return self._defer(deadline, override.asked_as if override else "")

    def _defer(self, deadline: float, asked_as: str) -> NoReturn:
        from airflow_provider.triggers.release_window import ReleaseWindowTrigger

        self.defer(
            trigger=ReleaseWindowTrigger(
                source=self._source.to_json(), deadline=deadline, asked_as=asked_as, hold_back=noticed_within()
            ),
            method_name="execute_complete",
            kwargs={"deadline": deadline},
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

    def _result(self, opening: Opening, calendar: ReleaseCalendar, now: datetime) -> dict[str, Any]:
        opens, end = opening.opens.astimezone(calendar.timezone).isoformat(), opening.end_seen_at(now)
        closes = end.astimezone(calendar.timezone).isoformat() if end else None
        self.log.info("The release window is open%s", f" until {closes}" if closes else ENDLESS)
        return self._result_of(opens, opens, closes)

    def overridden(self, answer: Answer) -> dict[str, Any]:
        from airflow_provider.core.overriding import override_of

        return {**self._result_of(answer.at, None, None), "override": override_of(answer)}

    def _result_of(self, identity: str, opens: str | None, closes: str | None) -> dict[str, Any]:
        return {
            "system": "release_window",
            "id": identity,
            "url": None,
            "state": "succeeded",
            "outputs": {"opens": opens, "closes": closes, "environment": self.environment},
            **({"override": None} if self.approvers else {}),
        }


def _closed(calendar: ReleaseCalendar, now: datetime) -> str:
    """Why no window is open, and when the next one opens."""
    freeze, opening = calendar.freeze_at(now), calendar.opening_after(now)
    reason = f"No release window is open: freeze {freeze}" if freeze else "No release window is open"
    if opening is None:
        return f"{reason}, and none opens within two years"
    opens, closes = (f"{moment.astimezone(calendar.timezone):%a %Y-%m-%d %H:%M %Z}" for moment in opening)
    then = f" and closes {closes}" if opening.end_seen_at(now) else ENDLESS
    return f"{reason}. The next one opens {opens} (in {_duration(opening.opens - now)}){then}"


def _duration(span: timedelta) -> str:
    hours, rest = divmod(int(span.total_seconds()), 3600)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min"
