"""No test is imported by another: what several need stands in `tests/support/`, or in a helper beside them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def imported_tests(source: str) -> Iterator[str]:
    """The modules of tests, and the tests in others, that it imports."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
        yield from (name for name in names if any(part.startswith("test_") for part in name.split(".")))


def test_no_test_is_imported() -> None:
    found = [
        f"{path.relative_to(TESTS)}: {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for name in imported_tests(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "import tests.core.test_waiting",
        "from tests.core import test_waiting",
        "from tests.core.test_waiting import seen",
        "from .test_waiting import seen",
        "from tests.support.waiting import test_seen",
    ],
)
def test_each_way_to_import_one_is_seen(line: str) -> None:
    assert [*imported_tests(line)]


def test_a_helper_may_be_imported() -> None:
    assert [*imported_tests("from tests.support.until import until\nfrom tests.webhooks.conftest import Route")] == []
