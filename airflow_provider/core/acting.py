"""Act on an existing execution: cancel, pause, stop. An act remembers which; a retry acts on the same one only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from airflow_provider.core import lines
from airflow_provider.core.commands import Act, Choose, Defer, Log, Observe, Pause, Program, Publish, Save
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.generation import Attempt, Relation, ambiguity, relation_since
from airflow_provider.core.record import ActRecord
from airflow_provider.core.waiting import Ending, Outcome, Wait, result_of
from airflow_provider.core.watching import watch
from airflow_provider.exceptions import Call, ConflictError, Effect, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef


class ActPolicy(msgspec.Struct, frozen=True):
    """What the author asked for.

    :param wanted: which of several requests, if the operator has several.
    :param until: states that end the wait for the effect although the execution continues.
    :param shows_effect: whether an execution is in the state that the act is to achieve, or on its way there.
    """

    system: str
    place: str
    poll_interval: float
    timeout: float | None
    wait_for_completion: bool
    deferrable: bool
    fail_on_waiting: bool
    until: frozenset[str]
    shows_effect: Callable[[Execution], bool]
    wanted: str = ""
    has_log: Callable[[ExecutionRef], bool] = lambda ref: False


class Acting:
    """One attempt of one act; ``now`` as in :class:`~airflow_provider.core.starting.Start`."""

    def __init__(self, policy: ActPolicy, record: ActRecord | None, attempt: Attempt, now: float) -> None:
        self.policy = policy
        self.record = record
        self.attempt = attempt
        self.now = now
        self._may_defer = policy.deferrable

    def execute(self) -> Program[dict[str, Any]]:
        """Send the request unless its effect already shows, then wait for the effect."""
        begun = self.now
        record = yield from self._own_record()
        if record:
            seen: Execution = yield Observe(record.ref)
        else:
            seen = yield Choose()
            record = ActRecord(place=self.policy.place, attempt=self.attempt, ref=seen.ref, wanted=self.policy.wanted)
        if not record.is_taken:
            if not self.policy.shows_effect(seen):
                yield Save(record)
                seen = yield from self._act(record, seen)
                yield Log([lines.act_taken(seen)])
            else:
                yield Log([lines.nothing_to_act_on(seen)])
            # Saved even if its effect shows anyway: another attempt must not choose a younger execution.
            record.is_taken, record.ref = True, seen.ref
            yield Save(record)
        yield Publish(seen)
        if record.is_done or not self.policy.wait_for_completion:
            record.note_done(self.attempt)
            yield Save(record)
            return seen.to_result()
        deadline = None if self.policy.timeout is None else begun + self.policy.timeout
        wait = Wait(seen.ref, self.policy.poll_interval, deadline, self.policy.fail_on_waiting, until=self.policy.until)
        outcome = yield from watch(self, wait, seen, has_log=self.policy.has_log, after_poll=self._defer)
        result = result_of_act(outcome, self.policy.system)
        record.note_done(self.attempt)
        yield Save(record)
        return result

    def _own_record(self) -> Program[ActRecord | None]:
        """The record of an earlier attempt of this generation; ``None`` after a clear.

        :raises ConflictError: it may be a retry or a clear, or the record is of another system.
        """
        record = self.record
        if record is None:
            return None
        related = relation_since(record.escalated_by, record.attempt, self.attempt, had_succeeded=record.is_done)
        if related is Relation.CLEARED:
            return None
        if related is Relation.AMBIGUOUS:
            record.escalated_by = self.attempt
            # record.attempt stays that of the attempt that acted.
            yield Save(record)
            what = f"acted on {record.name}" if record.is_taken else f"was about to act on {record.name}"
            raise self._conflict(ambiguity(what, "sent", "act anew"))
        if record.place != self.policy.place:
            raise self._conflict(
                f"the connection now leads to {self.policy.place}, but an earlier attempt acted on {record.name}: "
                "nothing was sent. Clear this task to act on the other system"
            )
        if record.wanted not in ("", self.policy.wanted):
            # What an earlier attempt has sent, the author does not want any more.
            record.wanted, record.is_taken, record.is_done = self.policy.wanted, False, False
        return record

    def _conflict(self, summary: str) -> ConflictError:
        return ConflictError(summary, call=Call(system=self.policy.system))

    def _act(self, record: ActRecord, target: Execution) -> Program[Execution]:
        """Send the request, and repeat it while it certainly or possibly had no effect and none shows."""
        end, pause = self.now + DURATIONS.act_limit, DURATIONS.search_pause
        while True:
            try:
                acted: Execution = yield Act(target)
                return acted
            except ReleasePipelineError as error:
                problem = error
            # It may be refused because the effect is already there, or accepted although the answer was lost.
            try:
                seen: Execution = yield Observe(record.ref)
                if self.policy.shows_effect(seen):
                    return seen
            except ReleasePipelineError as error:
                if problem.effect is Effect.REFUSED:
                    raise problem from error
            pause_now = max(pause, problem.retry_after or 0.0)
            if problem.effect is Effect.REFUSED or self.now + pause_now > end:
                raise problem
            yield Pause(pause_now)
            pause = min(2 * pause, DURATIONS.longest_search_pause)

    def _defer(self, wait: Wait) -> Program[None]:
        if self._may_defer:
            yield Defer(wait.ref, wait.deadline, wait.begun)
            self._may_defer = False


def result_of_act(outcome: Outcome, system: str) -> dict[str, Any]:
    """The execution is the result, however it ended: a run that finished before its cancel is not an error."""
    if outcome.ending is Ending.FINISHED and outcome.execution:
        return outcome.execution
    return result_of(outcome, system)
