"""Start once: what an attempt does about the start of an execution, from its record to its end. See ``states.py``.

Programs in the sense of ``commands.py``: pure, so that the simulator can try them against everything that goes wrong.
Its parts are ``searching.py``, ``cleanup.py``, ``sending.py``, ``doubles.py`` and ``concluding.py``.
"""

from __future__ import annotations

from typing import Any

from airflow_provider.core import lines
from airflow_provider.core.approving import Ended
from airflow_provider.core.cleanup import end_cleared, let_end
from airflow_provider.core.commands import Ask, Defer, Log, Pause, Program, TakeAnswer
from airflow_provider.core.concluding import end_record
from airflow_provider.core.durations import DURATIONS, MOST_CRASHES
from airflow_provider.core.generation import Relation, ambiguity, relation_since
from airflow_provider.core.lines import LogLine, name_of, warning
from airflow_provider.core.progress import Progress
from airflow_provider.core.record import End, Phase, StartRecord
from airflow_provider.core.searching import choose, not_found, observe, search_again, settled
from airflow_provider.core.sending import start_anew
from airflow_provider.core.states import State
from airflow_provider.core.waiting import GUESS, Begun, Ending, Outcome, Patience, Wait, result_of
from airflow_provider.core.watching import watch
from airflow_provider.exceptions import (
    ExecutionCanceled,
    ExecutionRejected,
    NotFoundError,
    ReleasePipelineError,
)
from airflow_provider.execution import Execution, ExecutionState


class Start(Progress):
    """One attempt of one task. Its programs are run one at a time."""

    is_final = False
    """Whether no automatic retry should follow its error, because a person has decided."""
    _may_defer = False
    _asks_by: float | None = None

    # --- what an attempt does ---

    def execute(self) -> Program[dict[str, Any]]:
        """A new attempt: adopt or start, then wait.

        :return: the result of an execution that succeeded, or of one that the task does not wait for.
        :raises ReleasePipelineError: anything else.
        """
        with _Failing(self):
            execution = yield from self._adopt_or_start()
            if not self.policy.wait_for_completion:
                return (yield from self._leave(execution))
            return (yield from self._wait(execution))

    def finish(self, outcome: Outcome) -> Program[dict[str, Any]]:
        """Resumed because the wait in the triggerer ended."""
        with _Failing(self):
            if _is_unfinished(outcome) or self._may_still_be_there(outcome):
                return (yield from self._continue_waiting())
            return (yield from self._conclude(outcome))

    def answered(self, event: Any) -> Program[dict[str, Any]]:
        """Resumed because a person answered, or an answer is no longer needed."""
        with _Failing(self):
            outcome = yield from self._take_answer(self.own_record(), event)
            if outcome and not _is_unfinished(outcome) and not self._may_still_be_there(outcome):
                return (yield from self._conclude(outcome))
            return (yield from self._continue_waiting())

    def resume(self, cause: str) -> Program[dict[str, Any]]:
        """Resumed without an event: the trigger crashed, or Airflow timed the deferral out."""
        with _Failing(self):
            record = self.own_record()
            yield Log([warning(f"The wait ended without an event: {cause}")])
            record.crashes += 1
            yield from self.save(record)
            return (yield from self._continue_waiting())

    # --- whose start it is ---

    def _adopt_or_start(self) -> Program[Execution]:
        record = self.record
        if record and record.system != self.policy.system:
            text = f"This task's operator was replaced: {record.name} is left alone"
            yield Log([LogLine(text) if record.is_over else warning(text)])
            record = None
        if record is None:
            self.enter(State.PREPARING)
            return (yield from start_anew(self, None))
        related = self._relation(record)
        if record.place and record.place != self.policy.place and not record.is_over:
            if related is Relation.SAME or not self.was_resolved(record):
                yield from self.escalate(
                    record,
                    f"the connection now leads to {self.policy.place}, but this task has started {record.name}: "
                    "nothing was adopted, canceled or started. Resolve it manually; clearing this task again starts "
                    "anew",
                )
            yield Log([warning(f"Starting anew; {record.name} is left alone")])
            self.enter(State.PREPARING)
            return (yield from start_anew(self, None))
        if related is Relation.CLEARED:
            yield from end_cleared(self, record)
            return (yield from start_anew(self, None, cleared=record))
        if adopted := (yield from self._adopt(record, related)):
            return adopted
        if related is Relation.AMBIGUOUS:
            # Perhaps cleared: what an earlier request may still start does not belong to this start.
            return (yield from start_anew(self, None, cleared=record))
        return (yield from start_anew(self, record))

    def _relation(self, record: StartRecord) -> Relation:
        return relation_since(record.escalated_by, record.attempt, self.attempt, had_succeeded=record.had_succeeded)

    def _adopt(self, record: StartRecord, related: Relation) -> Program[Execution | None]:
        """The execution that an earlier attempt of this start started; ``None`` if another one is to be started."""
        if record.phase is Phase.ENDING:
            yield from let_end(self, record)
            self._respect_decision(record)
            return None
        if related is Relation.AMBIGUOUS and record.had_succeeded:
            yield from self._refuse_to_guess(record)
        if record.phase is Phase.ENDED and related is Relation.SAME:
            self._respect_decision(record)
        if record.phase is Phase.ENDED and record.end is not End.SUCCEEDED:
            self.enter(State.PREPARING)
            return None
        if record.ref is None and not record.sends:
            self.enter(State.PREPARING)
            return None
        if record.ref is None:
            self.enter(State.SEARCHING)
            found = yield from search_again(self, record)
            seen = yield from choose(self, record, found)
            if seen is None:
                yield not_found(record)
        else:
            self.enter(State.OBSERVING)
            seen = yield from observe(self, record, record.ref)
        seen = yield from settled(self, record, seen)
        if seen is None or seen.state in (ExecutionState.FAILED, ExecutionState.CANCELED):
            yield from self.note_end(record, seen)
            self._respect_decision(record)
            self.enter(State.PREPARING)
            return None
        if related is Relation.AMBIGUOUS:
            yield from self._refuse_to_guess(record)
        yield from self.remember(record, seen, lines.still_running)
        if record.asked and record.asked != self.policy.asked:
            # A retry has one start, whatever was deployed meanwhile or a template renders to now.
            yield Log([lines.arguments_changed(seen)])
        return seen

    def _respect_decision(self, record: StartRecord) -> None:
        """Start nothing in the place of what a person has ended.

        :raises ExecutionCanceled: somebody canceled it, and the author does not want another one to be started.
        :raises ExecutionRejected: people have rejected it in Airflow, and that attempt has not seen its end.
        """
        if record.end is End.CANCELED and self.policy.on_canceled == "fail":
            self.is_final = True
            raise self.error(ExecutionCanceled, f"somebody canceled {record.name}; no retry starts it again")
        if record.end is not End.SUCCEEDED and self.policy.is_rejected(record.marker):
            raise self.error(ExecutionRejected, f"people have rejected {record.name}; no retry starts it again")

    def _refuse_to_guess(self, record: StartRecord) -> Program[None]:
        summary = ambiguity(f"started {record.name}", "adopted, canceled or started", "start anew")
        yield from self.escalate(record, summary)

    # --- waiting and the end ---

    def _leave(self, execution: Execution) -> Program[dict[str, Any]]:
        """Succeed without waiting, unless the execution failed at once; it continues on its own."""
        if execution.state in (ExecutionState.FAILED, ExecutionState.CANCELED):
            return (yield from self._conclude(Outcome(Ending.FINISHED, execution.to_result())))
        record = self.own_record()
        record.phase = Phase.LEFT
        yield from self.save(record)
        self.enter(State.LEFT)
        return execution.to_result()

    def _continue_waiting(self) -> Program[dict[str, Any]]:
        """After a deferral that ended although the execution has not."""
        seen = yield from self._observe_again(self.own_record())
        self.enter(State.WAITING)
        return (yield from self._wait(seen))

    def _observe_again(self, record: StartRecord) -> Program[Execution]:
        seen = yield from observe(self, record, record.ref or {})
        seen = yield from settled(self, record, seen)
        if seen is None:
            raise self.error(NotFoundError, f"{record.name} is gone")
        return seen

    def _may_still_be_there(self, outcome: Outcome) -> bool:
        """Whether a wait ended because its execution was not found, which a list by its marker may yet show."""
        is_missing = outcome.ending is Ending.LOST and outcome.cause == NotFoundError.__name__
        record = self.own_record()
        return is_missing and bool(record.ref) and self.policy.is_marked(record.intent)

    def _wait(self, seen: Execution) -> Program[dict[str, Any]]:
        record = self.own_record()
        self._may_defer = self.policy.deferrable and record.crashes <= MOST_CRASHES
        if self.policy.approve and not self._may_defer:
            yield Log([lines.answers_no_longer_count(record.crashes)])
        begun = Begun(record.started)
        while True:
            wait = Wait(
                seen.ref, self.policy.poll_interval, self.deadline(record), self.policy.fail_on_waiting, begun=begun
            )
            outcome = yield from watch(
                self, wait, seen, has_log=self.policy.has_log, after_poll=self._remember_or_defer
            )
            yield from self._remember_new_reference(record, wait)
            if not self._may_still_be_there(outcome):
                return (yield from self._conclude(outcome))
            begun, seen = wait.begun, (yield from self._observe_again(record))

    def _remember_new_reference(self, record: StartRecord, wait: Wait) -> Program[None]:
        """A reference may become more exact during the wait: a rerun now names its execution."""
        if wait.last and wait.ref != record.ref:
            yield from self.remember(record, wait.last)

    def _remember_or_defer(self, wait: Wait) -> Program[None]:
        record = self.own_record()
        yield from self._remember_new_reference(record, wait)
        if self.policy.approve and wait.last and wait.last.state is ExecutionState.WAITING:
            if self._may_defer:
                yield from self._ask(wait, wait.last)
            else:
                yield from self._take_answer(record, {"ended": Ended.UNHEARD})
        elif self._may_defer and (self.policy.is_known(wait.ref) or self.now > record.started + DURATIONS.settling):
            yield Defer(wait.ref, wait.deadline, wait.begun)
            # Answered only if the remaining time is too short for a deferral.
            self._may_defer = False

    def _ask(self, wait: Wait, waiting: Execution) -> Program[None]:
        """Ask people about an approval, which may become visible a moment after the execution waits for it."""
        if self._asks_by is None:
            self._asks_by = self.now + DURATIONS.settling
        is_patient = self.now < self._asks_by and GUESS not in waiting.ref
        try:
            yield Ask(waiting, wait.deadline, wait.begun, is_patient=is_patient)
        except ReleasePipelineError as error:
            yield Log([warning(f"Could not ask about the approval that {name_of(waiting.ref)} waits for: {error}")])

    def _take_answer(self, record: StartRecord, event: Any) -> Program[Outcome | None]:
        """Process an answer, and retry while the system cannot take the decision, as failing polls are retried."""
        patience, deadline = Patience(self.policy.poll_interval, self.now), self.deadline(record)
        while True:
            try:
                outcome: Outcome | None = yield TakeAnswer(event)
                return outcome
            except ReleasePipelineError as error:
                pause = patience.pause(error)
                if deadline is not None and self.now + pause >= deadline:
                    # No time is left: the execution is canceled, whatever people decided.
                    return None
                if patience.is_over(self.now + pause):
                    raise
                yield Log([warning(f"Could not send the decision, will retry in {pause:.0f} s: {error}")])
            yield Pause(pause)

    def _conclude(self, outcome: Outcome) -> Program[dict[str, Any]]:
        outcome = yield from end_record(self, outcome)
        state = outcome.execution["state"] if outcome.execution else ""
        if state == ExecutionState.CANCELED and self.policy.on_canceled == "fail":
            self.is_final = True
        result = result_of(outcome, self.policy.system)
        self.enter(State.SUCCEEDED)
        return result


class _Failing:
    """Whatever error ends a program, its attempt has failed."""

    def __init__(self, start: Start) -> None:
        self._start = start

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ReleasePipelineError):
            self._start.enter(State.FAILED)


def _is_unfinished(outcome: Outcome) -> bool:
    """Whether a wait ended although the execution continues: it began or ceased to wait for an approval."""
    state = outcome.execution["state"] if outcome.execution else ExecutionState.UNKNOWN
    return outcome.ending is Ending.FINISHED and not ExecutionState(state).is_terminal
