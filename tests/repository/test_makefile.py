"""The Makefile works with GNU make 3.81, which is what a Mac has."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
README = (ROOT / "README.md").read_text()
SINCE_3_82 = (
    r"^\.ONESHELL|^\.SHELLFLAGS|^\.RECIPEPREFIX|^define \w+ *[:?+]?=|^undefine|^private |!=|::=|\$\(file |\$\(guile "
)
MODULES = sorted(set(re.findall(r"python -m ((?!pytest)[a-z._]+)", MAKEFILE + README)) - {"build", "venv"})
SCRIPTS = sorted(ROOT / name for name in set(re.findall(r"\bscripts/\w+", MAKEFILE)) if (ROOT / name).is_file())
TARGETS = re.findall(r"^([a-z0-9-]+):.*## ", MAKEFILE, re.MULTILINE)


def test_nothing_in_it_is_younger() -> None:
    assert re.findall(SINCE_3_82, MAKEFILE, re.MULTILINE) == []


@pytest.mark.parametrize("target", TARGETS)
def test_each_line_of_a_recipe_is_a_whole_command(target: str) -> None:
    listed = subprocess.run(
        ["make", "--dry-run", "--old-file", ".venv/.installed", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert listed
    for line in listed.splitlines():
        subprocess.run(["bash", "-n", "-c", line], check=True)


@pytest.mark.parametrize("module", MODULES)
def test_a_command_says_what_it_does_and_does_nothing_else_when_asked_for_help(module: str) -> None:
    command = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    usage, _, options = done.stdout.partition("options:")
    assert usage.startswith(f"usage: python -m {module} ")
    assert "``" not in usage
    undescribed = re.findall(r"^  (--?[a-z]+(?:,? [\w-]+)*)\n(?!    )", options, re.MULTILINE)
    assert undescribed == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_that_it_calls_runs_in_the_bash_of_a_mac(script: Path) -> None:
    """Bash 3.2: no associative arrays, no ``mapfile``, no ``${name^^}``, no ``&>>``."""
    text = script.read_text()
    assert script.stat().st_mode & 0o111
    assert not re.search(r"declare -A|mapfile|readarray|\$\{\w+[\^,]|&>>|wait -n|local -n", text)
    subprocess.run(["bash", "-n", script], check=True)


def test_a_python_that_is_too_old_or_missing_is_named(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    done = subprocess.run(
        ["make", "install", "PYTHON=/nowhere/python3.9"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "Python 3.11 to 3.14 is needed, but '/nowhere/python3.9' is" in done.stderr
    assert not (tmp_path / ".venv").exists()
