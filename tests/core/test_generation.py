"""How an automatic retry is distinguished from a clear, with Airflow 3.3.2's own counting."""

from __future__ import annotations

import pytest

from airflow_provider.core.generation import Attempt, Relation, relation, was_resolved

SAME, CLEARED, AMBIGUOUS = Relation.SAME, Relation.CLEARED, Relation.AMBIGUOUS


@pytest.mark.parametrize(
    ("last", "now", "had_succeeded", "expected"),
    [
        pytest.param(Attempt(1, 2, 0, 2), Attempt(1, 2, 0, 2), False, SAME, id="resumed after a deferral"),
        pytest.param(Attempt(1, 2, 0, 2), Attempt(2, 2, 0, 2), False, SAME, id="automatic retry"),
        pytest.param(Attempt(1, 2, 0, 2), Attempt(2, 2, 0, 0), False, SAME, id="retries changed by a deploy meanwhile"),
        pytest.param(Attempt(1, 2, 0, 2), Attempt(2, 3, 1, 2), True, CLEARED, id="a success was cleared"),
        pytest.param(Attempt(1, 2, 0, 2), Attempt(2, 2, 1, 1), True, CLEARED, id="and retries lowered by one before"),
        pytest.param(Attempt(1, 2, 0, 2), Attempt(2, 2, 0, 1), True, AMBIGUOUS, id="that, leaving the run alone"),
        pytest.param(
            Attempt(1, 2, 0, 2), Attempt(2, 2, 0, 2), True, SAME, id="crashed in the last moment of a success"
        ),
        pytest.param(Attempt(1, 2, 0, 2), Attempt(2, 2, 1, 2), True, AMBIGUOUS, id="that, and something was cleared"),
        pytest.param(
            Attempt(1, 0, 0, 0), Attempt(2, 0, 0, 0), False, AMBIGUOUS, id="beyond its last try, by a new scheduler"
        ),
        pytest.param(
            Attempt(1, 0, 0, 0),
            Attempt(2, 0, 1, 0),
            False,
            AMBIGUOUS,
            id="cleared with its worker dead on its last try, or that and another task cleared",
        ),
        pytest.param(
            Attempt(1, 2, 0, 2), Attempt(2, 2, 1, 2), False, AMBIGUOUS, id="cleared with its worker dead, or not"
        ),
        pytest.param(Attempt(0, 2, -1, 0), Attempt(2, 2, 5, 2), False, SAME, id="a record of the first version"),
    ],
)
def test_a_retry_is_distinguished_from_a_clear(last, now, had_succeeded, expected):
    assert relation(last, now, had_succeeded=had_succeeded) is expected


@pytest.mark.parametrize(
    ("escalated_by", "now", "expected"),
    [
        pytest.param(Attempt(1, 2, 0, 2), Attempt(2, 2, 0, 2), False, id="an automatic retry"),
        pytest.param(Attempt(1, 2, 0, 2), Attempt(2, 2, 1, 2), False, id="another task was cleared"),
        pytest.param(Attempt(1, 2, 0, 2), Attempt(3, 2, 3, 2), False, id="others were, before each of two retries"),
        pytest.param(Attempt(1, 2, 0, 2), Attempt(2, 3, 1, 2), True, id="cleared"),
        pytest.param(Attempt(1, 2, 0, 2), Attempt(2, 3, 0, 2), True, id="cleared, leaving the run alone"),
        pytest.param(Attempt(1, 2, 0, 2), Attempt(2, 2, 1, 1), True, id="cleared after retries were lowered"),
        pytest.param(Attempt(1, 3, 0, 3), Attempt(3, 3, 1, 1), True, id="that, after a retry that asked nobody"),
        pytest.param(Attempt(2, 2, 0, 2), Attempt(3, 2, 1, 1), False, id="lowered, but another task was cleared"),
    ],
)
def test_only_a_clear_of_the_task_itself_answers_what_a_person_was_asked(escalated_by, now, expected):
    assert was_resolved(escalated_by, now) is expected
