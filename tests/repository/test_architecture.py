"""docs/architecture.md shows the layers that the import rules enforce, and clients are built as it describes."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
CLIENTS = ROOT / "airflow_provider" / "clients"
SYSTEMS = sorted(each.parent.name for each in CLIENTS.glob("*/client.py"))
BELOW_THE_WIRE = {
    *("documents", "errors", "fields", "references"),
    *("iam", "lists", "login", "paths", "signing", "words"),
}
MOST_LINES = 150


def modules(system: str) -> dict[str, set[str]]:
    """By name, the modules of the same client that each one imports when it runs."""
    package = f"airflow_provider.clients.{system}"
    found = {}
    for file in (CLIENTS / system).glob("*.py"):
        imported = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == package:
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{package}."):
                imported.add(str(node.module).removeprefix(f"{package}."))
        found[file.stem] = imported
    return found


def test_the_picture_shows_the_floors_of_the_import_rules() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(rule["layers"] for rule in rules if rule["name"] == "Arrows point down")
    floors = [name for layer in layers for name in re.split(r" [:|] ", layer)]
    picture = PAGE.partition("```mermaid")[2].partition("```")[0]
    labels = dict(re.findall(r'^    (\w+)\["[\w ]+: ([\w, ]+)"\]$', picture, re.MULTILINE))
    arrows = next(line for line in picture.splitlines() if "-->" in line)
    drawn = [each.strip() for node in arrows.split("-->") for each in labels.get(node.strip(), node).split(",")]
    order = [next(place for place, layer in enumerate(layers) if name in re.split(r" [:|] ", layer)) for name in drawn]
    assert sorted(drawn) == sorted(floors)
    assert order == sorted(order)


@pytest.mark.parametrize("system", SYSTEMS)
def test_nouns_stand_over_the_wire_and_never_get_the_client(system: str) -> None:
    imports = modules(system)
    low = BELOW_THE_WIRE & imports.keys()
    assert imports["wire"] <= low
    assert {name: imports[name] - low for name in low if imports[name] - low} == {}
    over_it = {name for name, imported in imports.items() if "client" in imported}
    assert {name for name in over_it if not name.endswith("_changes")} == {"__init__"}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_client_is_its_constructor_and_its_nouns(system: str) -> None:
    assert len((CLIENTS / system / "client.py").read_text().splitlines()) < MOST_LINES


def test_the_modules_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"`((?:operators|core|clients|triggers|exceptions)[\w/]*\.py)`", PAGE))
    assert len(named) > 6
    assert [name for name in sorted(named) if not (ROOT / "airflow_provider" / name).exists()] == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_module_of_a_client_is_in_the_table(system: str) -> None:
    """Nouns are what the client imports; the table names other modules, or their endings."""
    imports = modules(system)
    table = PAGE.partition("## Inside a client")[2].partition("Only `clients/waits.py`")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    names = {name for cell in cells for name in re.findall(r"`(\w+)\.py`", cell)}
    endings = tuple(ending for cell in cells for ending in re.findall(r"`<noun>(_\w+)\.py`", cell))
    others = imports.keys() - imports["client"] - names - {"__init__"}
    assert [name for name in sorted(others) if not name.endswith(endings)] == []


def test_the_table_names_no_module_that_is_gone() -> None:
    stems = [file.stem for system in SYSTEMS for file in (CLIENTS / system).glob("*.py")]
    table = PAGE.partition("## Inside a client")[2].partition("Only `clients/waits.py`")[0]
    named = re.findall(r"`(?:<noun>)?(\w+)\.py`", table)
    assert [name for name in named if not any(stem.endswith(name) for stem in stems)] == []
