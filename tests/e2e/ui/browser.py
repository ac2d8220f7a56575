"""Debian's Chromium without a screen, driven by Selenium: the few commands that the tests need."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_mock import MockerFixture
from selenium.common.exceptions import ElementNotInteractableException, StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from demo.airflow_server import LOGIN, PASSWORD
from tests.support import secrets
from tests.support.debian import require

PATIENCE = 30.0
"""Seconds that a page may take to show something."""
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1400,1000",
)


class Browser:
    """One window."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver
        self.pages: list[str] = []
        """What was shown, of each page at the moment in which it was left."""

    def open(self, url: str) -> None:
        self.note_page()
        self._driver.get(url)

    def note_page(self) -> None:
        """Note what a screenshot would show, and what stands behind it; not what was typed here."""
        script = """const page = document.documentElement.cloneNode(true)
            page.querySelectorAll('input, textarea').forEach(each => each.removeAttribute('value'))
            return page.outerHTML + document.body.innerText"""
        self.pages.append(str(self._driver.execute_script(script)))

    def url(self) -> str:
        return self._driver.current_url

    def find(self, xpath: str) -> Element:
        """The first element that is shown, waited for."""
        return self.until(lambda: next((each for each in self.find_all(xpath) if each.is_shown()), None), xpath)

    def find_all(self, xpath: str) -> list[Element]:
        return [Element(each) for each in self._driver.find_elements(By.XPATH, xpath)]

    def texts(self, selector: str) -> list[str]:
        """The texts of all shown elements of a CSS selector, in one request."""
        script = """return [...document.querySelectorAll(arguments[0])]
            .filter(each => each.offsetHeight && each.checkVisibility({visibilityProperty: true}))
            .map(each => each.innerText.trim())"""
        shown: list[str] = self._driver.execute_script(script, selector)
        return shown

    def text(self) -> str:
        """Everything that a person can read."""
        return self.find("//body").text()

    def until(self, read: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """What ``read`` returns, once it returns something.

        :param patience: seconds.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                if found := read():
                    return found
            except (ElementNotInteractableException, StaleElementReferenceException):
                pass  # pages are drawn anew while one looks at them
            assert time.monotonic() < deadline, f"not shown: {what}\n--- the page at {self.url()}:\n{self.text()}"
            time.sleep(0.1)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(self._driver.get_screenshot_as_png())


class Element:
    """Part of a page."""

    def __init__(self, element: WebElement) -> None:
        self._element = element

    def is_shown(self) -> bool:
        return self._element.is_displayed()

    def text(self) -> str:
        return self._element.text

    def attribute(self, name: str) -> str | None:
        """As the page has it: a link may be relative."""
        return self._element.get_dom_attribute(name)

    def click(self) -> None:
        self._element.click()

    def type(self, text: str) -> None:
        self._element.send_keys(text)


@contextmanager
def running_browser(mocker: MockerFixture) -> Iterator[Browser]:
    """With both programs named, Selenium looks for none and downloads none."""
    options = ChromeOptions()
    options.binary_location = require("chromium", "chromium", "chromium-driver")
    service = ChromeService(require("chromedriver", "chromium-driver"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        # Or it would ask the machine's proxy for the driver on this machine.
        mocker.patch.dict(os.environ, no_proxy="localhost")
        driver = Chrome(options, service)
        try:
            yield Browser(driver)
        finally:
            driver.quit()


@contextmanager
def signed_in_browser(url: str, mocker: MockerFixture) -> Iterator[Browser]:
    """Signed in to an Airflow; in the end, no page has shown a secret.

    :param url: of that Airflow.
    """
    with running_browser(mocker) as browser:
        browser.open(f"{url}/connections")
        browser.find("//input[@name='username']").type(LOGIN)
        browser.find("//input[@name='password']").type(PASSWORD)
        browser.find("//button[@type='submit']").click()
        browser.until(lambda: browser.url().endswith("/connections"), "the page after signing in")
        yield browser
        browser.note_page()
        assert len(browser.pages) > 1
        assert secrets.found_in(browser.pages) == []
