"""Links between the pages lead to files and headings that exist, on a website that shows the repository too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docker/*.md"), *ROOT.glob("tests/**/*.md")])
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def links_of(page: Path) -> Iterator[tuple[str, str]]:
    """Path and anchor of each link that stays in the repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text())):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors_of(page: Path) -> set[str]:
    """Of its headings, as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ +(.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    words = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in words}


LINKS = [(page, *link) for page in PAGES for link in links_of(page)]


@pytest.mark.parametrize(
    ("page", "path", "anchor"),
    LINKS,
    ids=[f"{page.relative_to(ROOT)}-{path}-{anchor}" for page, path, anchor in LINKS],
)
def test_a_link_leads_to_what_exists(page: Path, path: str, anchor: str) -> None:
    target = page.parent / path if path else page
    assert target.exists()
    if anchor:
        assert anchor in anchors_of(target)


@pytest.mark.parametrize(("page", "path"), sorted({(page, path) for page, path, _ in LINKS if path}))
def test_a_link_goes_through_no_symbolic_link(page: Path, path: str) -> None:
    """A website that shows the repository follows none: `dags/freeze.py` would not be found there."""
    target = Path(*(page.parent / path).parts)
    assert target.resolve().is_relative_to(ROOT.resolve())
    assert [each for each in (target, *target.parents) if each.is_symlink() and each.is_relative_to(ROOT)] == []


def test_every_page_of_the_documentation_can_be_reached_from_the_readme() -> None:
    linked = {(ROOT / path).resolve() for page, path, _ in LINKS if page == ROOT / "README.md"}
    assert set(ROOT.glob("docs/*.md")) - linked == set()
