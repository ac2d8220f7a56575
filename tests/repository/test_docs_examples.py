"""The DAGs in docs/*.md are whole files: saved as printed, Airflow imports them. test_readme.py runs the README's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tests.support.dag_files import dags_of

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = [
    (page.name, code)
    for page in sorted(DOCS.glob("*.md"))
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    # Of a project with tests, which tests/sandbox/test_testing.py plays.
    if not code.startswith("# ")
]


@pytest.mark.parametrize(("page", "code"), EXAMPLES, ids=[page for page, _ in EXAMPLES])
def test_an_example_is_a_dag_file(page: str, code: str, mocker: MockerFixture) -> None:
    for dag in dags_of(code, page, mocker):
        assert dag.task_ids or page == "webhooks.md"


@pytest.mark.parametrize(("page", "code"), EXAMPLES, ids=[page for page, _ in EXAMPLES])
def test_an_example_has_a_name_of_its_own_beside_the_dags_of_the_wheel(
    page: str, code: str, mocker: MockerFixture
) -> None:
    """Airflow shows those as well, and would run now the one, now the other of two DAGs of one name."""
    in_the_wheel = {each.stem for each in (DOCS.parent / "airflow_provider" / "example_dags").glob("*.py")}
    assert {dag.dag_id for dag in dags_of(code, page, mocker)}.isdisjoint(in_the_wheel)


def test_pages_with_examples_are_found() -> None:
    assert {page for page, _ in EXAMPLES} == {"approvals.md", "events.md", "webhooks.md"}


@pytest.mark.parametrize("page", sorted([*DOCS.glob("*.md"), DOCS.parent / "README.md"]), ids=lambda page: page.name)
def test_a_shell_takes_each_command_as_it_is_pasted(page: Path) -> None:
    """zsh, which a Mac has, knows no comments at its prompt."""
    for code in re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        assert not re.search(r"(^| )#", code, re.MULTILINE), code
