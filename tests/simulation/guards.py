"""The guards of the core and of who carries it out: without each, a life of the simulation must go wrong.

A guard is a piece of source text and its replacement, so that this list cannot outlive the guards: if the text is not
found, removing it fails. ``mutations.py`` removes them.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.simulation.plan import Plan

OF_BOTH = ("Common", "generation", "waiting")
"""Parts of the places of guards that concern lives of all kinds."""
KINDS = {
    "acting": ("act",),
    "notes": ("answer", "release answer", "trigger"),
    "answering": ("answer",),
    "releasing": ("release answer",),
    "triggering": ("trigger",),
    "while_asking": ("gate",),
    "decided_elsewhere": ("gate",),
    "Start._adopt": ("start", "gate"),
    "gates": ("gate",),
}
"""Parts of the places of guards that concern lives of some kinds only; anything else concerns starts."""
CORE, HERE = "airflow_provider.core", "tests.simulation"


class Change(NamedTuple):
    """One piece of source text.

    :param where: module and function.
    """

    where: str
    old: str
    new: str


class Guard(NamedTuple):
    """:param faults: those of issue 9 that return without it: numbers, comma-separated; empty: another fault would."""

    name: str
    faults: str
    changes: tuple[Change, ...]

    def concerns(self, plan: Plan) -> bool:
        """Whether its removal could show in a life: one of an act needs no guards of starts, and vice versa."""
        where = [change.where for change in self.changes]
        if any(part in each for part in OF_BOTH for each in where):
            return True
        if any("pushing" in each for each in where):
            return bool(plan.policy["callback"])
        kinds = next((kinds for part, kinds in KINDS.items() if any(part in each for each in where)), ("start",))
        return plan.kind in kinds


def _core(name: str, faults: str, where: str, old: str, new: str) -> Guard:
    return Guard(name, faults, (Change(f"{CORE}.{where}", old, new),))


def _act(name: str, method: str, old: str, new: str) -> Guard:
    return Guard(name, "3", (Change(f"{CORE}.acting:Acting.{method}", old, new),))


def _notes(name: str, old: str, new: str) -> Guard:
    return Guard(name, "6", (Change(f"{CORE}.notes:recall", old, new),))


def _carrier(name: str, faults: str, where: str, old: str, new: str) -> Guard:
    return Guard(name, faults, (Change(f"{HERE}.{where}", old, new),))


GUARDS = (
    # Whose execution is it?
    Guard(
        "a record, a reference and an intent name the system that they belong to",
        "1",
        (
            Change(
                f"{CORE}.starting:Start._adopt_or_start",
                "if record.place and record.place != self.policy.place",
                "if False",
            ),
            Change(f"{HERE}.server:Server.check_place", "and there != self.place", "and False"),
        ),
    ),
    _core("what has no marker is a guess", "2", "searching:choose", "chosen = guessed(found[0])", "chosen = found[0]"),
    _core("of several candidates none is taken", "2", "searching:choose", "elif len(found) > 1:", "elif False:"),
    _core(
        "a wait keeps the mark of a guess",
        "2",
        "waiting:Wait.update",
        "if GUESS in self.ref and GUESS not in seen.ref:",
        "if False:",
    ),
    _core("no way of canceling cancels a guess", "2", "canceling:cancel", "if GUESS in ref:", "if False:"),
    _core("a guess is not canceled after a clear", "2", "cleanup:let_end", "if GUESS in ref:", "if False:"),
    _core(
        "a guess that failed is not continued",
        "2",
        "sending:start_anew",
        "and GUESS not in (before.ref or {})",
        "and True",
    ),
    _core(
        "an execution that failed on another system is not continued",
        "1",
        "sending:start_anew",
        'before.place in ("", progress.policy.place)',
        "True",
    ),
    _carrier(
        "only this task's own failed execution is continued",
        "2, 3",
        "characters:OneAtATime._before",
        'is_own = bool(failed and newest and failed["id"] == newest[0].id)',
        "is_own = failed is not None",
    ),
    Guard(
        "a start that a worker's clock timed is searched for with minutes of tolerance",
        "4",
        (
            Change(
                "airflow_provider.clients.waitable:start_window",
                'DURATIONS.same_clock if intent.get("clock") == "vendor" else DURATIONS.clock_tolerance',
                "DURATIONS.same_clock",
            ),
        ),
    ),
    Guard(
        "what began long after a start was saved is not its own",
        "2",
        (
            Change(
                "airflow_provider.clients.waitable:start_window",
                "since + held + DURATIONS.start_window + tolerance",
                "since + 86400.0",
            ),
        ),
    ),
    Guard(
        "a start that was held back is searched for by the time it was sent",
        "2, 7",
        (
            Change(
                "airflow_provider.clients.waitable:start_window",
                "since + held + DURATIONS.start_window + tolerance",
                "since + DURATIONS.start_window + tolerance",
            ),
        ),
    ),
    _core(
        "an attempt that dies while the system accepts no start has started nothing",
        "2",
        "sending:send_until_accepted",
        "record.sends = 0",
        "pass",
    ),
    _carrier(
        "what was known before a build is not its own",
        "2",
        "characters:Window._find",
        'each.id not in intent["known"] and ',
        "",
    ),
    _carrier(
        "what was known before a release is not its own",
        "2",
        "characters:OneAtATime._find",
        'int(each.id) > int(intent["newest"]) and ',
        "",
    ),
    _carrier(
        "what was known before a rerun is not its own",
        "4",
        "characters:Rerun._find",
        'if each.id not in intent["known"]',
        "if True",
    ),
    # Is it the same start?
    _core(
        "the intent is saved before the start",
        "",
        "sending:send_until_accepted",
        "yield from progress.save(record)\n",
        "progress.record = record\n",
    ),
    _core(
        "a retry with other arguments says that it continues with the earlier ones",
        "",
        "starting:Start._adopt",
        "if record.asked and record.asked != self.policy.asked:",
        "if False:",
    ),
    _core(
        "a start without an answer is searched for by the next attempt",
        "",
        "starting:Start._adopt",
        "found = yield from search_again(self, record)",
        "found = []",
    ),
    _core(
        "a start without an answer is searched for at once",
        "",
        "sending:send_until_accepted",
        "if problem.effect.is_open or (may_be_there and searches == 0):",
        "if False:",
    ),
    _core(
        "a start without an answer is searched for after a pause",
        "7",
        "sending:send_until_accepted",
        "if found := (yield from search_after_pause(progress, record)):",
        "if False:",
    ),
    _core(
        "what may have been cleared does not belong to the next start",
        "6",
        "starting:Start._adopt_or_start",
        "if related is Relation.AMBIGUOUS:",
        "if False:",
    ),
    _core(
        "nothing is sent again in the same attempt after a time-out",
        "7",
        "sending:send_until_accepted",
        "if problem.effect is Effect.UNKNOWN and searches < MOST_SENDS:",
        "if problem.effect.is_open and searches < MOST_SENDS:",
    ),
    _core(
        "patience counts from the last request",
        "7",
        "searching:patience_with_earlier_attempt",
        "sent = record.sent or record.started",
        "sent = record.started",
    ),
    _core(
        "of two that one marker shows, one that has succeeded comes before one that has failed",
        "7",
        "searching:_worst_last",
        "return 1 if found.state is ExecutionState.SUCCEEDED else 2",
        "return 1",
    ),
    _core(
        "an end that may be revoked is polled again",
        "",
        "searching:settled",
        "if seen is None or not seen.state.is_terminal or not (pause := progress.policy.settling_of(seen)):",
        "if True:",
    ),
    _carrier(
        "what was just started counts as seen unfinished",
        "",
        "starting:StartCarrier._send",
        "self.client.note_unfinished(self.worker, execution.ref)",
        "pass",
    ),
    _carrier(
        "what a worker leaves to the triggerer counts as seen unfinished",
        "",
        "triggerers:TriggerRun.__init__",
        "self.client.note_unfinished(self, trigger.ref)",
        "pass",
    ),
    _core(
        "a gateway that does not find the system says nothing about what was started",
        "",
        "waiting:is_the_systems_own",
        "return error.effect is Effect.REFUSED",
        "return True",
    ),
    _core(
        "patience with a start grows with the duration of its request",
        "7",
        "searching:patience_with_earlier_attempt",
        "(1.0 + DURATIONS.settling_per_second) * policy.request_timeout",
        "0.0",
    ),
    _core(
        "patience counts from when the last search began",
        "7",
        "searching:search",
        "if asked + pause > until:",
        "if progress.now + pause > until:",
    ),
    _core(
        "what an earlier request may lead to has the same marker",
        "7",
        "sending:start_anew",
        'before.marker if may_be_there and before and before.marker else intent["marker"]',
        'intent["marker"]',
    ),
    _core(
        "where a marker shows two, one is ended",
        "7",
        "doubles:end_doubles",
        "for double in found:",
        "for double in found[:0]:",
    ),
    _core(
        "after a start that may come late, a double is searched for at the end",
        "7",
        "concluding:end_record",
        "yield from end_late_doubles(progress, record)",
        "pass",
    ),
    _core(
        "after a start that may come late, a double is searched for at the deadline",
        "7",
        "concluding:end_at_deadline",
        "yield from end_late_doubles(progress, record)",
        "pass",
    ),
    _core(
        "starts without an answer are remembered over later starts",
        "7",
        "sending:start_anew",
        "unanswered=unanswered_starts(progress, before or cleared, marker)",
        "unanswered=[]",
    ),
    _core(
        "what a start without an answer has led to ends before another start",
        "7",
        "sending:end_late_starts",
        "yield from end_late_doubles(progress, record)",
        "[]",
    ),
    _core(
        "nothing is started beside a late start that cannot be canceled",
        "7, 12",
        "sending:end_late_starts",
        "if left and earlier and not progress.was_resolved(earlier):",
        "if False:",
    ),
    _core(
        "a start waits for a busy system",
        "22",
        "sending:pause_before_another_send",
        "if policy.is_busy(error):",
        "if False:",
    ),
    _core(
        "the record is forgotten only if certainly nothing was started",
        "",
        "sending:send_until_accepted",
        "if not may_be_there:",
        "if True:",
    ),
    _core(
        "a clear shows in max_tries",
        "6",
        "generation:relation",
        "if now.max_tries != last.max_tries:",
        "if False:",
    ),
    _core(
        "a try beyond max_tries may be a clear",
        "6",
        "generation:relation",
        "if now.try_number > now.max_tries + 1:",
        "if False:",
    ),
    _core(
        "a clear shows in clear_number",
        "6",
        "generation:relation",
        "if last.clear_number in (now.clear_number, -1):",
        "if True:",
    ),
    _core(
        "after a success, numbers that look alike are ambiguous",
        "6",
        "generation:relation",
        "return Relation.AMBIGUOUS if had_succeeded and would_look_alike else Relation.SAME",
        "return Relation.SAME",
    ),
    _core(
        "what is ambiguous fails loudly",
        "6",
        "starting:Start._adopt",
        "if related is Relation.AMBIGUOUS:",
        "if False:",
    ),
    _core(
        "a clear after an escalation counts as its answer",
        "6",
        "generation:was_resolved",
        "if escalated_by is None:",
        "if True:",
    ),
    _core(
        "a record of a replaced operator is left alone",
        "9",
        "starting:Start._adopt_or_start",
        "if record and record.system != self.policy.system:",
        "if False:",
    ),
    _carrier(
        "an attempt asks Airflow before it sends",
        "8",
        "carrying_out:CommonCarrier.require_standing",
        "yield from self._write_guard()",
        "pass",
    ),
    _carrier(
        "an attempt that was ended sends nothing",
        "8",
        "carrying_out:CommonCarrier.require_standing",
        "if state in OVER:",
        "if False:",
    ),
    _carrier(
        "an attempt that got SIGTERM sends nothing",
        "8",
        "starting:StartCarrier.require_standing",
        "if self.worker.is_terminating:",
        "if False:",
    ),
    # Who ended it?
    _core(
        "after a clear, what was started before ends first",
        "12",
        "starting:Start._adopt_or_start",
        "yield from end_cleared(self, record)",
        "self.enter(State.PREPARING)",
    ),
    _core(
        "after a clear, a start without an answer is searched for",
        "12",
        "cleanup:end_cleared",
        "yield from find_cleared(progress, record)",
        "progress.enter(State.SEARCHING)",
    ),
    _core(
        "what may have been started without a marker before a clear is named",
        "2, 12",
        "cleanup:find_cleared",
        "if found and not progress.was_resolved(record):",
        "if False:",
    ),
    _core(
        "nothing is started beside what cannot be canceled",
        "12",
        "cleanup:let_end",
        "            break\n        grace",
        "            progress.enter(State.PREPARING)\n            return\n        grace",
    ),
    _core(
        "what is paused may need a cancel",
        "12",
        "cleanup:let_end",
        "is_over = seen is None or not progress.is_unfinished(seen)",
        'is_over = seen is None or seen.state.is_terminal or seen.state.value == "paused"',
    ),
    _core(
        "what was to be canceled is not adopted",
        "13",
        "starting:Start._adopt",
        "if record.phase is Phase.ENDING:",
        "if False:",
    ),
    _carrier(
        "an attempt that cancels on its way out saves that",
        "13",
        "starting:StartCarrier._note_ending",
        "if record := self.start.record:",
        "if False:",
    ),
    _core(
        "a worker that was frozen cancels nothing",
        "14",
        "canceling:judge_worker_kill",
        "if state in ENDED_FROM_OUTSIDE and frozen_for >= min(DURATIONS.frozen, given_up_after / 2):",
        "if False:",
    ),
    _core(
        "an attempt that another one has replaced cancels nothing",
        "14",
        "canceling:judge_worker_kill",
        "if is_stale and state in ENDED - {GONE}:",
        "if False:",
    ),
    _core(
        "a worker cancels what a person ended",
        "15",
        "canceling:judge_worker_kill",
        "if state in ENDED_FROM_OUTSIDE:",
        "if False:",
    ),
    _core(
        "a drained worker cancels nothing",
        "",
        "canceling:judge_worker_kill",
        'return Verdict.LEAVE, "no person',
        'return Verdict.CANCEL, "no person',
    ),
    _core(
        "a trigger leaves a resumed task to its worker",
        "14",
        "canceling:judge_trigger_kill",
        "if seen.waits_as == RESUMED + marker:",
        "if False:",
    ),
    _core(
        "a trigger that moved cancels nothing",
        "14",
        "canceling:judge_trigger_kill",
        "if seen.waits_as in (None, marker):",
        "if False:",
    ),
    _core(
        "a trigger cancels what a person cleared: the XCom of its start is gone",
        "14, 15",
        "canceling:judge_trigger_kill",
        "if not is_ours:",
        "if False:",
    ),
    _core(
        "a triggerer that stalled cancels nothing",
        "14",
        "canceling:judge_trigger_kill",
        "if frozen_for >= min(DURATIONS.stalled, given_up_after / 1.5):",
        "if False:",
    ),
    _core(
        "a trigger of a task that is about to resume cancels nothing",
        "14",
        "canceling:judge_trigger_kill",
        '    return Verdict.LEAVE, f"the task is {seen.state}: its next attempt takes care of the execution"',
        '    return Verdict.CANCEL, f"the task is {seen.state}: its next attempt takes care of the execution"',
    ),
    _core(
        "a trigger cancels what a person ended",
        "15",
        "canceling:judge_trigger_kill",
        "if seen.state in ENDED_FROM_OUTSIDE:",
        "if False:",
    ),
    _core(
        "what a colleague canceled is not started again",
        "16",
        "starting:Start._respect_decision",
        'if record.end is End.CANCELED and self.policy.on_canceled == "fail":',
        "if False:",
    ),
    _core(
        "the attempt that sees it canceled is the last",
        "16",
        "starting:Start._conclude",
        'if state == ExecutionState.CANCELED and self.policy.on_canceled == "fail":',
        "if False:",
    ),
    _core(
        "what leads nowhere is not canceled for a minute",
        "17",
        "concluding:end_at_deadline",
        "DURATIONS.deadline_cancel_limit if policy.is_known(ref) else 0.0",
        "DURATIONS.deadline_cancel_limit",
    ),
    # Who carries it out
    _carrier(
        "what is started while its task is ended is canceled at once",
        "",
        "starting:StartCarrier._send",
        "if self.is_canceling:",
        "if False:",
    ),
    _carrier(
        "an attempt that finds out by itself that it is over cancels as after SIGTERM",
        "15",
        "workers:Worker._run",
        "if self.carrier and not self.carrier.has_judged:",
        "if False:",
    ),
    _carrier(
        "an attempt asks before it defers",
        "15",
        "starting:StartCarrier._defer",
        "yield from self.require_standing()",
        "pass",
    ),
    _carrier(
        "an event of another wait is not one of its own",
        "",
        "workers:Worker._attempt",
        "if self._is_of_another_wait(argument):",
        "if False:",
    ),
    _carrier(
        "a resumed process says that it is responsible for the execution",
        "14",
        "starting:StartCarrier.take_responsibility",
        "yield from self.airflow.push(self.worker, MARKER_XCOM, RESUMED + record.marker)",
        "yield 0.0",
    ),
    # Acts
    _act(
        "an act saves what it acts on before it is sent",
        "execute",
        "yield Save(record)\n            seen = yield from self._act(record, seen)",
        "seen = yield from self._act(record, seen)",
    ),
    _act(
        "an act saves what it is about even if its effect already shows",
        "execute",
        "if not record.is_taken:",
        "if not record.is_taken and not self.policy.shows_effect(seen):",
    ),
    _act("an act that was accepted is not sent again", "execute", "if not record.is_taken:", "if True:"),
    _act("a retry of an act is about the same execution", "_own_record", "if related is Relation.CLEARED:", "if True:"),
    _act("after a clear an act acts anew", "_own_record", "if related is Relation.CLEARED:", "if False:"),
    _act("an act that may be of before a clear fails loudly", "_own_record", "is Relation.AMBIGUOUS:", "is None:"),
    _act(
        "after a success of an act, numbers that look alike are ambiguous",
        "_own_record",
        "had_succeeded=record.is_done",
        "had_succeeded=False",
    ),
    _carrier(
        "an act asks Airflow before it is sent",
        "3, 8",
        "acting:ActCarrier._act",
        "yield from self.require_standing()",
        "pass",
    ),
    # Answers to approvals
    _notes("after a clear an answer is sent anew", "if related is Relation.CLEARED:", "if False:"),
    _notes("a retry of an answer is about the same approval", "if related is Relation.CLEARED:", "if True:"),
    _notes("an answer that may be of before a clear fails loudly", "if related is Relation.AMBIGUOUS:", "if False:"),
    _notes(
        "after a success of an answer, numbers that look alike are ambiguous",
        "had_succeeded=stored.is_done",
        "had_succeeded=False",
    ),
    _notes("an answer goes to the system that it was meant for", 'if stored.place not in ("", place):', "if False:"),
    _carrier(
        "an answer is noted before it is sent",
        "6",
        "answering:AnswerCarrier.answer",
        "yield from self._note(notes)",
        "pass",
    ),
    _carrier(
        "an answer asks Airflow before it is sent",
        "8",
        "answering:AnswerCarrier._answer",
        "yield from self.require_standing()",
        "pass",
    ),
    # Answers to approvals of a release
    _carrier(
        "an answer to a release is noted before it is sent",
        "18",
        "releasing:ReleaseCarrier._note_and_send",
        "yield from self._note(notes)\n    yield from self._send",
        "yield from self._send",
    ),
    _carrier(
        "an answer that a release has taken is not sent again",
        "18",
        "releasing:ReleaseCarrier._answer_once",
        'if notes.get("is_taken"):',
        "if False:",
    ),
    _carrier(
        "an answer is not sent to a younger release",
        "18",
        "releasing:ReleaseCarrier._answer_once",
        "if (yield from self._is_waiting_for(notes)) is not False:",
        "if True:",
    ),
    _carrier(
        "what somebody else has answered is not taken for an answer of ours",
        "18",
        "releasing:ReleaseCarrier._answer_once",
        "yield from self._check_decision(notes)",
        "pass",
    ),
    _carrier(
        "what somebody else has answered at a gate is not taken for an answer of ours",
        "18",
        "gates:GateCarrier._is_decided_by_name",
        "if shown != decision:",
        "if False:",
    ),
    _carrier(
        "an answer that was certainly not taken is forgotten",
        "18",
        "releasing:ReleaseCarrier._answer_now",
        "if not error.effect.is_open:",
        "if False:",
    ),
    _carrier(
        "a refusal of a second answer does not mean that the first one was refused",
        "",
        "releasing:ReleaseCarrier._answer_once",
        "yield from self._note_and_send(notes)",
        "yield from self._answer_now(notes)",
    ),
    _carrier(
        "an answer that is still waited for was not taken",
        "",
        "releasing:ReleaseCarrier._answer_once",
        "if (yield from self._is_waiting_for(notes)):",
        "if False:",
    ),
    _carrier(
        "an answer that seemed to be taken is checked once the release goes on",
        "",
        "releasing:ReleaseCarrier._wait_until_taken",
        "if self._is_inferred:",
        "if False:",
    ),
    _carrier(
        "a poll that fails after an answer does not mean that it was refused",
        "18",
        "releasing:ReleaseCarrier._send",
        "not (yield from self._was_taken(notes))",
        "(yield from self._is_waiting_for(notes)) is not False",
    ),
    _carrier(
        "an answer to a release asks Airflow before it is sent",
        "8",
        "releasing:ReleaseCarrier._send",
        "yield from self.require_standing()",
        "pass",
    ),
    # Triggers by hand
    _carrier(
        "a trigger is noted before it is sent",
        "6",
        "triggering:TriggerCarrier.answer",
        "yield from self._note(notes)",
        "pass",
    ),
    _carrier(
        "a retry of a trigger searches for its result, and sends nothing",
        "6",
        "triggering:TriggerCarrier.answer",
        "if notes:",
        "if False:",
    ),
    _carrier(
        "the result of a trigger without an answer is searched for",
        "6",
        "triggering:TriggerCarrier._trigger",
        "if not error.effect.is_open:",
        "if True:",
    ),
    _carrier(
        "a trigger asks Airflow before it is sent",
        "8",
        "triggering:TriggerCarrier._trigger",
        "yield from self.require_standing()",
        "pass",
    ),
    # Waits
    _carrier(
        "nothing is deferred that could not resume before its deadline",
        "23",
        "carrying_out:CommonCarrier._defer",
        "if command.deadline is not None and judged_at + NOTICED >= command.deadline:",
        "if False:",
    ),
    _core("a wait ends at its deadline", "23", "waiting:Wait._is_late", "now >= self.deadline", "False"),
    # Pushes
    _carrier(
        "a push ends no wait that something else has ended",
        "",
        "pushing:Pushes._end_wait",
        'if task.trigger is not trigger or task.state != "deferred":',
        "if False:",
    ),
    _carrier(
        "a push ends no wait because of an end that may be revoked",
        "",
        "pushing:Pushes._finished",
        " or self.server.settling_of(seen)",
        "",
    ),
    _carrier(
        "a push ends no wait before Airflow has noticed the end of the process that has deferred",
        "23",
        "pushing:Pushes._end_wait",
        "if not is_finished and self.world.now - since < NOTICED:",
        "if False:",
    ),
    # People who answer
    _core(
        "an answer cancels nothing, however late the triggerer learns of it",
        "",
        "canceling:judge_kill_while_asking",
        "if is_there and (is_moved or seen.waits_as is None):",
        "if False:",
    ),
    _carrier(
        "an event of the trigger of an earlier question says nothing about the next one",
        "",
        "gates:GateCarrier._take",
        "if is_of_another(event, self._name_of(question)):",
        "if False:",
    ),
    _carrier(
        "a trigger closes no question but its own",
        "",
        "gates:GateTriggerRun._close",
        "if asked_now not in (None, self.trigger.asked_as):",
        "if False:",
    ),
    _carrier(
        "an answer goes to no other gate than the one that people were asked about",
        "18",
        "gates:GateCarrier._answer",
        'raise ConflictError(f"{job} has probably passed gate {number}", call=CALL) from None',
        "yield from self._answer(execution_id, int(job.open_gate or 0), decision, sends)",
    ),
    _carrier(
        "nobody is asked about what is only a guess", "", "gates:GateCarrier._find", "if GUESS in ref:", "if False:"
    ),
    _carrier(
        "what is decided already is not answered again",
        "",
        "gates:GateCarrier._is_decided",
        "return bool(status == decision)",
        "return False",
    ),
    _carrier(
        "an execution that has failed and may be rolled back is no approval of its gate",
        "",
        "gates:GateTrigger._closed_when",
        "({ExecutionState.RUNNING} if has_own else set())",
        "set()",
    ),
    _carrier(
        "what people have rejected is not started again",
        "",
        "gates:GateCarrier._is_rejected",
        "return GateQuestion.from_json(self.worker.task.store.get(GATES_KEY), marker).is_rejected",
        "return False",
    ),
    _core(
        "an execution that is running when time is up was not approved by that",
        "",
        "approving:decided_elsewhere",
        "outcome.ending is not Ending.FINISHED or ",
        "",
    ),
    _core(
        "what people have rejected is not started again after it was given up",
        "",
        "starting:Start._adopt",
        "if related is Relation.SAME:\n            self._respect_decision",
        "if False:\n            self._respect_decision",
    ),
)
