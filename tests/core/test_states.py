"""The state machine in docs/start.md is that of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider.core.states import TRANSITIONS, State

PAGE = (Path(__file__).parents[2] / "docs" / "start.md").read_text()
ENDS = {State.LEFT, State.SUCCEEDED, State.FAILED}


def test_the_diagram_shows_every_move_and_no_other():
    drawn = re.findall(r"^    (\w+) --> (\w+)$", PAGE, re.MULTILINE)
    assert drawn == [(str(before), str(after)) for before, after in TRANSITIONS]


def test_the_table_says_when_each_move_is_made():
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (.+) \|$", PAGE.split("## The transitions")[1], re.MULTILINE)
    listed = {(before, after): when for before, after, when in rows if before != "from"}
    assert listed == {(str(before), str(after)): when for (before, after), when in TRANSITIONS.items()}


@pytest.mark.parametrize("state", State)
def test_each_state_is_explained_and_leads_somewhere_unless_it_is_an_end(state):
    assert re.search(rf"^\| {state} \| .+ \|$", PAGE, re.MULTILINE)
    leads_on = any(before is state for before, _ in TRANSITIONS)
    assert leads_on is (state not in ENDS)
