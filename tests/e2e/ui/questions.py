"""The page on which a person answers what a task asks."""

from __future__ import annotations

from tests.e2e.ui.browser import Browser, Element


def press(browser: Browser, option: str) -> None:
    browser.until(lambda: can_be_pressed(browser, option), f"{option}, ready to be pressed")
    _button(browser, option).click()


def can_be_pressed(browser: Browser, option: str) -> bool:
    return _button(browser, option).attribute("disabled") is None


def _button(browser: Browser, option: str) -> Element:
    return browser.find(f"//button[@data-testid='hitl-option-{option}']")
