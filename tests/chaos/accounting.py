"""What was done to each release, what its system saw, and what is wrong with that. Pure: no Airflow, no sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.plan import Release
from tests.chaos.vendors import SYSTEMS, Seen

ON_THE_WIRE = 3.0
"""Seconds for which a start may be under way when a person clears its task; what starts later is the next attempt's."""
GRACE = 15.0
"""An execution that ends by itself so soon after a person acted needs no cancel any more: for 10 s the triggerer may be
in doubt whether a task that waits to be run was cleared."""
FAULTS = ("doubled", "lost", "wrongly cancelled", "left running")


@dataclass(frozen=True)
class Act:
    """A person's deed: a mark (``failed``, ``success``) or a ``clear``; ``at`` is epoch seconds."""

    at: float
    what: str


@dataclass
class History:
    """All about one release.

    :param state: of its task in the end.
    :param result_id: of the execution that the task returned.
    """

    release: Release
    executions: Sequence[Seen]
    acts: Sequence[Act] = ()
    state: str | None = None
    result_id: str | None = None

    @property
    def was_marked(self) -> bool:
        """Whether a person's last word was how the task has ended."""
        return bool(self.acts) and self.acts[-1].what != "clear"

    def faults(self) -> dict[str, int]:
        return dict(
            zip(FAULTS, (self._doubled(), self._lost(), self._wrongly_cancelled(), self._left_running()), strict=True)
        )

    def _doubled(self) -> int:
        """Starts that neither a clear nor the failure of the one before asked for; a clear asks for one start."""
        clears = [act.at for act in self.acts if act.what == "clear"]
        doubled = 0
        for before, after in zip(self.executions, self.executions[1:], strict=False):
            reason = next((at for at in clears if before.started - ON_THE_WIRE < at < after.started), None)
            if reason is not None:
                clears.remove(reason)
            elif before.succeeded or not before.ended or before.ended > after.started:
                doubled += 1
        return doubled

    def _lost(self) -> int:
        """A task that nobody marked and that has not returned its last execution, which went well."""
        if self.was_marked:
            return 0
        last = self.executions[-1] if self.executions else None
        fine = self.state == "success" and last and last.succeeded and last.id == self.result_id
        return 0 if fine else 1

    def _wrongly_cancelled(self) -> int:
        """Executions that were canceled although nobody had touched their task, or only what ran there before."""
        return sum(any(not self._asked_for(each, cancel) for cancel in each.cancels) for each in self.executions)

    def _asked_for(self, each: Seen, cancel: float) -> bool:
        return any(
            act.at <= cancel and (act.what != "clear" or each.started < act.at + ON_THE_WIRE) for act in self.acts
        )

    def _left_running(self) -> int:
        """Executions that went on after a person had ended or cleared their task."""
        return sum(self._was_left(each) for each in self.executions)

    def _was_left(self, each: Seen) -> bool:
        if each.cancels:
            return False
        if each.ended is None:
            return True
        over = [act.at for act in self.acts if each.goes_on_at(act.at)]
        if self.was_marked and each.started > self.acts[-1].at:
            over.append(each.started)
        return bool(over) and each.ended > over[0] + GRACE


@dataclass
class Account:
    """All releases."""

    histories: list[History]
    notes: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not any(sum(history.faults().values()) for history in self.histories)

    def table(self) -> str:
        head = ["system", "tasks", "starts", "cancels", *FAULTS]
        rows = [head]
        for system in (*SYSTEMS, "all"):
            chosen = [each for each in self.histories if system in ("all", each.release.system)]
            executions = [each for history in chosen for each in history.executions]
            counts = [len(chosen), len(executions), sum(len(each.cancels) for each in executions)]
            counts += [sum(history.faults()[fault] for history in chosen) for fault in FAULTS]
            rows.append([system, *map(str, counts)])
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if not column else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )

    def complaints(self) -> str:
        """What is known of each release with a fault."""
        lines = []
        for history in self.histories:
            faults = [name for name, count in history.faults().items() if count]
            if not faults:
                continue
            lines.append(
                f"{history.release.name}: {', '.join(faults)}; task {history.state}, result {history.result_id}"
            )
            lines += [f"    {act.at:.1f} person: {act.what}" for act in history.acts]
            for each in history.executions:
                end = "goes on" if each.ended is None else f"{each.ended:.1f}"
                cancels = "".join(f", cancel {at:.1f}" for at in each.cancels)
                lines.append(f"    {each.started:.1f} to {end}: {each.system} {each.id} {each.state}{cancels}")
        return "\n".join(lines)
