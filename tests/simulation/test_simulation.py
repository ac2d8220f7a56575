"""The simulator in the normal suite: some lives, their reproducibility, and guards whose removal shows soon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider.core.generation import Relation
from airflow_provider.core.states import TRANSITIONS
from tests.simulation import faults, guards_page, story
from tests.simulation.__main__ import Tally, try_lives
from tests.simulation.guards import GUARDS
from tests.simulation.lives import live
from tests.simulation.mutations import lives_until_noticed, without
from tests.simulation.plan import draw

TESTS = Path(__file__).parents[1]
LIVES = 2_000
SOON = (
    "no way of canceling cancels a guess",
    "the intent is saved before the start",
    "after a clear, what was started before ends first",
    "a drained worker cancels nothing",
)


@pytest.fixture(scope="module")
def tally() -> Tally:
    return try_lives(0, LIVES, processes=1)


def test_nothing_goes_wrong_in_two_thousand_lives(tally: Tally) -> None:
    assert tally.lives == LIVES
    assert not tally.failed, "\n".join(story.render(story.shorten(draw(seed))) for seed, _ in tally.failed[:1])


def test_the_lives_make_nearly_every_transition(tally: Tally) -> None:
    assert set(tally.relations) == set(Relation)
    assert sum(tally.moves[move] > 0 for move in TRANSITIONS) >= len(TRANSITIONS) - 2


def test_a_life_is_the_same_each_time() -> None:
    assert story.render(draw(7)) == story.render(draw(7))


@pytest.mark.parametrize("name", SOON)
def test_the_removal_of_a_guard_shows(name: str) -> None:
    guard = next(each for each in GUARDS if each.name == name)
    assert lives_until_noticed(guard, most=1_000)


def test_every_guard_is_still_in_the_code() -> None:
    for guard in GUARDS:
        with without(guard):
            pass


def test_a_story_is_shortened_to_what_breaks_the_promise() -> None:
    guard = next(each for each in GUARDS if each.name == "after a clear, what was started before ends first")
    found = lives_until_noticed(guard, most=1_000)
    assert found
    plan = draw(found[0] - 1)
    with without(guard):
        shorter = story.shorten(plan)
        assert live(shorter).violations
        assert len(shorter.incidents) <= len(plan.incidents)
        assert "VIOLATION" in story.render(shorter)
    assert not live(shorter).violations


def test_every_fault_of_issue_9_has_a_guard_or_a_test_that_is_there() -> None:
    defined = {name for path in TESTS.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())}
    guarded = {int(fault) for guard in GUARDS for fault in filter(None, guard.faults.split(", "))}
    assert guarded | set(faults.TESTS) == set(faults.ALL)
    assert {name for names in faults.TESTS.values() for name in names} <= defined


def test_the_table_names_every_guard() -> None:
    rows = guards_page.PAGE.read_text().splitlines()
    named = [match[1] for row in rows if (match := re.match(r"\| (.*?) \| [a-z, ]+ \| [\d, ]*\| [\d,]+ \|", row))]
    assert sorted(named) == sorted(guard.name for guard in GUARDS)
