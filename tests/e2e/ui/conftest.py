"""A real browser, signed in to the real Airflow of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tests.e2e.stage import Stage
from tests.e2e.ui.browser import Browser, signed_in_browser

PICTURES = Path(__file__).parents[3] / ".screenshots"
"""Kept for people, who look whether a page reads well; tests ask what it says."""


@pytest.fixture
def picture(browser: Browser) -> Callable[[str], None]:
    """Takes a picture of what the browser shows, under a name."""
    PICTURES.mkdir(exist_ok=True)
    return lambda name: browser.screenshot(PICTURES / f"{name}.png")


@pytest.fixture(scope="package")
def browser(stage: Stage, package_mocker: MockerFixture) -> Iterator[Browser]:
    with signed_in_browser(stage.airflow.url, package_mocker) as browser:
        yield browser
