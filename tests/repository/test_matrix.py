"""The README's table of versions is generated from runs, and names what was not tried."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from scripts.matrix import BEGIN, END, ROWS, TESTS, Result, Row, table, try_out, write

ROOT = Path(__file__).parents[2]


def test_every_python_that_is_supported_is_a_row() -> None:
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    first, last = map(int, re.findall(r"3\.(\d+)", supported))
    assert {row.python for row in ROWS} == {f"3.{minor}" for minor in range(first, last)}
    assert {row.airflow for row in ROWS} >= {"", "3.3.0"}
    assert "lowest-direct" in {row.resolution for row in ROWS}


def test_the_tests_that_it_runs_are_there() -> None:
    assert all((ROOT / path).exists() for path in TESTS)


def test_a_python_that_is_not_here_is_not_tried() -> None:
    result = try_out(Row("3.99"))
    assert result.said == "not tried: no such Python here"
    assert list(table([result]))[-1] == "| 3.99 | newest | newest |  |  |  | not tried: no such Python here |"


def test_the_table_goes_between_its_marks(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"above\n{BEGIN}old\n{END}\nbelow\n")
    versions = {"python": "3.11.7", "apache-airflow": "3.3.2", "requests": "2.32.2"}
    for _ in range(2):
        write([Result(Row("3.11"), "12 passed", versions)], file)
        text = file.read_text()
        assert text.startswith("above\n")
        assert text.endswith(f"{END}\nbelow\n")
        assert text.count("| 3.11.7 | 3.3.2 | newest | 2.32.2 |  |  | 12 passed |") == 1
        assert "old" not in text


def test_a_file_without_marks_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("nothing\n")
    with pytest.raises(ValueError, match="must hold"):
        write([], file)
    assert file.read_text() == "nothing\n"


def test_the_readme_has_the_marks() -> None:
    readme = (ROOT / "README.md").read_text()
    assert readme.count(BEGIN) == 1
    assert END in readme.partition(BEGIN)[2]
