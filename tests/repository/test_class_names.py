"""Each class and type of the package has a name of its own: a name in a traceback tells which one it is."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path, PurePath

import pytest

PACKAGE = Path(__file__).parents[2] / "airflow_provider"
SYSTEMS = {"cocktail", "code_stream", "quay", "service_stage"}


def type_names(source: str) -> Iterator[str]:
    """Classes and type aliases. A type variable is not one: it has no meaning outside of its module."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            is_variable = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "TypeVar"
            if name[0].isupper() and not name.isupper() and not is_variable:
                yield name


def are_parallel(one: PurePath, other: PurePath) -> bool:
    """Whether both are of one floor and of different systems, whose modules have the same plan."""
    systems = [SYSTEMS & {*path.with_suffix("").parts} for path in (one, other)]
    return one.parts[0] == other.parts[0] and all(systems) and systems[0] != systems[1]


def repeated(sources: dict[PurePath, str]) -> set[str]:
    """The names that stand for more than one thing."""
    places = defaultdict(list)
    for path, source in sources.items():
        for name in type_names(source):
            places[name].append(path)
    return {
        f"{name}: {one}, {other}"
        for name, paths in places.items()
        for one, other in combinations(paths, 2)
        if not are_parallel(one, other)
    }


def test_no_two_types_have_the_same_name() -> None:
    # The sandbox has the nouns of the systems, as the clients have.
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if "sandbox" not in path.relative_to(PACKAGE).parts]
    assert repeated({path.relative_to(PACKAGE): path.read_text() for path in paths}) == set()


@pytest.mark.parametrize(
    ("one", "other", "line", "is_refused"),
    [
        ("core/a.py", "hooks/b.py", "class Answer: ...", True),
        ("core/a.py", "hooks/b.py", "Answer = str | None", True),
        ("clients/quay/a.py", "clients/quay/b.py", "class Answer: ...", True),
        ("clients/quay/a.py", "clients/b.py", "class Answer: ...", True),
        ("clients/quay/a.py", "webhooks/code_stream.py", "class Answer: ...", True),
        ("clients/quay/a.py", "clients/cocktail/b.py", "class Answer: ...", False),
        ("webhooks/quay.py", "webhooks/code_stream.py", "class Answer: ...", False),
        ("core/a.py", "hooks/b.py", 'Answer = TypeVar("Answer")', False),
        ("core/a.py", "hooks/b.py", "ANSWER = 1", False),
    ],
)
def test_a_repeated_name_is_seen(one: str, other: str, line: str, is_refused: bool) -> None:
    assert bool(repeated({PurePath(one): line, PurePath(other): line})) == is_refused
