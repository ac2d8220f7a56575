"""Tests go through what the package offers. Ruff (SLF001) sees who reads a private name; this, who writes one out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("bench", "demo", "scripts", "tests")
OF_AIRFLOW = {"_service_subprocess", "_queue_dagruns"}
"""What has no public name there."""
PATCHES = {"delattr", "getattr", "object", "patch", "patched", "setattr", "spy"}


def private_names(source: str) -> Iterator[str]:
    """Those that are imported from the package, or patched or read by their name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("airflow_provider"):
            yield from (alias.name for alias in node.names if alias.name.startswith("_"))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", None)) in PATCHES:
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            names = [text.rpartition(".")[2] for text in texts]
            yield from (name for name in names if name.startswith("_") and not name.startswith("__"))


def test_no_test_names_what_is_private_to_the_package() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in private_names(path.read_text())
        if name not in OF_AIRFLOW
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "from airflow_provider.core.news import _mark",
        'mocker.patch.object(poller, "_pollers", {})',
        'mocker.patch("airflow_provider.triggers.poller._pollers", {})',
        'patched(poller, "_pollers", {})',
        'getattr(poller, "_pollers")',
    ],
)
def test_each_way_to_name_one_is_seen(line: str) -> None:
    assert [*private_names(line)] in (["_mark"], ["_pollers"])
