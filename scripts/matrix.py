"""``make matrix``: tries the versions that the package says it supports, and writes the README's table from the runs.

Takes the Pythons that are on this machine and everything else from the package index. What cannot be had is shown as
not tried.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".matrix"
README = ROOT / "README.md"
UV = str(Path(sys.executable).parent / "uv")
BEGIN, END = "<!-- make matrix writes this -->\n", "<!-- until here -->"
LONGEST = 1800
"""Seconds that one installation, or one run of the tests, may take."""

TESTS = (
    "tests/test_provider_info.py",
    "tests/test_dag_imports.py",
    "tests/hooks/test_connection_fields.py",
    "tests/core",
    "tests/triggers/test_dag_test.py",
)
"""What Airflow finds of the package, its decisions, and each system's operator, trigger and client in real Airflow."""

NEEDED = ("pytest>=8", "pytest-mock>=3.14", "jsonschema>=4", "hypothesis>=6.100")
"""By these tests."""


@dataclass(frozen=True)
class Row:
    """:param airflow: a version, or "" for the newest.
    :param resolution: of uv: which version of each dependency of ours.
    """

    python: str
    airflow: str = ""
    resolution: str = "highest"

    @property
    def name(self) -> str:
        return "-".join(part for part in (self.python, self.airflow, self.resolution) if part)


ROWS = (
    *(Row(f"3.{minor}") for minor in range(11, 15)),
    Row("3.11", "3.3.1"),
    Row("3.11", "3.3.0"),
    Row("3.11", "3.3.0", "lowest-direct"),
)


@dataclass(frozen=True)
class Result:
    """:param versions: of what was installed, by package; empty if it was not tried."""

    row: Row
    said: str
    versions: dict[str, str]


def find_python(version: str) -> str | None:
    """A Python of this machine: on the path, or one that pyenv keeps."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [f"python{version}", *map(str, sorted(pyenv.glob(f"{version}.*/bin/python{version}")))]
    for each in candidates:
        # A shim may be there for a version that is not.
        if (found := shutil.which(each)) and _output([found, "--version"]):
            return found
    return None


def try_out(row: Row) -> Result:
    """Install the package into an environment of its own and run the tests there."""
    python = find_python(row.python)
    if python is None:
        return Result(row, "not tried: no such Python here", {})
    folder = FOLDER / row.name
    shutil.rmtree(folder, ignore_errors=True)
    own = folder / "bin" / "python"
    airflow = [f"apache-airflow=={row.airflow}"] if row.airflow else []
    install: list[str | Path] = [UV, "pip", "install", "--quiet", "--python", own]
    steps: list[list[str | Path]] = [
        [UV, "venv", "--quiet", "--python", python, folder],
        [*install, "--resolution", row.resolution, ROOT, *airflow],
        # What the tests need must not decide what the package gets.
        [*install, *NEEDED],
    ]
    log = FOLDER / f"{row.name}.log"
    for step in steps:
        if _run(step, log) != 0:
            return Result(row, "**could not be installed**", {})
    frozen = (_output([UV, "pip", "freeze", "--python", own]) or "").splitlines()
    versions = dict(line.split("==", 1) for line in frozen if "==" in line)
    versions["python"] = (_output([own, "--version"]) or "").removeprefix("Python ")
    status = _run([own, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS], log)
    counted = re.findall(r"^(?:=+ )?((?:\d+ \w+,? ?)+) in ", log.read_text(), re.MULTILINE)
    said = counted[-1] if counted else "no test ran"
    return Result(row, said if status == 0 else f"**{said}**", versions)


def table(results: list[Result]) -> Iterator[str]:
    yield "| Python | Airflow | dependencies | requests | pendulum | tenacity | tests |"
    yield "|---|---|---|---|---|---|---|"
    for each in results:
        versions = each.versions
        cells = (
            versions.get("python", each.row.python),
            versions.get("apache-airflow", each.row.airflow or "newest"),
            "lowest" if each.row.resolution == "lowest-direct" else "newest",
            *(versions.get(name, "") for name in ("requests", "pendulum", "tenacity")),
            each.said,
        )
        yield f"| {' | '.join(cells)} |"


def write(results: list[Result], file: Path) -> None:
    """Put the table between the two marks."""
    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} must hold {BEGIN.strip()} and {END}")
    file.write_text(f"{before}{begin}\n{chr(10).join(table(results))}\n\n{end}{after}")


def _run(command: list[str | Path], log: Path) -> int:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "VIRTUAL"))}
    with log.open("a") as output:
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=output, stderr=output, timeout=LONGEST, check=False)
    return done.returncode


def _output(command: list[str | Path]) -> str | None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def main() -> int:
    argparse.ArgumentParser(
        prog="python -m scripts.matrix",
        description="Installs the package beside each supported version of Python, Airflow and its dependencies, runs "
        "the quick tests there, and writes the README's table. It uses the Pythons of this machine.",
    ).parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    results = []
    for row in ROWS:
        print(f"{row.name} ...", end=" ", flush=True)
        results.append(try_out(row))
        print(results[-1].said, flush=True)
    write(results, README)
    print(f"The table is in {README.name}, what the tests said in {FOLDER.name}/")
    return int(any(each.said.startswith("**") for each in results))


if __name__ == "__main__":
    sys.exit(main())
