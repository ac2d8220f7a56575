"""An operator that asks people in Airflow: who may answer, how many must, and what happens if nobody does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider.identifiers import got, same_spelling, seconds_of
from airflow_provider.operators.arguments import Count, Seconds
from airflow_provider.operators.base import ClientT, ReleaseOperator, in_dag_test
from airflow_provider.operators.checking import rule_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.approving import Rules


WHEN_ASKED = {"approvers": None, "not_requester": False, "approvals": 1, "response_timeout": None, "notifiers": None}
"""Defaults of the arguments that have no effect unless people are asked."""


class AsksPeople(ReleaseOperator[ClientT]):
    """An operator that asks people in Airflow about an approval.

    :param approvers: ids of the only Airflow users who may answer; default: everybody with the permission in Airflow.
    :param not_requester: do not accept the answer of the person who triggered the run.
    :param approvals: how many different people must approve. One rejection is enough.
    :param response_timeout: seconds or timedelta within which people must decide; default: no limit.
    :param on_no_response: what happens after that: ``reject`` (default), ``approve``, or ``fail`` (only the task
        fails).
    :param notifiers: called each time when a decision is needed, such as
        :class:`~airflow_provider.notifications.ApprovalNotifier`. One that fails, or takes long, delays nothing.
    """

    def __init__(
        self,
        *,
        approvers: Sequence[str] | None = None,
        not_requester: bool = False,
        approvals: Count = 1,
        response_timeout: Seconds | None = None,
        on_no_response: Literal["reject", "approve", "fail"] = "reject",
        notifiers: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.approvers = approvers
        self.not_requester = not_requester
        self.approvals = approvals
        self.response_timeout = response_timeout
        self.on_no_response = on_no_response
        self.notifiers = notifiers

    @rule_of("response_timeout", "on_no_response")
    def _check_silence(self) -> None:
        if self.on_no_response != "reject" and self.response_timeout is None:
            raise self.bad_argument("on_no_response", "is valid only with response_timeout")

    @rule_of("notifiers")
    def _check_notifiers(self) -> None:
        if strangers := [each for each in self.notifiers or () if not callable(each)]:
            raise self.bad_argument("notifiers", f"must be a list of notifiers, got an item {strangers[0]!r:.200}")

    def require_none_of_these(self, condition: str) -> None:
        """Refuse arguments that have an effect only if people are asked.

        :param condition: when they are, as the end of a sentence.
        """
        if given := [name for name, default in WHEN_ASKED.items() if getattr(self, name) != default]:
            raise self.bad_argument(given[0], f"is valid only {condition}")

    @rule_of("approvers", "approvals")
    def _check_who_decides(self) -> None:
        if self.approvers is None:
            return
        names = {same_spelling(str(each)) for each in self.approvers}
        if not names or "" in names:
            raise self.bad_argument("approvers", f"must name users, got {self.approvers!r}")
        if len(names) < self.approvals:
            raise self.bad_argument("approvals", f"must be at most the number of different approvers, {len(names)}")

    def require_enough_approvers(self, context: Context) -> None:
        """Refuse rules by which nobody could ever approve, which shows only once it is known who triggered the run."""
        rules = self.rules(context)
        if not rules.approvers or not rules.requester or in_dag_test():
            return
        others = {same_spelling(each) for each in rules.approvers} - {same_spelling(rules.requester)}
        if len(others) < rules.approvals:
            besides = f"besides {rules.requester}, who triggered the run and may not answer (not_requester)"
            raise self.bad_argument(
                "approvers", f"must name at least {rules.approvals} {besides}, {got(self.approvers)}"
            )

    def rules(self, context: Context) -> Rules:
        from airflow_provider.core.approving import Rules

        requester = getattr(context["dag_run"], "triggering_user_name", None) if self.not_requester else None
        return Rules(
            approvers=tuple(str(each).strip() for each in self.approvers or ()),
            requester=requester,
            approvals=self.approvals,
            on_no_response=self.on_no_response,
        )

    @property
    def response_seconds(self) -> float | None:
        return None if self.response_timeout is None else seconds_of(self.response_timeout)
