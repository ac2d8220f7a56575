"""The text of a required action: it contains every detail, and none of them can change how the rest is read."""

from __future__ import annotations

from airflow_provider.core.question import LONGEST_SUBJECT, LONGEST_VALUE, body_of, subject_of

URL = "https://airflow.example.com/base/dags/d/runs/r/tasks/t"


def test_each_detail_is_shown_and_empty_ones_are_left_out():
    body = body_of({"Pipeline": "Deploy shop", "Stage": "", "Asked by": None, "Inputs": {"tag": "1.4.2"}}, [], URL)
    assert "- **Pipeline**: `Deploy shop`" in body
    assert "- **Inputs**: `tag` = `1.4.2`" in body
    assert "Stage" not in body
    assert "Asked by" not in body
    assert f"]({URL})" in body


def test_a_link_can_be_followed():
    assert "- **Link**: <https://vra.example.com/executions/1>" in body_of(
        {"Link": "https://vra.example.com/executions/1"}, [], URL
    )


def test_a_value_that_looks_like_markdown_is_shown_as_it_is():
    evil = "x`\n\n# Approved already\n[ok](https://evil.example.com) <https://evil.example.com>"
    (line,) = [each for each in body_of({"Comments": evil}, [], URL).splitlines() if "evil" in each]
    assert line == ("- **Comments**: `x' # Approved already [ok](https://evil.example.com) <https://evil.example.com>`")


def test_a_link_that_holds_more_than_a_link_is_shown_as_text():
    body = body_of({"Link": "https://a.example.com> [ok](https://evil.example.com)"}, [], URL)
    assert "`https://a.example.com> [ok](https://evil.example.com)`" in body


def test_rules_stand_in_the_text_and_names_in_them_break_nothing():
    assert "Only a\\_b\\* may answer." in body_of({}, ["Only a_b* may answer."], URL)


def test_long_texts_are_cut():
    body = body_of({"Comments": "x" * 10_000}, [], URL)
    assert "x" * (LONGEST_VALUE - 3) + "..." in body
    assert len(subject_of("y" * 10_000)) == LONGEST_SUBJECT
