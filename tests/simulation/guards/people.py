"""Questions to people about the gates of an execution."""

from __future__ import annotations

from tests.simulation.guards.guard import carrier, core

GUARDS = (
    core(
        "an answer cancels nothing, however late the triggerer learns of it",
        "",
        "canceling:judge_kill_while_asking",
        "if is_there and (is_moved or seen.waits_as is None):",
        "if False:",
    ),
    carrier(
        "an event of the trigger of an earlier question says nothing about the next one",
        "",
        "gates:GateCarrier._take",
        "if is_of_another(event, self._name_of(question)):",
        "if False:",
    ),
    carrier(
        "a trigger closes no question but its own",
        "",
        "question_runs:QuestionRun._close",
        "if asked_now not in (None, self.trigger.asked_as):",
        "if False:",
    ),
    carrier(
        "an answer goes to no other gate than the one that people were asked about",
        "18",
        "gates:GateCarrier._answer",
        'raise ConflictError(f"{job} has probably passed gate {number}", call=CALL) from None',
        "yield from self._answer(execution_id, int(job.open_gate or 0), decision, sends)",
    ),
    carrier(
        "nobody is asked about what is only a guess", "", "gates:GateCarrier._find", "if GUESS in ref:", "if False:"
    ),
    carrier(
        "what is decided already is not answered again",
        "",
        "gates:GateCarrier._is_decided",
        "return bool(status == decision)",
        "return False",
    ),
    carrier(
        "an execution that has failed and may be rolled back is no approval of its gate",
        "",
        "gates:GateTrigger._closed_when",
        "({ExecutionState.RUNNING} if has_own else set())",
        "set()",
    ),
    carrier(
        "what people have rejected is not started again",
        "",
        "gates:GateCarrier._is_rejected",
        "return GateQuestion.from_json(self.worker.task.store.get(GATES_KEY), marker).is_rejected",
        "return False",
    ),
    core(
        "an execution that is running when time is up was not approved by that",
        "",
        "approving:decided_elsewhere",
        "outcome.ending is not Ending.FINISHED or ",
        "",
    ),
    core(
        "what people have rejected is not started again after it was given up",
        "",
        "starting:Start._adopt",
        "yield from let_end(self, record)\n        self._respect_decision(record)",
        "yield from let_end(self, record)",
    ),
)
