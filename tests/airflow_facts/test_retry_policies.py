"""How Airflow 3.3.2 treats a retry policy that an operator's class supplies, not the DAG's author."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction, RetryPolicy, RetryRule

from airflow_provider.core.record import Phase
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ConnectionConfigError,
    ExecutionFailed,
    NotFoundError,
    PermissionDeniedError,
    ServerUnavailableError,
)
from airflow_provider.operators.retrying import DEFAULT_RETRY_POLICY, DefaultRetryPolicy
from airflow_provider.operators.starting import KEY
from tests.airflow_facts.real import RealTask, Scripted, fail
from tests.support.classes import CLASSES

FINAL = ExceptionRetryPolicy([RetryRule(exception=RuntimeError, action=RetryAction.FAIL)])
OWN = ExceptionRetryPolicy([])


class WithPolicy(Scripted):
    """:param retry_policy: a default in the signature, as ours have it."""

    def __init__(self, *, retry_policy: Any = FINAL, **kwargs: Any) -> None:
        super().__init__(retry_policy=retry_policy, **kwargs)


class PolicyTask(RealTask):
    def __init__(self, policy: dict[str, Any]) -> None:
        self._policy = policy
        super().__init__(retries=3)

    def _build(self, execution_timeout: Any = None) -> Scripted:
        return WithPolicy(task_id="release", **self._policy)


@pytest.mark.parametrize(
    ("given", "state"),
    [({}, "failed"), ({"retry_policy": None}, "up_for_retry"), ({"retry_policy": OWN}, "up_for_retry")],
    ids=["of the class", "none", "the author's"],
)
def test_a_worker_follows_the_policy_of_the_class_unless_the_author_gives_another(
    given: dict[str, Any], state: str
) -> None:
    task = PolicyTask(given).queue()
    task.run(fail)
    assert task.state == state


def test_what_default_args_say_comes_before_the_policy_of_the_class() -> None:
    with DAG("dag", schedule=None, default_args={"retry_policy": OWN}):
        assert WithPolicy(task_id="task").retry_policy is OWN


def test_a_mapped_task_has_the_policy_of_its_class_too() -> None:
    with DAG("dag", schedule=None):
        mapped = WithPolicy.partial(task_id="task").expand(doc=["a", "b"])
    assert mapped.retry_policy is FINAL
    assert mapped.unmap({"doc": "a"}).retry_policy is FINAL


# --- ours


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_operator_and_sensor_has_the_default_policy(cls: Any) -> None:
    assert cls(task_id="task", **CLASSES[cls]).retry_policy is DEFAULT_RETRY_POLICY
    assert cls(task_id="task", retry_policy=None, **CLASSES[cls]).retry_policy is None
    with DAG("dag", schedule=None, default_args={"retry_policy": OWN}):
        assert cls(task_id="task", **CLASSES[cls]).retry_policy is OWN
        assert cls.partial(task_id="mapped", **CLASSES[cls]).expand(doc=["a"]).retry_policy is OWN
    with DAG("dag", schedule=None):
        assert cls.partial(task_id="mapped", **CLASSES[cls]).expand(doc=["a"]).retry_policy is DEFAULT_RETRY_POLICY


def test_the_default_policy_answers_all_that_airflow_asks_a_policy() -> None:
    asked = {name for name in vars(RetryPolicy) if not name.startswith("_")}
    assert asked <= set(vars(DefaultRetryPolicy))
    assert isinstance(DefaultRetryPolicy.deserialize(DEFAULT_RETRY_POLICY.serialize()), DefaultRetryPolicy)


def decision(error: type[Exception], record: Any = None) -> RetryAction:
    context: Any = {"task_state_store": {KEY: record}}
    return DEFAULT_RETRY_POLICY.evaluate(error("told"), 1, 3, context).action


OVER = {Phase.ENDED, Phase.LEFT}
SAME_AGAIN = [BadRequestError, ConnectionConfigError, AuthenticationError, PermissionDeniedError]
WORTH_IT = [ServerUnavailableError, ConflictError, NotFoundError, ExecutionFailed, ValueError]


@pytest.mark.parametrize("error", SAME_AGAIN)
def test_an_error_that_another_try_would_get_too_is_final(error: type[Exception]) -> None:
    assert decision(error) is RetryAction.FAIL
    assert DEFAULT_RETRY_POLICY.evaluate(error("told"), 1, 3).action is RetryAction.FAIL
    for phase in OVER:
        assert decision(error, {"phase": phase}) is RetryAction.FAIL


@pytest.mark.parametrize("error", WORTH_IT)
def test_all_else_is_left_to_retries(error: type[Exception]) -> None:
    assert decision(error) is RetryAction.DEFAULT


@pytest.mark.parametrize("phase", sorted(set(Phase) - OVER))
def test_what_has_started_something_is_tried_again_whatever_its_error(phase: Phase) -> None:
    for error in SAME_AGAIN:
        assert decision(error, {"phase": phase}) is RetryAction.DEFAULT


def refuse(operator: Any, context: Any) -> None:
    raise AuthenticationError("refused")


def start_and_be_refused(operator: Any, context: Any) -> None:
    context["task_state_store"].set(KEY, {"phase": Phase.STARTED})
    refuse(operator, context)


@pytest.mark.parametrize(("script", "state"), [(refuse, "failed"), (start_and_be_refused, "up_for_retry")])
def test_in_a_worker_a_refused_login_is_final_unless_something_is_under_way(script: Any, state: str) -> None:
    task = PolicyTask({"retry_policy": DEFAULT_RETRY_POLICY}).queue()
    task.run(script)
    assert task.state == state
