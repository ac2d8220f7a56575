"""Debian's Chromium without a screen, driven by the W3C WebDriver protocol: the few commands that the tests need."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests

from demo.ports import free_port
from tests.debian import require

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The name under which the protocol hands out an element: https://www.w3.org/TR/webdriver2/#elements"""
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


class BrowserError(RuntimeError):
    """What the driver answered instead of doing it."""


class Browser:
    """One window.

    :param url: of the driver.
    """

    def __init__(self, url: str, profile: str, chromium: str) -> None:
        self.pages: list[str] = []
        """What was shown, of each page at the moment in which it was left."""
        self._http = requests.Session()
        self._http.trust_env = False
        self._session = url
        options = {"binary": chromium, "args": [*ARGUMENTS, f"--user-data-dir={profile}"]}
        answer = self._call("POST", "/session", capabilities={"alwaysMatch": {"goog:chromeOptions": options}})
        self._session = f"{url}/session/{answer['sessionId']}"

    def close(self) -> None:
        self._call("DELETE", "")

    def open(self, url: str) -> None:
        self.note_page()
        self._call("POST", "/url", url=url)

    def url(self) -> str:
        return str(self._call("GET", "/url"))

    def find(self, xpath: str) -> Element:
        """The first element that is shown, waited for."""
        return self.until(lambda: next((each for each in self.find_all(xpath) if each.is_shown()), None), xpath)

    def find_all(self, xpath: str) -> list[Element]:
        found = self._call("POST", "/elements", using="xpath", value=xpath)
        return [Element(self, each[ELEMENT]) for each in found]

    def texts(self, selector: str) -> list[str]:
        """The texts of all shown elements of a CSS selector, in one request."""
        script = """return [...document.querySelectorAll(arguments[0])]
            .filter(each => each.offsetHeight && each.checkVisibility({visibilityProperty: true}))
            .map(each => each.innerText.trim())"""
        shown: list[str] = self._call("POST", "/execute/sync", script=script, args=[selector])
        return shown

    def text(self) -> str:
        """Everything that a person can read."""
        return self.find("//body").text()

    def until(self, look: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """What ``look`` gives, once it gives something.

        :param patience: seconds.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                if found := look():
                    return found
            except BrowserError as error:
                # Pages are drawn anew while one looks at them.
                if "stale element" not in str(error) and "not interactable" not in str(error):
                    raise
            assert time.monotonic() < deadline, f"not shown: {what}\n--- the page at {self.url()}:\n{self.text()}"
            time.sleep(0.1)

    def note_page(self) -> None:
        """Note what a screenshot would show, and what stands behind it; not what was typed here."""
        script = """const page = document.documentElement.cloneNode(true)
            page.querySelectorAll('input, textarea').forEach(each => each.removeAttribute('value'))
            return page.outerHTML + document.body.innerText"""
        self.pages.append(str(self._call("POST", "/execute/sync", script=script, args=[])))

    def _call(self, method: str, path: str, **body: Any) -> Any:
        answer = self._http.request(method, self._session + path, json=body if method == "POST" else None, timeout=60)
        value = answer.json()["value"]
        if not answer.ok:
            raise BrowserError(f"{value['error']}: {value['message'].splitlines()[0]}")
        return value


class Element:
    """Part of a page."""

    def __init__(self, browser: Browser, name: str) -> None:
        self._browser = browser
        self._path = f"/element/{name}"

    def is_shown(self) -> bool:
        return bool(self._call("GET", "/displayed"))

    def text(self) -> str:
        return str(self._call("GET", "/text"))

    def attribute(self, name: str) -> str | None:
        value: str | None = self._call("GET", f"/attribute/{name}")
        return value

    def click(self) -> None:
        self._call("POST", "/click")

    def type(self, text: str) -> None:
        self._call("POST", "/value", text=text)

    def _call(self, method: str, path: str, **body: Any) -> Any:
        return self._browser._call(method, self._path + path, **body)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Installs Chromium and its driver where they are missing, and ends both at the end."""
    chromium = require("chromium", "chromium", "chromium-driver")
    driver = require("chromedriver", "chromium-driver")
    port = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [driver, f"--port={port}", "--log-level=WARNING"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}")
            browser = Browser(f"http://127.0.0.1:{port}", profile, chromium)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            process.terminate()
            process.wait(10)


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            if requests.get(f"{url}/status", timeout=1).json()["value"]["ready"]:
                return
        except requests.ConnectionError:
            pass
        assert time.monotonic() < deadline, "the driver of the browser did not come up"
        time.sleep(0.05)
