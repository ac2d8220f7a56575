"""What was done to each release, what its system saw, and what is wrong with that. Pure: no Airflow, no sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.approvals import APPROVE, AT_THE_VENDOR, IN_AIRFLOW, REJECT, Gate, Said, wrong_decisions
from tests.chaos.gates import ASKING_KINDS
from tests.chaos.plan import Release
from tests.chaos.vendors import FAILED, KINDS, Seen

ON_THE_WIRE = 3.0
"""Seconds for which a start may be under way when a person clears its task; what starts later is the next attempt's."""
GRACE = 15.0
"""An execution that ends by itself so soon after a person acted needs no cancel: for 10 s the triggerer may be
in doubt whether a task that waits to be run was cleared."""
FAULTS = ("doubled", "lost", "wrongly cancelled", "left running", "wrongly decided")
OTHERS = "others' cancelled"


@dataclass(frozen=True)
class Act:
    """A person's action: a mark (``failed``, ``success``) or a ``clear``; ``at`` is epoch seconds."""

    at: float
    what: str


@dataclass
class History:
    """All about one release.

    :param state: of its task in the end.
    :param result_id: of the execution that the task returned.
    :param guesses: ids of executions that were only guessed to be the task's: they are followed, and never canceled.
    :param named: ids of executions that the task's log or error names as not to be canceled, and why.
    :param ended_in_triggerer: whether the triggerer ended an attempt of the task itself.
    :param gates: that its executions reached, or that it asked about.
    :param said: what people decided about them.
    """

    release: Release
    executions: Sequence[Seen]
    acts: Sequence[Act] = ()
    state: str | None = None
    result_id: str | None = None
    guesses: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    ended_in_triggerer: bool = False
    gates: Sequence[Gate] = ()
    said: Sequence[Said] = ()

    @property
    def was_marked(self) -> bool:
        """Whether the task has ended as the last person wanted."""
        return bool(self.acts) and self.acts[-1].what != "clear"

    def faults(self) -> dict[str, int]:
        starts = (self._doubled(), self._lost(), self._wrongly_cancelled(), self._left_running())
        return dict(zip(FAULTS, (*starts, len(self.wrong_decisions())), strict=True))

    def wrong_decisions(self) -> list[str]:
        return wrong_decisions(self.gates, self.said, is_touched_after=self._is_touched_after)

    def _is_touched_after(self, moment: float) -> bool:
        return any(act.at > moment - GRACE for act in self.acts)

    @property
    def went_on(self) -> int:
        """Executions that continued after a person's act, and that the task's log or error names."""
        return sum(each.id in self.named and self._would_be_left(each) for each in self.executions)

    def _doubled(self) -> int:
        """Starts that neither a clear nor the failure of the one before asked for, or beside one that was going on.

        A clear asks for one start, after what was started before has ended. A rejection in Airflow asks for none.
        """
        clears = [act.at for act in self.acts if act.what == "clear"]
        doubled = 0
        for number, after in enumerate(self.executions[1:], start=1):
            earlier = self.executions[:number]
            reason = next((at for at in clears if earlier[-1].started - ON_THE_WIRE < at < after.started), None)
            if reason is not None:
                clears.remove(reason)
            beside = any(each.goes_on_at(after.started) and each.id not in self.named for each in earlier)
            is_the_end = earlier[-1].succeeded or self._is_rejected(earlier[-1])
            doubled += beside or (reason is None and is_the_end)
        return doubled

    def _lost(self) -> int:
        """A task that nobody marked and that has not returned its last execution, which succeeded.

        If people rejected that, the task must have failed; a task that only asks succeeds with any decision.
        """
        if self.was_marked:
            return 0
        if self.release.kind in ASKING_KINDS:
            # It fails if it hears too late of another decision, or is cleared once nothing waits for one.
            may_fail = self.acts or any(each.place == AT_THE_VENDOR for each in self.said)
            return 0 if self.state == "success" or (may_fail and self.state == "failed") else 1
        last = self.executions[-1] if self.executions else None
        if last and self._is_rejected(last):
            return 0 if self.state == "failed" and last.state in FAILED else 1
        fine = self.state == "success" and last and last.succeeded and last.id == self.result_id
        return 0 if fine else 1

    def _is_rejected(self, execution: Seen) -> bool:
        """Whether a person in Airflow has rejected it."""
        rejections = [each for each in self.gates if (each.execution_id, each.decision) == (execution.id, REJECT)]
        deciders = [each.decided_by(self.said) for each in rejections]
        return any(each is not None and each.place == IN_AIRFLOW for each in deciders)

    def _wrongly_cancelled(self) -> int:
        """Executions that were canceled although nobody had touched their task, or only what ran there before."""
        return sum(any(not self._asked_for(each, cancel) for cancel in each.cancels) for each in self.executions)

    def _asked_for(self, each: Seen, cancel: float) -> bool:
        return any(
            act.at <= cancel and (act.what != "clear" or each.started < act.at + ON_THE_WIRE) for act in self.acts
        )

    def _left_running(self) -> int:
        """Executions that continued after a person had ended their task, and that nothing names."""
        return sum(each.id not in self.named and self._would_be_left(each) for each in self.executions)

    def _would_be_left(self, each: Seen) -> bool:
        if each.cancels:
            return False
        if each.ended is None:
            return True
        # What a clear leaves is the next attempt's to end, before it starts anything: see :meth:`_doubled`.
        over = [act.at for act in self.acts if self._ends(act, each) and each.goes_on_at(act.at)]
        if self.was_marked and each.started > self.acts[-1].at:
            over.append(each.started)
        return bool(over) and each.ended > over[0] + GRACE

    def _ends(self, act: Act, each: Seen) -> bool:
        return act.what != "clear" or each.id in self.named


@dataclass
class Account:
    """All releases.

    :param others: executions of somebody else, here and on the system that connections were changed to.
    """

    histories: list[History]
    others: list[Seen] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        is_others = any(each.cancels for each in self.others)
        return not is_others and not any(sum(history.faults().values()) for history in self.histories)

    @property
    def ended_in_triggerer(self) -> int:
        return sum(each.ended_in_triggerer for each in self.histories)

    @property
    def lacking(self) -> list[str]:
        """What must have happened to some release, or nothing is proven of it."""
        resumed = any(each.resumed for history in self.histories for each in history.executions)
        return [
            *([] if resumed else ["an execution that failed and was resumed"]),
            *([] if self.ended_in_triggerer else ["a task that the triggerer ended"]),
        ]

    @property
    def decisions(self) -> str:
        """How often people decided what, in words."""
        said = [each for history in self.histories for each in history.said]
        effective = [by for each in self.histories for gate in each.gates if (by := gate.decided_by(each.said))]
        counts = {
            "approved in Airflow": sum((each.decision, each.place) == (APPROVE, IN_AIRFLOW) for each in effective),
            "rejected in Airflow": sum((each.decision, each.place) == (REJECT, IN_AIRFLOW) for each in effective),
            "decided at the vendor": sum(each.place == AT_THE_VENDOR for each in effective),
            "answers that Airflow refused": sum(each.place == IN_AIRFLOW and each.is_taken is False for each in said),
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items())

    def table(self) -> str:
        head = ["kind", "tasks", "starts", "resumed", "cancels", "guessed", "went on, named", *FAULTS, OTHERS]
        rows = [head]
        for kind in (*KINDS, "all"):
            chosen = [each for each in self.histories if kind in ("all", each.release.kind)]
            executions = [each for history in chosen for each in history.executions]
            counts = [len(chosen), len(executions), sum(each.resumed for each in executions)]
            counts += [sum(len(each.cancels) for each in executions), sum(len(each.guesses) for each in chosen)]
            counts += [sum(each.went_on for each in chosen)]
            counts += [sum(history.faults()[fault] for history in chosen) for fault in FAULTS]
            counts += [sum(bool(each.cancels) for each in self.others if kind in ("all", each.system))]
            rows.append([kind, *map(str, counts)])
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if not column else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )

    def complaints(self) -> str:
        """What is known of each release with a fault, and of what is somebody else's."""
        lines = [f"somebody else's: {_described(each)}" for each in self.others if each.cancels]
        for history in self.histories:
            faults = [name for name, count in history.faults().items() if count]
            if not faults:
                continue
            lines.append(
                f"{history.release.name}: {', '.join(faults)}; task {history.state}, result {history.result_id}"
            )
            lines += [f"    {each}" for each in history.wrong_decisions()]
            lines += [f"    {act.at:.1f} person: {act.what}" for act in history.acts]
            lines += [
                f"    {each.at:.1f} person, {each.place}: {each.as_sent} ({each.is_taken})" for each in history.said
            ]
            for each in history.executions:
                lines.append(f"    {_described(each)}{' (a guess)' if each.id in history.guesses else ''}")
        return "\n".join(lines)


def _described(each: Seen) -> str:
    end = "goes on" if each.ended is None else f"{each.ended:.1f}"
    cancels = "".join(f", cancel {at:.1f}" for at in each.cancels)
    return f"{each.started:.1f} to {end}: {each.system} {each.id} {each.state}{cancels}"
