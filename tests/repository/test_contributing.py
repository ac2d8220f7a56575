"""CONTRIBUTING.md is right: every path, command and class that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
CODE = set(re.findall(r"`([^`\n]+)`", PAGE))
PATHS = sorted(name for name in CODE if re.fullmatch(r"[\w./-]+(/|\.(py|md|txt|toml))|\.ci/run", name))
TARGETS = sorted({target for code in CODE for target in re.findall(r"^make ([a-z0-9-]+)", code)})
FOLDERS = ["bench", "demo", "docker", "docs", "scripts", "tests"]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_it_names_is_there(path: str) -> None:
    folders = [ROOT, *(ROOT / "airflow_provider/clients").iterdir(), *(ROOT / "airflow_provider/sandbox").iterdir()]
    assert any((each / path).exists() for each in (folders if "/" not in path else [ROOT]))


@pytest.mark.parametrize("target", TARGETS)
def test_a_command_that_it_names_is_in_the_makefile(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_folder_of_the_package_and_of_the_repository_has_its_line() -> None:
    package = ROOT / "airflow_provider"
    code = {folder.parent.name for folder in package.glob("*/__init__.py")}
    assert [name for name in sorted(code) if f"`airflow_provider/{name}/`" not in PAGE] == []
    assert [name for name in FOLDERS if f"`{name}/`" not in PAGE] == []


def test_every_module_at_the_root_of_a_package_has_its_line() -> None:
    modules = {file.stem for file in (ROOT / "airflow_provider").glob("*.py")} - {"__init__"}
    assert [name for name in sorted(modules) if f"`airflow_provider/{name}.py`" not in PAGE] == []
    packages = [folder.parent.name for folder in ROOT.glob("airflow_provider*/__init__.py")]
    assert [name for name in packages if f"`{name}/" not in PAGE] == []


def test_nothing_is_said_twice_in_the_glossary() -> None:
    words = re.findall(r"^\| ([^|]+) \|", PAGE.partition("## Glossary")[2], re.MULTILINE)[2:]
    assert len(words) > 20
    assert len(words) == len(set(words))
