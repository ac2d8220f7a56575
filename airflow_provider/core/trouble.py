"""Trouble of a connection whose requests are made in parallel: when to hold back, and when it is over."""

from __future__ import annotations

import math

from airflow_provider.core.waiting import Pace
from airflow_provider.exceptions import ReleasePipelineError


class Trouble:
    """Errors that concern every request of a connection. All times are seconds of one clock.

    During trouble, one request at a time checks whether it is over. Requests that were sent before it began add no
    information: eight of them that fail together are one failure, and an answer to one does not end the trouble.
    """

    def __init__(self) -> None:
        self._pace = Pace()
        self._since = -math.inf
        self.until = -math.inf
        """No request may be sent before then."""
        self.over_since = -math.inf

    @property
    def is_on(self) -> bool:
        return self._pace.is_slowed

    def note_error(
        self, error: ReleasePipelineError, started: float, now: float, interval: float, until_deadline: float | None
    ) -> bool:
        """Note an error of a request; returns whether it adds information.

        :param started: when the request was sent.
        :param interval: the shortest poll interval of the waits.
        :param until_deadline: seconds until the earliest deadline of the waits.
        """
        if started > self._since:
            self._pace.note(error)
            self._since, self.until = now, now + self._pace.pause(interval, until_deadline)
            return True
        if error.retry_after is not None:
            left = error.retry_after if until_deadline is None else max(0.0, until_deadline)
            self.until = max(self.until, now + min(error.retry_after, left))
        return False

    def note_answer(self, started: float, now: float) -> bool:
        """Note that a request was answered; returns whether that ends the trouble."""
        if not self.is_on or started <= self._since:
            return False
        self._pace.note(None)
        self.until = self.over_since = now
        return True
