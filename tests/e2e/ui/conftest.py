"""A real browser, signed in to the real Airflow of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from demo.airflow_server import LOGIN, PASSWORD
from tests.e2e.stage import Stage
from tests.e2e.ui.browser import Browser, running_browser
from tests.support import secrets

PICTURES = Path(__file__).parents[3] / ".screenshots"
"""Kept for people, who look whether a page reads well; tests ask what it says."""


@pytest.fixture
def picture(browser: Browser) -> Callable[[str], None]:
    """Takes a picture of what the browser shows, under a name."""
    PICTURES.mkdir(exist_ok=True)
    return lambda name: browser.screenshot(PICTURES / f"{name}.png")


@pytest.fixture(scope="package")
def browser(stage: Stage, package_mocker: MockerFixture) -> Iterator[Browser]:
    with running_browser(package_mocker) as browser:
        browser.open(f"{stage.airflow.url}/connections")
        browser.find("//input[@name='username']").type(LOGIN)
        browser.find("//input[@name='password']").type(PASSWORD)
        browser.find("//button[@type='submit']").click()
        browser.until(lambda: browser.url().endswith("/connections"), "the page after signing in")
        yield browser
        browser.note_page()
        assert len(browser.pages) > 1
        assert secrets.found_in(browser.pages) == []
