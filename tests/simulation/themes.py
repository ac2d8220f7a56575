"""Themes of lives: coincidences that chance alone would hardly produce, such as a clear just after a crash.

A theme sets the scene with some incidents; chance adds others to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.plan import Plan

Theme = Callable[["Plan", random.Random], None]


def late_start(plan: Plan, chance: random.Random) -> None:
    """A start takes effect long after its time-out."""
    plan.retries = chance.randrange(1, 4)
    plan.retry_delay = chance.choice((0.0, 30.0))
    kind = chance.choice(("time-out before effect", "gateway before effect"))
    value = chance.choice((chance.uniform(0.0, 0.2), chance.uniform(0.0, 0.6)))
    _answer(plan, kind, "send", value)
    if chance.random() < 0.4:
        other = chance.choice(("refused", "throttled", "unreachable", kind))
        _answer(plan, other, "send", value if other == kind else 400.0 * value, nth=2)
    if chance.random() < 0.4:
        _add(plan, "kill process", chance.choice(("send after", "send within", "find within")), after=chance.random())
    if chance.random() < 0.4:
        plan.policy["timeout"], plan.policy["wait_for_completion"] = 400.0, True
        plan.outcomes = [(each[0], 900.0) for each in plan.outcomes]
    if chance.random() < 0.3:
        _add(plan, "clear", chance.choice(("state up_for_retry", "find within", "state failed")))


def both_late(plan: Plan, chance: random.Random) -> None:
    """Two starts take effect while no attempt is running: the first execution fails, the second one succeeds."""
    plan.character, plan.retries, plan.retry_delay = "marked", 3, 100.0
    plan.policy |= {"timeout": None, "wait_for_completion": True}
    plan.outcomes = [("failed", chance.uniform(1, 20)), ("succeeded", chance.uniform(1, 20)), *plan.outcomes]
    _answer(plan, "time-out before effect", "send", chance.uniform(0.56, 0.62))
    _answer(plan, "time-out before effect", "send", chance.uniform(0.14, 0.18), nth=2)


def late_and_not_canceled(plan: Plan, chance: random.Random) -> None:
    """After a clear, the next start fails; meanwhile the one before has begun, and cannot be canceled."""
    plan.character, plan.retries, plan.retry_delay = "marked", 3, 30.0
    plan.policy |= {"timeout": None, "wait_for_completion": True, "cancel_on_kill": True}
    plan.outcomes = [("failed", chance.uniform(60, 200)), ("succeeded", 900.0), *plan.outcomes]
    _answer(plan, "time-out before effect", "send", chance.uniform(0.2, 0.6))
    _add(plan, "clear", chance.choice(("state up_for_retry", "find within")))
    _add(plan, "no cancel", "")


def held_back(plan: Plan, chance: random.Random) -> None:
    """The system accepts no start for minutes, and something happens during that time or to the request after it."""
    plan.character = chance.choice(("marked", "one at a time", "window", "window", "rerun"))
    plan.retries, plan.retry_delay = max(1, plan.retries), 0.0
    plan.policy["timeout"] = None
    way = chance.random()
    is_first_lost = way < 0.3
    if is_first_lost:
        _answer(plan, "lost before", "send", 0.0)
    last = 3 + is_first_lost
    for nth in (last - 2, last - 1):
        _answer(plan, "throttled", "send", chance.uniform(180.0, 295.0), nth=nth)
    if is_first_lost:
        _answer(plan, "lost after", "send", 0.0, nth=last)
    elif way < 0.6:
        _answer(plan, "time-out before effect", "send", chance.uniform(0.0, 1.0), nth=last)
        _add(plan, "kill process", "send before", nth=last, after=chance.uniform(0.1, 2.0))
    else:
        _add(plan, "colleague starts", "pause", after=chance.uniform(0.0, 60.0), value=1.0)
        _add(plan, "kill process", "pause", after=chance.uniform(60.0, 170.0))


def taken_back(plan: Plan, chance: random.Random) -> None:
    """An execution fails and is rolled back, which ends later, while the process that has seen it running is dead."""
    plan.character = chance.choice(("marked", "window"))
    plan.retries, plan.retry_delay = max(1, plan.retries), 0.0
    plan.outcomes = [("failed", chance.uniform(8, 60)) for _ in plan.outcomes]
    _add(plan, "taken back", "", value=chance.uniform(3.0, 4.5))
    on = chance.choice(("observe after", "publish", "state deferred"))
    kind = chance.choice(("kill process", "kill machine", "clear", "trigger crashes"))
    _add(plan, kind, on, after=chance.uniform(0, 30))


def no_route(plan: Plan, chance: random.Random) -> None:
    """A gateway does not find the system while another attempt searches for what was started."""
    plan.retries, plan.retry_delay = max(1, plan.retries), 0.0
    _add(plan, chance.choice(("kill process", "clear")), chance.choice(("publish", "observe after")), after=5.0)
    _add(plan, "gateway away", "state running", nth=2, value=chance.uniform(5, 60))


def pushed(plan: Plan, chance: random.Random) -> None:
    """The vendor reports the end of an execution while other things happen to the wait for it."""
    plan.character = chance.choice(("marked", "busy", "window"))
    plan.policy |= {"deferrable": True, "wait_for_completion": True}
    plan.outcomes = [(each[0], min(each[1], 120.0)) for each in plan.outcomes]
    _add(plan, "pushes", "")
    if chance.random() < 0.3:
        plan.retries, plan.retry_delay = max(1, plan.retries), 0.0
        plan.outcomes = [("failed", chance.uniform(12, 60)) for _ in plan.outcomes]
        _add(plan, "taken back", "", value=chance.uniform(1.0, 4.5))
    if chance.random() < 0.6:
        kinds = ("clear", "mark failed", "move trigger", "restart triggerer", "stall triggerer", "trigger crashes")
        on = chance.choice(("push", "push", "state deferred"))
        after = chance.choice((0.0, chance.uniform(0, 2), chance.uniform(0, 60)))
        _add(plan, chance.choice(kinds), on, nth=chance.randrange(1, 3), after=after, value=chance.uniform(5, 100))


def lost_answer(plan: Plan, chance: random.Random) -> None:
    """The sender of a start dies, or does not get its answer."""
    plan.retries = max(1, plan.retries)
    if chance.random() < 0.5:
        _answer(plan, chance.choice(("lost after", "lost before", "slow")), "send", 10.0)
    else:
        kind = chance.choice(("kill process", "kill machine", "freeze worker", "drain"))
        _add(plan, kind, f"send {chance.choice(('before', 'within', 'after'))}", value=chance.uniform(1, 500))
    if chance.random() < 0.2:
        # A person ends the task while its start is on the way, and the answer comes before SIGKILL does.
        _answer(plan, "slow", "send", chance.uniform(3.0, 9.0), nth=2)
        _add(plan, "mark failed", "send before", nth=2, after=chance.random())


def look_alike(plan: Plan, chance: random.Random) -> None:
    """A clear that Airflow's numbers hardly show."""
    plan.retries = chance.randrange(1, 3)
    lowered = plan.retries - 1 if chance.random() < 0.7 else chance.randrange(3)
    _add(plan, "deploy retries", "send after", value=float(lowered))
    plan.outcomes = [("succeeded", each[1] / 4) for each in plan.outcomes]
    state = chance.choice(("success", "success", "running", "deferred", "up_for_retry"))
    if state == "up_for_retry":
        plan.character, plan.policy["on_retry"] = "one at a time", "resume"
        plan.outcomes = [("failed", each[1]) for each in plan.outcomes]
    _add(plan, chance.choice(("clear", "clear without run", "clear another")), f"state {state}", after=chance.random())
    if chance.random() < 0.5:
        _add(plan, "clear", chance.choice(("state failed", "state up_for_retry")), after=chance.uniform(0, 5))
        _add(plan, chance.choice(("clear", "clear another")), "state failed", nth=2, after=chance.uniform(0, 5))


def dead_and_cleared(plan: Plan, chance: random.Random) -> None:
    """A worker dies, and a person clears before or after Airflow notices."""
    _add(plan, chance.choice(("kill machine", "kill process")), chance.choice(_ANYWHERE), after=chance.random())
    kind = chance.choice(("clear", "clear without run", "mark failed"))
    _add(plan, kind, _last(plan), after=chance.choice((chance.random(), chance.uniform(0, 400))))
    if chance.random() < 0.4:
        _add(plan, "clear", "state failed", after=chance.uniform(0, 5))


def other_scheduler(plan: Plan, chance: random.Random) -> None:
    """A scheduler dies, and the next one resets what it ran; perhaps something was also cleared."""
    if chance.random() < 0.6:
        plan.retries = 0
    value = chance.choice((chance.uniform(1, 40), chance.uniform(300, 330)))
    _add(plan, "scheduler restarts", chance.choice(_ANYWHERE), after=chance.uniform(0, 10), value=value)
    kind = chance.choice(("clear", "clear without run", "clear another", "mark failed", "deploy retries"))
    if chance.random() < 0.5:
        after = chance.choice((chance.uniform(0, 5), chance.uniform(0, 60)))
        _add(plan, kind, _last(plan), after=after)
    if chance.random() < 0.4:
        _add(plan, "clear", "state failed", after=chance.uniform(0, 5))


def taken_for_ours(plan: Plan, chance: random.Random) -> None:
    """An execution without a marker is somebody else's."""
    plan.character = chance.choice(("one at a time", "window", "rerun"))
    plan.retries = max(1, plan.retries)
    plan.policy["on_retry"] = chance.choice(("restart", "resume"))
    plan.outcomes = [(chance.choice(("succeeded", "failed")), each[1] / 3) for each in plan.outcomes]
    _add(plan, chance.choice(("twin", "mapped")), "")
    _answer(plan, chance.choice(("lost after", "lost before", "time-out")), "send", 0.0, nth=chance.randrange(1, 3))
    if chance.random() < 0.5:
        _add(plan, chance.choice(("clear", "mark failed")), chance.choice(_ANYWHERE), after=chance.uniform(0, 20))
    if chance.random() < 0.5:
        on = chance.choice(("send before", "send before", "start"))
        _add(plan, "colleague starts", on, nth=chance.randrange(1, 3) if on != "start" else 1, value=chance.random())
    if chance.random() < 0.3:
        # Only a worker's clock says when it began.
        _add(plan, "no vendor clock", "")
        _add(plan, "worker clocks", "", value=chance.choice((-1, 1)) * chance.uniform(5, 120))


def frozen(plan: Plan, chance: random.Random) -> None:
    """A worker is frozen, and its task continues elsewhere."""
    if chance.random() < 0.5:
        thawed(plan, chance)
        return
    on = chance.choice((*_ANYWHERE, "find within", "find after", "pause"))
    _add(plan, "freeze worker", on, value=chance.choice((chance.uniform(60, 320), chance.uniform(320, 900))))
    if chance.random() < 0.4:
        _answer(plan, chance.choice(("lost after", "time-out after effect")), "send", 0.0)
        _add(plan, "lists lag", "", value=chance.uniform(3, 12))
    if chance.random() < 0.4:
        plan.policy["wait_for_completion"] = False


def triggerers(plan: Plan, chance: random.Random) -> None:
    """A wait is taken over, and its first triggerer comes back."""
    plan.policy["deferrable"] = True
    plan.policy["wait_for_completion"] = True
    kind = chance.choice(("stall triggerer", "stall triggerer", "move trigger", "restart triggerer"))
    _add(plan, kind, "state deferred", after=chance.uniform(2, 60), value=chance.uniform(31, 200))
    _add(plan, "slow queue", "", value=chance.uniform(5, 300))
    if chance.random() < 0.6:
        kind = chance.choice(("trigger crashes", "deferral times out", "clear", "mark failed"))
        _add(plan, kind, "state deferred", after=chance.uniform(2, 120))
    if chance.random() < 0.4:
        _add(plan, "clear", "state running", nth=chance.randrange(2, 4), after=chance.uniform(0, 5))


def thawed(plan: Plan, chance: random.Random) -> None:
    """A worker that was frozen as it deferred, or resumed, returns while the next attempt's wait moves."""
    plan.retries, plan.retry_delay = max(1, plan.retries), 0.0
    plan.policy |= {"deferrable": True, "wait_for_completion": True, "timeout": None}
    plan.outcomes = [(each[0], each[1] + 900.0) for each in plan.outcomes]
    _add(plan, "freeze worker", chance.choice(("defer", "resume")), value=chance.uniform(320, 400))
    if chance.random() < 0.5:
        _add(plan, "deferral times out", "state deferred", after=chance.uniform(10, 60))
    kind = chance.choice(("move trigger", "restart triggerer"))
    _add(plan, kind, "state deferred", nth=chance.choice((1, 2)), after=chance.uniform(60, 500))


def not_canceled(plan: Plan, chance: random.Random) -> None:
    """A person ends the task, and its execution does not end."""
    _add(plan, chance.choice(("no cancel", "late cancel", "late cancel")), "", value=chance.uniform(1, 200))
    kind = chance.choice(("clear", "clear", "mark failed"))
    _add(plan, kind, chance.choice(_ANYWHERE), after=chance.uniform(0, 10))
    if chance.random() < 0.5:
        _add(plan, "colleague pauses", "state restarting", value=chance.random())
        _add(
            plan,
            "colleague pauses",
            f"incident {len(plan.incidents) - 2}",
            after=chance.uniform(0, 8),
            value=chance.random(),
        )
    if chance.random() < 0.5:
        _add(plan, "clear", "state failed", after=chance.uniform(0, 5))


def ended_by_time(plan: Plan, chance: random.Random) -> None:
    """Its time is up, and a retry follows."""
    plan.retries = max(1, plan.retries)
    plan.outcomes = [(each[0], each[1] + 60.0) for each in plan.outcomes]
    if chance.random() < 0.5:
        _add(plan, "execution_timeout", "observe after", nth=chance.randrange(1, 3), after=chance.uniform(0, 5))
    else:
        plan.policy["timeout"] = chance.choice((20.0, 90.0))
    kind = chance.choice(("kill process", "kill machine", "mark failed", "clear", "colleague cancels"))
    _add(plan, kind, chance.choice(("cancel before", "cancel within", "cancel after", "observe after")))


def canceled_by_colleague(plan: Plan, chance: random.Random) -> None:
    """Somebody cancels it in the vendor's own UI."""
    plan.retries = max(1, plan.retries)
    _add(plan, "colleague cancels", chance.choice(_ANYWHERE), after=chance.uniform(0, 20), value=chance.random())
    if chance.random() < 0.4:
        _add(plan, chance.choice(("kill process", "kill machine", "drain")), _last(plan), value=20.0)


def other_place(plan: Plan, chance: random.Random) -> None:
    """The connection or the operator is changed during a start or a wait."""
    plan.retries = max(1, plan.retries)
    if chance.random() < 0.2:
        # After a failure, its retry would continue a colleague's failed execution with the same number.
        plan.character, plan.policy["on_retry"] = "one at a time", "resume"
        plan.outcomes = [("failed", each[1] / 10) for each in plan.outcomes]
        _add(plan, "change connection", "state up_for_retry")
        return
    kind = chance.choice(("change connection", "change connection", "replace operator"))
    _add(plan, kind, chance.choice(_ANYWHERE), after=chance.uniform(0, 10))
    kind = chance.choice(("clear", "kill process", "kill machine", "deferral times out"))
    _add(plan, kind, _last(plan), after=chance.uniform(0, 10))
    for nth in (1, 2):
        _add(plan, "clear", "state failed", nth=nth, after=chance.uniform(0, 5))


def acting(plan: Plan, chance: random.Random) -> None:
    """A task acts on what others have started, which they start, pause and end at the same time."""
    plan.retries = max(plan.retries, int(chance.random() < 0.7))
    _add(plan, "colleague starts", "start", value=1.0)
    if plan.policy["action"] == "resume":
        _add(plan, "colleague pauses", "start", after=0.1, value=chance.random())
    elif chance.random() < 0.3:
        # What it is to cancel is being canceled already, and somebody starts the next one before that is over.
        _add(plan, "late cancel", "", value=chance.uniform(60, 300))
        _add(plan, "colleague cancels", "start", after=0.1)
        _add(plan, "colleague starts", "publish", after=chance.uniform(0, 10), value=1.0)
        _add(plan, chance.choice(("kill process", "kill machine", "clear")), "publish", after=chance.uniform(0, 10))
    if chance.random() < 0.6:
        kind = chance.choice(("kill process", "kill machine", "freeze worker", "drain", "scheduler restarts"))
        around = ("action before", "action within", "action after")
        on = chance.choice((*around, "save", "publish", "pause", "choose after"))
        _add(plan, kind, on, value=chance.uniform(1, 400))
    for _ in range(chance.randrange(3)):
        kind = chance.choice(("colleague cancels", "colleague resumes", "colleague pauses", "colleague starts"))
        on = chance.choice(("choose after", "action before", "action after", "pause", _last(plan)))
        _add(plan, kind, on, after=chance.choice((0.0, chance.uniform(0, 20))), value=chance.random())
    if chance.random() < 0.4:
        _answer(plan, chance.choice(("lost after", "lost before", "time-out after effect")), "action", 0.0)
    if chance.random() < 0.4:
        on = chance.choice(("state success", "state failed", "state up_for_retry", "action after", "pause"))
        _add(plan, chance.choice(("clear", "clear", "clear another", "clear without run")), on)


def answering(plan: Plan, chance: random.Random) -> None:
    """A task answers one approval of several, which colleagues also answer."""
    _requesting(plan, chance, "colleague answers")
    if plan.kind != "release answer":
        return
    for kind in ("two approvals", "asks without a name"):
        if chance.random() < 0.7:
            _add(plan, kind, "")
    if chance.random() < 0.3:
        # Its answer was taken, and another attempt finds its release waiting for the next one.
        kind = chance.choice(("kill process", "kill machine", "drain"))
        _add(plan, kind, chance.choice(("pause", "observe after")), nth=chance.randrange(1, 4), value=20.0)
    if chance.random() < 0.2:
        # Its answer was taken, and nothing can be seen of that.
        _answer(plan, "lost after", "action", 0.0)
        _answer(plan, chance.choice(("not found", "forbidden", "unauthorized")), "observe", 0.0)
    if chance.random() < 0.2:
        # Its answer is not sent, and a colleague answers before the retry, or when the vendor has refused that one's.
        _add(plan, "kill process", "action before")
        on = _last(plan)
        if chance.random() < 0.5:
            _answer(plan, "refused", "action", 0.0)
            on = "action within"
        _add(plan, "colleague answers", on, after=chance.uniform(0, 20), value=chance.random())
    if chance.random() < 0.3:
        # Its answer is refused, and a colleague gives it before the retry.
        _answer(plan, chance.choice(("refused", "forbidden", "throttled")), "action", 1.0)
        _add(plan, "colleague answers", "state up_for_retry", value=chance.random())


def triggering(plan: Plan, chance: random.Random) -> None:
    """A task triggers a change by hand, which colleagues also do."""
    _requesting(plan, chance, "colleague triggers")
    if chance.random() < 0.5:
        _add(plan, "lists lag", "", value=chance.uniform(1, 12))


def _requesting(plan: Plan, chance: random.Random, by_colleague: str) -> None:
    plan.retries = max(plan.retries, int(chance.random() < 0.7))
    where = ("choose after", "action before", "action within", "action after", "save", "observe after", "state running")
    if chance.random() < 0.7:
        kind = chance.choice(("kill process", "kill machine", "freeze worker", "drain", "scheduler restarts"))
        _add(plan, kind, chance.choice(where), nth=chance.randrange(1, 3), value=chance.uniform(1, 400))
    if chance.random() < 0.4:
        _answer(plan, chance.choice(("lost after", "lost before", "time-out after effect")), "action", 0.0)
    if chance.random() < 0.3:
        _add(plan, by_colleague, chance.choice(where), after=chance.uniform(0, 5), value=chance.random())
    if chance.random() < 0.3:
        _add(plan, "deploy retries", chance.choice(where), value=float(max(0, plan.retries - 1)))
    if chance.random() < 0.2:
        _add(plan, "change connection", chance.choice(where), after=chance.uniform(0, 5))
    for on in ("state success", "state failed"):
        if chance.random() < 0.5:
            kind = chance.choice(("clear", "clear", "clear another", "clear without run"))
            _add(plan, kind, on, after=chance.choice((0.0, chance.uniform(0, 60))))


def asking(plan: Plan, chance: random.Random) -> None:
    """A task asks people, who answer while everything else happens."""
    around = ("action before", "action within", "action after")
    where = ("ask", "defer", "state deferred", "state queued", "resume", *around)
    if chance.random() < 0.5:
        kind = chance.choice(("kill process", "kill machine", "freeze worker", "drain", "scheduler restarts"))
        _add(plan, kind, chance.choice(where), nth=chance.randrange(1, 4), value=chance.uniform(1, 400))
    if chance.random() < 0.4:
        _add(plan, "stall triggerer", chance.choice(where), nth=chance.randrange(1, 4), value=chance.uniform(1, 400))
    if chance.random() < 0.4:
        kind = chance.choice(("lost after", "lost before", "time-out after effect", "unreachable", "refused"))
        _answer(plan, kind, "action", 0.0)
    if chance.random() < 0.4:
        _add(plan, "colleague answers", chance.choice(where), after=chance.uniform(0, 60), value=chance.random())
    if chance.random() < 0.3:
        # A colleague answers at the vendor just after a person has answered here.
        on = chance.choice(("state queued", "resume"))
        _add(plan, "colleague answers", on, nth=chance.randrange(2, 6), value=chance.random())
    if chance.random() < 0.4:
        kind = chance.choice(("clear", "mark failed", "mark success", "clear without run"))
        _add(plan, kind, chance.choice(where), nth=chance.randrange(1, 4), after=chance.uniform(0, 30))
    if plan.character == "one at a time" and chance.random() < 0.5:
        _add(plan, "asks without a name", "")
    if chance.random() < 0.1:
        # What was rejected may still be rolled back when time is up.
        plan.character, plan.outcomes = "marked", [(each[0], 60.0) for each in plan.outcomes]
        plan.policy |= {"timeout": 90.0, "poll_interval": 45.0}
        plan.retries, plan.retry_delay = max(1, plan.retries), 0.0
        _add(plan, "taken back", "", value=4.5)
        if chance.random() < 0.5:
            _add(plan, "colleague answers", "send after", after=chance.uniform(62, 88), value=1.0)
        else:
            _answer(plan, "unreachable", "action", 0.0)
            _add(plan, "kill process", "cancel after")
    if chance.random() < 0.2:
        # Airflow fails a task whose answer comes too soon: its retry begins before the question's trigger is ended.
        plan.retries, plan.retry_delay = max(1, plan.retries), 0.0
    if chance.random() < 0.2:
        # A triggerer is frozen at an answer, and reports what it sees when the next question stands there.
        plan.outcomes = [(each[0], min(each[1], 60.0)) for each in plan.outcomes]
        _add(plan, "trigger ids are reused", "")
        _add(plan, "stall triggerer", "answered", value=chance.uniform(5, 120))


def asking_about(plan: Plan, chance: random.Random) -> None:
    """A task asks people about an approval, which colleagues also decide, and whose execution may end meanwhile."""
    around = ("action before", "action within", "action after")
    where = ("ask", "defer", "state deferred", "state queued", "save", "publish", "observe after", *around)
    plan.retries = max(plan.retries, int(chance.random() < 0.7))
    if chance.random() < 0.6:
        kind = chance.choice(("kill process", "kill process", "kill machine", "freeze worker", "drain"))
        _add(plan, kind, chance.choice(where), nth=chance.randrange(1, 5), value=chance.uniform(1, 400))
    if chance.random() < 0.4:
        kind = chance.choice(("stall triggerer", "restart triggerer", "move trigger", "trigger crashes"))
        on = chance.choice(("ask", "state deferred", "answered", "fire"))
        _add(plan, kind, on, nth=chance.randrange(1, 3), after=chance.uniform(0, 30), value=chance.uniform(1, 400))
    if chance.random() < 0.4:
        kind = chance.choice(("lost after", "lost before", "time-out after effect", "unreachable", "throttled"))
        _answer(plan, kind, "action", 5.0)
    if chance.random() < 0.2:
        # The system is down when an answer comes.
        _add(plan, "vendor down", "answered", value=chance.choice((chance.uniform(1, 60), chance.uniform(60, 1200))))
    if chance.random() < 0.4:
        kind = chance.choice(("colleague answers", "colleague answers", "colleague withdraws"))
        on, after = chance.choice((*where, "answered")), chance.choice((0.0, chance.uniform(0, 60)))
        _add(plan, kind, on, nth=chance.randrange(1, 3), after=after, value=chance.random())
    if chance.random() < 0.4:
        kind = chance.choice(("clear", "clear", "mark failed", "mark success", "clear without run", "clear another"))
        on = chance.choice((*where, "state success", "state failed", "state up_for_retry"))
        _add(plan, kind, on, after=chance.choice((0.0, chance.uniform(0, 30))))
    if chance.random() < 0.3:
        # An answer comes before the deferral, and nobody reads it for a while.
        on = chance.choice(("defer", "state deferred"))
        value = chance.choice((chance.uniform(1, 60), chance.uniform(160, 400)))
        kind = chance.choice(("airflow away", "triggerers down"))
        if chance.random() < 0.5:
            # Nor until after the deadline.
            plan.policy["response_timeout"] = min(30.0, value)
        _add(plan, kind, on, after=chance.random(), value=value)
    if chance.random() < 0.3:
        # A triggerer is frozen at an answer, and reports what it sees when the next question stands there.
        plan.policy["approvals"] = 2
        _add(plan, "trigger ids are reused", "")
        _add(plan, "stall triggerer", "answered", value=chance.uniform(5, 120))
        if chance.random() < 0.5:
            _add(plan, "colleague answers", _last(plan), after=chance.uniform(0, 30))
    if chance.random() < 0.1:
        # A triggerer is frozen until after the deadline, and reports that when a clear has led to another question.
        plan.policy["response_timeout"] = 30.0
        _add(plan, "trigger ids are reused", "")
        _add(plan, "stall triggerer", "state deferred", after=chance.uniform(3, 20), value=chance.uniform(20, 60))
        _add(plan, "clear", _last(plan), after=chance.uniform(0, 5))
    if plan.kind == "ask about a release":
        for kind in ("two approvals", "asks without a name", "fails later"):
            if chance.random() < 0.5:
                _add(plan, kind, "")
        _asking_about_release(plan, chance)
    if chance.random() < 0.3:
        _add(plan, "everybody may answer", "")


def _asking_about_release(plan: Plan, chance: random.Random) -> None:
    """An attempt dies, and the next one finds the release in a state that shows little."""
    way = chance.random()
    if way < 0.15:
        # It dies before it sends the answer, and somebody stops the release, which runs on for a moment.
        plan.retries, plan.retry_delay = max(1, plan.retries), 0.0
        _add(plan, "kill process", "action before")
        _add(plan, "colleague withdraws", _last(plan), after=chance.uniform(0, 10))
    elif way < 0.3:
        # It dies just after it was told what was decided at the vendor, and by the next attempt the release has failed.
        plan.retries, plan.retry_delay = max(1, plan.retries), 60.0
        plan.policy["poll_interval"] = 10.0
        _add(plan, "fails later", "")
        _add(plan, "colleague answers", "state deferred", after=chance.uniform(0, 20))
        _add(plan, "kill process", "publish", nth=2)


def long_late(plan: Plan, chance: random.Random) -> None:
    """The sender of a start dies at once, and the next attempt searches for what begins minutes later."""
    plan.retries, plan.retry_delay = chance.randrange(1, 4), 0.0
    plan.character = chance.choice(("one at a time", "window", "rerun"))
    _answer(plan, "time-out before effect", "send", chance.uniform(0.0, 1.0))
    _add(plan, "kill process", "send before", after=chance.uniform(0.1, 2.0))


def never_sent(plan: Plan, chance: random.Random) -> None:
    """The worker dies just before its start, and a colleague starts one long after that."""
    plan.retries, plan.retry_delay = max(1, plan.retries), 300.0
    plan.character = chance.choice(("one at a time", "window", "rerun"))
    _add(plan, "kill machine", "send before")
    _add(plan, "colleague starts", _last(plan), after=chance.uniform(470, 600), value=1.0)


def replaced(plan: Plan, chance: random.Random) -> None:
    """A worker is frozen while a new scheduler gives its task to another one, which ends it."""
    plan.retries = 0
    plan.outcomes = [(each[0], each[1] + 60.0) for each in plan.outcomes]
    on, after = chance.choice(("send after", "publish", "observe after")), chance.uniform(0, 10)
    _add(plan, "scheduler restarts", on, after=after, value=chance.uniform(0, 10))
    _add(plan, "freeze worker", on, after=after, value=chance.uniform(10, 59))


def given_up(plan: Plan, chance: random.Random) -> None:
    """The worker of a last attempt is frozen until Airflow gives it up, and its execution continues."""
    plan.retries = 0
    plan.policy |= {"deferrable": False, "wait_for_completion": True, "timeout": None}
    plan.outcomes = [(each[0], each[1] + 600.0) for each in plan.outcomes]
    _add(plan, "freeze worker", "observe after", value=chance.uniform(320, 600))


def came_back(plan: Plan, chance: random.Random) -> None:
    """A task resumes and fails by itself while its triggerer is frozen, or is retried before its trigger is ended."""
    plan.retries = 0
    plan.policy |= {"deferrable": True, "wait_for_completion": True, "timeout": None}
    plan.outcomes = [(each[0], each[1] + 300.0) for each in plan.outcomes]
    stalls = chance.uniform(2, 20)
    kind = chance.choice(("trigger crashes", "deferral times out"))
    if chance.random() < 0.6:
        _add(plan, "stall triggerer", "state deferred", after=stalls, value=chance.uniform(60, 200))
    else:
        plan.retries, plan.retry_delay, kind = chance.randrange(2), 0.0, "deferral times out"
        if not plan.retries:
            # It fails because its operator is another one by then.
            _add(plan, "replace operator", "state deferred", after=1.0)
    _add(plan, kind, "state deferred", after=stalls + chance.uniform(1, 60))
    if chance.random() < 0.5:
        _add(plan, "kill process", "resume", after=chance.choice((0.0, 5.0)))
    else:
        _add(plan, "kill process", "state running", nth=2, after=chance.choice((0.0, 5.0)))


_ANYWHERE = (
    "send before",
    "send within",
    "send after",
    "save",
    "publish",
    "observe after",
    "state running",
    "state deferred",
    "state queued",
)

THEMES: tuple[tuple[Theme, int], ...] = (
    (late_start, 5),
    (lost_answer, 2),
    (look_alike, 3),
    (dead_and_cleared, 3),
    (other_scheduler, 2),
    (taken_for_ours, 4),
    (frozen, 3),
    (triggerers, 4),
    (not_canceled, 3),
    (ended_by_time, 2),
    (canceled_by_colleague, 2),
    (other_place, 2),
    (long_late, 1),
    (never_sent, 1),
    (replaced, 1),
    (given_up, 1),
    (came_back, 1),
    (both_late, 1),
    (late_and_not_canceled, 1),
    (held_back, 2),
    (taken_back, 2),
    (no_route, 1),
    (pushed, 2),
)
"""Each with its weight in the draw."""


def _last(plan: Plan) -> str:
    """The point at which the incident that was added last is over."""
    return f"incident {len(plan.incidents) - 1}"


def _add(plan: Plan, kind: str, on: str, *, nth: int = 1, after: float = 0.0, value: float = 0.0) -> None:
    from tests.simulation.plan import Incident

    plan.incidents.append(Incident(kind, on, nth, after, value))


def _answer(plan: Plan, kind: str, request: str, value: float, *, nth: int = 1) -> None:
    _add(plan, f"answer: {kind}", request, nth=nth, value=value)
