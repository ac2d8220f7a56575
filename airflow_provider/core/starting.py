"""Start once: what an attempt does about the start of an execution, from its record to its end. See ``states.py``.

Programs in the sense of ``commands.py``: pure, so that the simulator can try them against everything that goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NoReturn

import msgspec

from airflow_provider.core import lines
from airflow_provider.core.canceling import cancel
from airflow_provider.core.commands import (
    Ask,
    Cancel,
    Defer,
    Find,
    Forget,
    Observe,
    Pause,
    Prepare,
    Program,
    Publish,
    Save,
    Send,
    TakeAnswer,
    Tell,
)
from airflow_provider.core.durations import DURATIONS, MOST_CRASHES, MOST_SENDS
from airflow_provider.core.generation import Attempt, Relation, ambiguity, relation_since, was_answered
from airflow_provider.core.lines import News, name_of, warning
from airflow_provider.core.record import End, Phase, StartRecord
from airflow_provider.core.states import MOVES, State
from airflow_provider.core.waiting import GUESS, Begun, Ending, Outcome, Pace, Wait, guessed, result_of
from airflow_provider.core.watching import watch
from airflow_provider.exceptions import (
    AuthenticationError,
    Call,
    ConflictError,
    Effect,
    ExecutionCanceled,
    ExecutionTimeout,
    NotFoundError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState


class Policy(msgspec.Struct, frozen=True):
    """What the author asked for, and what the system's client knows without a request.

    :param place: which installation the connection leads to now.
    :param asked: a text that differs where the arguments of the task do.
    :param timeout: seconds for the whole execution, over retries and deferrals.
    :param approve: whether people are asked in Airflow for the approvals that the execution comes to.
    :param request_timeout: seconds that one request may take.
    :param is_marked: whether what a start with this intent leads to bears its marker.
    :param needs_cancel: whether an execution would go on, or could be made to, unless it is canceled.
    :param is_busy: whether a refusal only says that the system takes no start now.
    :param has_log: whether the system tells a log of what a reference names.
    :param is_known: whether a reference names the execution itself.
    """

    system: str
    place: str
    asked: str = ""
    poll_interval: float = 10.0
    timeout: float | None = None
    wait_for_completion: bool = True
    deferrable: bool = False
    cancel_on_kill: bool = True
    fail_on_waiting: bool = False
    on_canceled: Literal["fail", "retry"] = "fail"
    approve: bool = False
    request_timeout: float = 30.0
    is_marked: Callable[[dict[str, Any]], bool] = lambda intent: False
    needs_cancel: Callable[[Execution], bool] = lambda execution: not execution.state.is_terminal
    is_busy: Callable[[ReleasePipelineError], bool] = lambda error: False
    has_log: Callable[[ExecutionRef], bool] = lambda ref: False
    is_known: Callable[[ExecutionRef], bool] = lambda ref: True


class Start:
    """One attempt of one task. Its programs are run one at a time.

    :param record: what earlier attempts have written down, if anything.
    :param attempt: what Airflow says of this attempt.
    :param now: epoch seconds; whoever carries out the commands sets it before each answer.
    :param on_move: told each move.
    """

    def __init__(
        self,
        policy: Policy,
        record: StartRecord | None,
        attempt: Attempt,
        now: float,
        on_move: Callable[[State, State], None] = lambda before, after: None,
    ) -> None:
        self.policy = policy
        self.record = record
        self.attempt = attempt
        self.now = now
        self.state = State.READING
        self.is_final = False
        """Whether its error is one that no automatic retry mends: a person has decided."""
        self._on_move = on_move
        self._may_defer = False
        self._asks_by: float | None = None

    # What an attempt does

    def execute(self) -> Program[dict[str, Any]]:
        """A new attempt: adopt or start, then wait.

        :return: the result of an execution that ended well, or of one that is not waited for.
        :raises ReleasePipelineError: anything else.
        """
        with _Failing(self):
            execution = yield from self._adopt_or_start()
            if not self.policy.wait_for_completion:
                return (yield from self._leave(execution))
            return (yield from self._wait(execution))

    def finish(self, outcome: Outcome) -> Program[dict[str, Any]]:
        """The triggerer has seen the end of the wait."""
        with _Failing(self):
            if _is_under_way(outcome):
                return (yield from self._wait_on())
            return (yield from self._conclude(outcome))

    def answered(self, event: Any) -> Program[dict[str, Any]]:
        """A person has answered, or nobody's answer is waited for any more."""
        with _Failing(self):
            outcome = yield from self._take_answer(self._own_record(), event)
            if outcome and not _is_under_way(outcome):
                return (yield from self._conclude(outcome))
            return (yield from self._wait_on())

    def resume(self, cause: str) -> Program[dict[str, Any]]:
        """The deferral ended without an event: the trigger crashed, or Airflow timed it out."""
        with _Failing(self):
            record = self._own_record()
            yield Tell([warning(f"The wait ended without an event: {cause}")])
            record.crashes += 1
            yield from self._save(record)
            return (yield from self._wait_on())

    # Whose start is it?

    def _adopt_or_start(self) -> Program[Execution]:
        record = self.record
        if record and record.system != self.policy.system:
            text = f"This task's operator was replaced: {record.name} is left alone"
            yield Tell([News(text) if record.is_over else warning(text)])
            record = None
        if record is None:
            self._to(State.PREPARING)
            return (yield from self._start_anew(None))
        related = self._relation(record)
        if record.place and record.place != self.policy.place and not record.is_over:
            if related is Relation.SAME or not self._was_answered(record):
                yield from self._leave_to_a_person(
                    record,
                    f"the connection now leads to {self.policy.place}, but this task has started {record.name}: "
                    "nothing was adopted, canceled or started. Resolve it manually; clearing this task again starts "
                    "anew",
                )
            yield Tell([warning(f"Starting anew; {record.name} is left alone")])
            self._to(State.PREPARING)
            return (yield from self._start_anew(None))
        if related is Relation.CLEARED:
            yield from self._let_cleared_end(record)
            return (yield from self._start_anew(None, cleared=record))
        if adopted := (yield from self._go_on(record, related)):
            return adopted
        if related is Relation.AMBIGUOUS:
            # Perhaps cleared: what an earlier request may yet lead to is not this start's.
            return (yield from self._start_anew(None, cleared=record))
        return (yield from self._start_anew(record))

    def _relation(self, record: StartRecord) -> Relation:
        return relation_since(record.told, record.attempt, self.attempt, had_succeeded=record.had_succeeded)

    def _was_answered(self, record: StartRecord) -> bool:
        return was_answered(record.told, self.attempt)

    def _go_on(self, record: StartRecord, related: Relation) -> Program[Execution | None]:
        """What an earlier attempt of this start has started; ``None`` if another one is to be started."""
        if record.phase is Phase.ENDING:
            yield from self._let_end(record)
            return None
        if related is Relation.AMBIGUOUS and record.had_succeeded:
            yield from self._refuse_to_guess(record)
        if record.phase is Phase.ENDED and record.end is End.CANCELED and related is Relation.SAME:
            self._respect_cancel(record)
        if record.phase is Phase.ENDED and record.end is not End.SUCCEEDED:
            self._to(State.PREPARING)
            return None
        if record.ref is None and not record.sends:
            self._to(State.PREPARING)
            return None
        if record.ref is None:
            self._to(State.SEARCHING)
            found = yield from self._search_again(record)
            seen = yield from self._choose(record, found)
            if seen is None:
                yield _not_found(record)
        else:
            self._to(State.OBSERVING)
            seen = yield from self._look_again(record.ref)
        if seen is None or seen.state is ExecutionState.FAILED:
            yield from self._note_end(record, seen)
            self._to(State.PREPARING)
            return None
        if seen.state is ExecutionState.CANCELED:
            yield from self._note_end(record, seen)
            self._respect_cancel(record)
            self._to(State.PREPARING)
            return None
        if related is Relation.AMBIGUOUS:
            yield from self._refuse_to_guess(record)
        yield from self._remember(record, seen, lines.going_on)
        if record.asked and record.asked != self.policy.asked:
            # One start for a retry, whatever was deployed meanwhile, or a template renders to now.
            yield Tell([lines.asked_otherwise(seen)])
        return seen

    def _respect_cancel(self, record: StartRecord) -> None:
        if self.policy.on_canceled == "fail":
            self.is_final = True
            raise self._error(ExecutionCanceled, f"somebody canceled {record.name}; no retry starts it again")

    def _refuse_to_guess(self, record: StartRecord) -> Program[None]:
        summary = ambiguity(f"started {record.name}", "adopted, canceled or started", "start anew")
        yield from self._leave_to_a_person(record, summary)

    def _leave_to_a_person(self, record: StartRecord, summary: str) -> Program[NoReturn]:
        record.told = self.attempt
        # Not by the attempt that writes: the record stays the word of the one that started.
        yield Save(record)
        raise self._error(ConflictError, summary)

    # Ending what was

    def _let_cleared_end(self, record: StartRecord) -> Program[None]:
        """After a clear, what was started before is over first: whoever waited for it cancels it, or has died."""
        was_sent = record.ref is not None or record.sends > 0
        if not self.policy.cancel_on_kill or record.is_over or not was_sent:
            self._to(State.PREPARING)
            return
        if record.ref is None:
            yield from self._find_cleared(record)
            if record.ref is None:
                self._to(State.PREPARING)
                return
        yield from self._let_end(record)

    def _find_cleared(self, record: StartRecord) -> Program[None]:
        self._to(State.SEARCHING)
        is_marked = self.policy.is_marked(record.intent)
        try:
            # Without a marker, what is over may be somebody else's: ours may show yet.
            found = yield from self._search_again(record, lambda each: is_marked or self._goes_on(each))
        except ReleasePipelineError as error:
            if error.effect is not Effect.REFUSED or isinstance(error, ServerUnavailableError):
                raise
            text = f"Cannot tell whether the cleared task had started anything: {error}"
            yield Tell([warning(text)])
            return
        if not found:
            yield _not_found(record)
        if is_marked:
            yield from self._choose(record, found)
            return
        # None of them is certainly ours: a person must say.
        if found and not self._was_answered(record):
            yield from self._leave_to_a_person(
                record,
                f"{', '.join(each.id for each in found)} may be what this task had started before it was cleared, "
                "unless that begins yet; what is a guess is never canceled. Nothing was started beside it: if it is, "
                "end it manually, then clear this task",
            )

    def _let_end(self, record: StartRecord) -> Program[None]:
        """See to it that it is over, or fail and name it."""
        self._to(State.ENDING)
        ref = record.ref or {}
        begun, trouble, is_asked = self.now, "", False
        while True:
            seen = None
            try:
                seen = yield from self._look_again_or_raise(ref)
                is_over = seen is None or not self._goes_on(seen)
                # What cannot be canceled was left to a person, who has cleared the task again.
                is_left = GUESS in ref or not self.policy.is_known(ref)
                if is_over or (is_left and self._was_answered(record)):
                    self._to(State.PREPARING)
                    return
            except ReleasePipelineError as error:
                trouble = str(error)
            if self.now >= begun + DURATIONS.cleared_limit:
                break
            grace = 0.0 if record.phase is Phase.ENDING else DURATIONS.cleared_grace
            if seen and self.policy.needs_cancel(seen) and not is_asked and self.now >= begun + grace:
                if GUESS in ref:
                    trouble = "it was only guessed to be this task's, and what is a guess is never canceled"
                    break
                try:
                    yield Cancel(ref, "canceled by Airflow: the task that started it was cleared")
                    is_asked = True
                    yield Tell([News(f"Canceled {record.name}, which the cleared task had started")])
                except ReleasePipelineError as error:
                    trouble = str(error)
                    yield Tell([lines.cancel_fails(record.name, error)])
                    yield Pause(min(error.retry_after or 0.0, DURATIONS.cleared_limit))
            yield Pause(DURATIONS.let_end_pause)
        yield from self._leave_to_a_person(
            record,
            f"{record.name}, which this task had started before, is not over"
            + (f" and could not be canceled: {trouble}" if trouble else "")
            + ". Nothing was started beside it: end it manually, then clear this task",
        )

    def _goes_on(self, execution: Execution) -> bool:
        """Whether it runs, is on its way to an end, or could be made to run."""
        return self.policy.needs_cancel(execution) or _is_moving(execution)

    # Looking

    def _look_again(self, ref: ExecutionRef) -> Program[Execution | None]:
        """``None`` for what is gone; a system that cannot answer now is waited for."""
        try:
            return (yield from self._look_again_or_raise(ref))
        except ReleasePipelineError as error:
            if error.effect is Effect.REFUSED:
                raise
            yield Tell([warning(f"Cannot look at what this task started, waiting on: {error}")])
            return Execution(ref, ExecutionState.UNKNOWN, "not seen yet")

    def _look_again_or_raise(self, ref: ExecutionRef) -> Program[Execution | None]:
        end = self.now + DURATIONS.gone_after
        while True:
            asked = self.now
            try:
                seen: Execution = yield Observe(ref)
                return guessed(seen) if GUESS in ref else seen
            except NotFoundError as error:
                if asked >= end:
                    yield Tell([warning(f"What this task started is gone: {error}")])
                    return None
            yield Pause(DURATIONS.not_found_pause)

    def _search(
        self, intent: dict[str, Any], until: float, counts: Callable[[Execution], bool] = lambda found: True
    ) -> Program[list[Execution]]:
        """Look with patience: an execution may show up late, a look may fail.

        :param counts: whether it is one that is looked for.
        :raises ReleasePipelineError: the last look failed too; nothing may be started then.
        """
        pause = DURATIONS.search_pause
        while True:
            # What counts is when the last look began: this process may have been frozen since.
            asked = self.now
            failure: ReleasePipelineError | None = None
            try:
                found: list[Execution] = yield Find(intent)
                if wanted := [each for each in found if counts(each)]:
                    return wanted
            except ReleasePipelineError as error:
                if error.effect is Effect.REFUSED:
                    raise
                failure = error
            if asked + pause > until:
                if failure:
                    raise failure
                return []
            yield Pause(pause)
            pause = min(2 * pause, DURATIONS.longest_search_pause)

    def _search_again(
        self, record: StartRecord, counts: Callable[[Execution], bool] = lambda found: True
    ) -> Program[list[Execution]]:
        """Look for what an earlier attempt may have started."""
        until = self.now + self._patience_of_another_attempt(record)
        return (yield from self._search_for(record, until, counts))

    def _search_for(
        self, record: StartRecord, until: float, counts: Callable[[Execution], bool] = lambda found: True
    ) -> Program[list[Execution]]:
        try:
            return (yield from self._search(record.intent, until, counts))
        except ReleasePipelineError as error:
            raise self._unanswered(record, error) from error

    def _patience_of_another_attempt(self, record: StartRecord) -> float:
        """How long a start of an earlier attempt may still take to show: its request may have died on its way, after
        which the server may be at work as long as after a time-out.

        Counted from now, unless it is longer ago than two machines' clocks can be apart.
        """
        patience = DURATIONS.settling + self.policy.request_timeout
        if not self.policy.is_marked(record.intent):
            # With a marker, what begins later still is recognised and ended.
            patience = max(patience, (1.0 + DURATIONS.settling_per_second) * self.policy.request_timeout)
        return 0.0 if self.now > record.started + patience + DURATIONS.clock_tolerance else patience

    def _choose(self, record: StartRecord, found: list[Execution]) -> Program[Execution | None]:
        """Which of the finds to follow: one of ours, or the one that is guessed to be."""
        if not found:
            return None
        if self.policy.is_marked(record.intent):
            chosen = next((each for each in found if not each.state.is_terminal), found[0])
            yield from self._end_doubles(chosen.id, found)
        elif len(found) > 1:
            yield from self._leave_to_a_person(
                record,
                f"ambiguous: {', '.join(each.id for each in found)} all look like what this task has started. Resolve "
                "it manually; clearing this task starts anew",
            )
        else:
            chosen = guessed(found[0])
            yield Tell([lines.guess(chosen)])
        record.ref = chosen.ref
        return chosen

    def _end_doubles(self, ours: str, found: list[Execution]) -> Program[list[str]]:
        """A start that took effect long after its time-out has doubled the one sent after it: end all but one.

        :return: the ids of those that go on because they cannot be canceled.
        """
        going_on = []
        for double in found:
            if double.id == ours or not self.policy.needs_cancel(double):
                continue
            text = f"{name_of(double.ref)} came late of a start of this task: canceling it beside {ours}"
            yield Tell([warning(text)])
            try:
                yield Cancel(double.ref, "canceled by Airflow: a second execution of the same start")
            except ReleasePipelineError as error:
                going_on.append(double.id)
                yield Tell([warning(f"Could not cancel {double.id}, end it manually: {error}")])
        return going_on

    def _end_late_doubles(self, record: StartRecord) -> Program[list[str]]:
        """End what has begun of starts that got no answer, beside the one that is known.

        :return: the ids of those that go on.
        :raises ReleasePipelineError: they cannot be looked for now, and nothing else is started yet.
        """
        going_on = []
        is_open = record.is_late and self.policy.is_marked(record.intent) and record.ref
        for intent in [*record.unanswered, *([record.intent] if is_open else [])]:
            try:
                found: list[Execution] = yield Find(intent)
            except ReleasePipelineError as error:
                if record.ref is None and error.effect is not Effect.REFUSED:
                    raise
                text = f"Cannot look for what a start without an answer has led to: {error}"
                yield Tell([warning(text)])
            else:
                going_on += yield from self._end_doubles(record.ref["id"] if record.ref else "the next one", found)
        return going_on

    def _unanswered_of(self, earlier: StartRecord | None, marker: str) -> list[dict[str, Any]]:
        """Starts before this one that got no answer, as far as a marker tells what they lead to."""
        if earlier is None:
            return []
        is_open = earlier.is_late or (earlier.ref is None and earlier.sends > 0)
        intents = [*earlier.unanswered, *([earlier.intent] if is_open else [])]
        oldest = self.now - DURATIONS.latest_effect - DURATIONS.clock_tolerance
        return [
            each
            for each in intents
            if self.policy.is_marked(each) and each["marker"] != marker and float(each["since"]) > oldest
        ]

    # Starting

    def _start_anew(self, before: StartRecord | None, cleared: StartRecord | None = None) -> Program[Execution]:
        """:param before: the record of this start, if an attempt before this one may have sent it.
        :param cleared: the record of the start before the task was cleared.
        """
        went_wrong = before is not None and (before.end is End.FAILED or before.phase is Phase.ENDING)
        # What was only guessed to be ours is not made to go on either.
        has_failed = before is not None and before.end is End.FAILED and GUESS not in (before.ref or {})
        intent: dict[str, Any] = yield Prepare(going_on=has_failed)
        may_be_there = before is not None and before.ref is None and before.sends > 0 and not went_wrong
        # What an earlier request of this start may still lead to is recognised by the same marker.
        marker = before.marker if may_be_there and before and before.marker else intent["marker"]
        record = self.record = StartRecord(
            system=self.policy.system,
            place=self.policy.place,
            attempt=self.attempt,
            intent={**intent, "marker": marker, "place": self.policy.place},
            asked=self.policy.asked,
            started=self.now,
            is_late=may_be_there,
            unanswered=self._unanswered_of(before or cleared, marker),
        )
        yield from self._make_way(record, before or cleared)
        holds, searches, begun_holding = 0, 0, self.now
        while True:
            record.sends += 1
            yield from self._save(record)
            self._to(State.SENDING)
            begun = self.now
            try:
                execution: Execution = yield Send(record.intent)
                break
            except ReleasePipelineError as error:
                problem = error
            # A refusal after an answer that was lost may only say that the lost request took effect.
            if problem.effect.is_open or (may_be_there and searches == 0):
                if found := (yield from self._search_sent(record, problem, self.now - begun)):
                    return (yield from self._remember(record, found, lines.found))
                searches += 1
                may_be_there = may_be_there or problem.effect.is_open
                if problem.effect is Effect.UNKNOWN and searches < MOST_SENDS:
                    continue
                if problem.effect.is_open:
                    raise self._unanswered(record, problem)
            pause = self._pause_before_another_send(problem, holds, begun_holding)
            if pause is None:
                if not may_be_there:
                    yield from self._forget(record)
                raise problem
            holds += 1
            self._to(State.HOLDING)
            text = f"Nothing was started yet; sending it again in {pause:.0f} s: {problem}"
            yield Tell([warning(text)])
            yield Pause(pause)
            if not may_be_there:
                # Nothing was started yet: what is looked for after the next request begins after it.
                record.intent["since"] = intent["since"] + (self.now - begun_holding)
            elif found := (yield from self._look_after_pause(record)):
                return (yield from self._remember(record, found, lines.found))
        return (yield from self._remember(record, execution, lines.started))

    def _make_way(self, record: StartRecord, earlier: StartRecord | None) -> Program[None]:
        """Nothing is started beside what starts before this one have led to since."""
        going_on = yield from self._end_late_doubles(record)
        if going_on and earlier and not self._was_answered(earlier):
            yield from self._leave_to_a_person(
                earlier,
                f"{', '.join(going_on)} came late of a start of this task and could not be canceled. Nothing was "
                "started beside it: end it manually, then clear this task",
            )

    def _forget(self, record: StartRecord) -> Program[None]:
        """Certainly nothing came of this start; of those before it something may."""
        if not record.unanswered:
            yield Forget()
            return
        record.sends = 0
        yield from self._save(record)

    def _look_after_pause(self, record: StartRecord) -> Program[Execution | None]:
        """A start that got no answer may have begun during a pause."""
        self._to(State.SEARCHING)
        found = yield from self._search_for(record, self.now)
        return (yield from self._choose(record, found))

    def _unanswered(self, record: StartRecord, problem: ReleasePipelineError) -> ReleasePipelineError:
        return type(problem)(
            f"{record.name} was not found; it may be there or begin yet, which only another attempt of this task would "
            f"see: {problem.summary}",
            call=problem.call,
            effect=problem.effect,
            retry_after=problem.retry_after,
        )

    def _search_sent(self, record: StartRecord, error: ReleasePipelineError, took: float) -> Program[Execution | None]:
        """After an answer that does not tell whether the start took effect, or a refusal because it already had."""
        self._to(State.SEARCHING)
        record.is_late = record.is_late or error.effect is Effect.LATE
        yield Tell([warning(f"The answer to the start is not known, looking for the execution: {error}")])
        patience = max(DURATIONS.settling, DURATIONS.settling_per_second * took)
        found = yield from self._search_for(record, self.now + patience)
        return (yield from self._choose(record, found))

    def _pause_before_another_send(self, error: ReleasePipelineError, holds: int, begun: float) -> float | None:
        """Seconds until a start that certainly had no effect is sent again; ``None``: not by this attempt."""
        if self.policy.is_busy(error):
            asked = error.retry_after or 0.0
            pause = max(asked, min(DURATIONS.longest_busy_pause, DURATIONS.busy_pause * 2 ** min(holds, 10)))
            limit = DURATIONS.busy_limit if self.policy.timeout is None else self.policy.timeout
            return pause if self.now + pause < begun + limit else None
        if error.effect is not Effect.NONE or isinstance(error, AuthenticationError) or holds >= MOST_SENDS - 1:
            return None
        pause = DURATIONS.first_resend_pause * 2**holds if error.retry_after is None else error.retry_after
        is_in_time = self.policy.timeout is None or self.now + pause < begun + self.policy.timeout
        return pause if pause <= DURATIONS.longest_retry_after and is_in_time else None

    def _remember(
        self, record: StartRecord, execution: Execution, tell: Callable[[Execution, str], News] | None = None
    ) -> Program[Execution]:
        """:param tell: the line about how it was come by."""
        execution.ref.setdefault("place", self.policy.place)
        record.ref = execution.ref
        record.phase = Phase.STARTED
        yield from self._save(record)
        if self.state is not State.WAITING:
            self._to(State.WAITING)
        yield Publish(execution)
        # Of a guess it is told where it is made.
        if tell and not (tell is lines.found and GUESS in execution.ref):
            yield Tell([tell(execution, self.policy.place)])
        return execution

    # Waiting and the end

    def _leave(self, execution: Execution) -> Program[dict[str, Any]]:
        """Success of a task that does not wait: what it started is its own no longer, unless it failed at once."""
        if execution.state in (ExecutionState.FAILED, ExecutionState.CANCELED):
            return (yield from self._conclude(Outcome(Ending.FINISHED, execution.to_result())))
        record = self._own_record()
        record.phase = Phase.LEFT
        yield from self._save(record)
        self._to(State.LEFT)
        return execution.to_result()

    def _wait_on(self) -> Program[dict[str, Any]]:
        """After a deferral that has not ended with the execution's end."""
        record = self._own_record()
        seen = yield from self._look_again(record.ref or {})
        if seen is None:
            raise self._error(NotFoundError, f"{record.name} is gone")
        self._to(State.WAITING)
        return (yield from self._wait(seen))

    def _wait(self, seen: Execution) -> Program[dict[str, Any]]:
        record = self._own_record()
        self._may_defer = self.policy.deferrable and record.crashes <= MOST_CRASHES
        wait = Wait(
            seen.ref,
            self.policy.poll_interval,
            self._deadline(record),
            self.policy.fail_on_waiting,
            begun=Begun(record.started),
        )
        outcome = yield from watch(self, wait, seen, has_log=self.policy.has_log, meanwhile=self._remember_or_defer)
        yield from self._remember_what_shows(record, wait)
        return (yield from self._conclude(outcome))

    def _remember_what_shows(self, record: StartRecord, wait: Wait) -> Program[None]:
        """A reference may become more exact while it is waited for: a rerun has its execution."""
        if wait.last and wait.ref != record.ref:
            yield from self._remember(record, wait.last)

    def _remember_or_defer(self, wait: Wait) -> Program[None]:
        record = self._own_record()
        yield from self._remember_what_shows(record, wait)
        if self._may_defer and self.policy.approve and wait.last and wait.last.state is ExecutionState.WAITING:
            yield from self._ask(wait, wait.last)
        elif self._may_defer and (self.policy.is_known(wait.ref) or self.now > record.started + DURATIONS.settling):
            yield Defer(wait.ref, wait.deadline, wait.begun)
            # Answered only where the time left is too short for a deferral.
            self._may_defer = False

    def _ask(self, wait: Wait, waiting: Execution) -> Program[None]:
        """Its approval may show a moment later than that it waits for one."""
        if self._asks_by is None:
            self._asks_by = self.now + DURATIONS.settling
        is_patient = self.now < self._asks_by and GUESS not in waiting.ref
        try:
            yield Ask(waiting, wait.deadline, wait.begun, is_patient=is_patient)
        except ReleasePipelineError as error:
            yield Tell([warning(f"Cannot ask about the approval that {name_of(waiting.ref)} waits for: {error}")])

    def _take_answer(self, record: StartRecord, event: Any) -> Program[Outcome | None]:
        """A system that cannot take the decision now is waited for, as a look that fails is."""
        pace, end, deadline = Pace(), self.now + DURATIONS.error_budget, self._deadline(record)
        while True:
            try:
                outcome: Outcome | None = yield TakeAnswer(event)
                return outcome
            except (ServerUnavailableError, ThrottledError) as error:
                pace.note(error)
                pause = pace.pause(self.policy.poll_interval)
                if deadline is not None and self.now + pause >= deadline:
                    # What has no time left is canceled, whatever people have decided.
                    return None
                if self.now + pause >= end:
                    raise
                yield Tell([warning(f"The decision is not sent yet, trying again in {pause:.0f} s: {error}")])
            yield Pause(pause)

    def _conclude(self, outcome: Outcome) -> Program[dict[str, Any]]:
        record = self._own_record()
        if outcome.ending is Ending.DEADLINE:
            outcome = yield from self._end_at_deadline(record, outcome)
        state = outcome.execution["state"] if outcome.execution else ""
        if outcome.ending is Ending.FINISHED:
            record.phase = Phase.ENDED
            record.end = End(state)
            record.ref = (outcome.execution or {}).get("ref") or record.ref
            yield from self._save(record)
            yield from self._end_late_doubles(record)
        if state == ExecutionState.CANCELED and self.policy.on_canceled == "fail":
            self.is_final = True
        result = result_of(outcome, self.policy.system)
        self._to(State.SUCCEEDED)
        return result

    def _end_at_deadline(self, record: StartRecord, outcome: Outcome) -> Program[Outcome]:
        """One last look, then cancel. Returns the outcome of an execution that ended just in time."""
        self._to(State.CANCELING)
        ref = outcome.execution["ref"] if outcome.execution else record.ref or {}
        last = Wait(ref, self.policy.poll_interval)
        summary = f"{name_of(ref)} is not finished within {self.policy.timeout or 0:g} s"
        try:
            if ended := last.saw((yield Observe(ref)), self.now):
                return ended
            ref = last.ref
        except ReleasePipelineError as error:
            yield Tell([warning(f"The last look failed: {error}")])
        if last.last and last.last.message:
            summary += f" ({last.last.message})"
        if GUESS in (record.ref or {}):
            raise self._error(
                ExecutionTimeout, f"{summary}; it was only guessed to be this task's, so it was not canceled"
            )
        record.phase, record.ref = Phase.ENDING, ref
        yield from self._save(record)
        if last.last and not self.policy.needs_cancel(last.last):
            raise self._error(ExecutionTimeout, f"{summary}; it is being canceled already, or has stopped")
        seconds = DURATIONS.deadline_cancel_limit if self.policy.is_known(ref) else 0.0
        problem = yield from cancel(self, ref, f"canceled by Airflow: {summary}", seconds)
        yield from self._end_late_doubles(record)
        if problem:
            raise self._error(ExecutionTimeout, f"{summary}, and it could not be canceled: {problem}")
        raise self._error(ExecutionTimeout, f"{summary}; canceled it")

    # Inside

    def _note_end(self, record: StartRecord, seen: Execution | None) -> Program[None]:
        if seen is not None:
            record.phase, record.end, record.ref = Phase.ENDED, End(seen.state.value), seen.ref
            yield from self._save(record)

    def _save(self, record: StartRecord) -> Program[None]:
        record.attempt = self.attempt
        self.record = record
        yield Save(record)

    def _own_record(self) -> StartRecord:
        if self.record is None:
            raise self._error(
                ConflictError, "what this task had written about its start is gone from Airflow's task state store"
            )
        if self.record.system != self.policy.system:
            raise self._error(
                ConflictError, f"this task's operator was replaced while it waited: {self.record.name} is left alone"
            )
        return self.record

    def _deadline(self, record: StartRecord) -> float | None:
        return None if self.policy.timeout is None else record.started + self.policy.timeout

    def _to(self, state: State) -> None:
        if (self.state, state) not in MOVES:
            raise AssertionError(f"no such move: {self.state} to {state}")
        self._on_move(self.state, state)
        self.state = state

    def _error(self, cls: type[ReleasePipelineError], summary: str) -> ReleasePipelineError:
        return cls(summary, call=Call(system=self.policy.system))


class _Failing:
    """Whatever error ends a program, its attempt has failed."""

    def __init__(self, start: Start) -> None:
        self._start = start

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ReleasePipelineError):
            self._start._to(State.FAILED)


def _not_found(record: StartRecord) -> Tell:
    text = f"{record.name} was not found: starting another; end the first one manually should it begin yet"
    return Tell([warning(text)])


def _is_under_way(outcome: Outcome) -> bool:
    """Whether a wait has ended although the execution goes on: it waits for an approval now, or does so no longer."""
    state = outcome.execution["state"] if outcome.execution else ExecutionState.UNKNOWN
    return outcome.ending is Ending.FINISHED and not ExecutionState(state).is_terminal


def _is_moving(execution: Execution) -> bool:
    """Whether it is still on its way to an end, such as one that is being canceled."""
    return not execution.state.is_terminal and execution.state is not ExecutionState.PAUSED
