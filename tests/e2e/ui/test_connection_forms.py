"""The form of each connection type as a person sees it, and that what is saved through it works."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from airflow_provider.provider_info import get_provider_info
from tests.e2e.stage import Stage
from tests.e2e.ui.browser import Browser

TYPES: dict[str, dict[str, Any]] = {each["connection-type"]: each for each in get_provider_info()["connection-types"]}
STANDARD = {
    "description": "Description",
    "host": "Host",
    "login": "Login",
    "password": "Password",
    "port": "Port",
    "schema": "Schema",
}
"""What Airflow calls its own fields, in its order."""
DIALOG = "//div[@role='dialog']"
CONN_ID = "made_in_the_form"


class Form:
    """The dialog "Add Connection"."""

    def __init__(self, browser: Browser, url: str, name: str) -> None:
        self._browser = browser
        browser.open(f"{url}/connections")
        browser.find("//button[contains(., 'Add Connection')]").click()
        browser.find(f"{DIALOG}//input[@role='combobox']").type(name)
        browser.find(f"//*[@role='option'][.='{name}']").click()
        browser.find(f"{DIALOG}//button[normalize-space()='Standard Fields']")

    def open_section(self, name: str) -> None:
        self._browser.find(f"{DIALOG}//button[normalize-space()='{name}']").click()

    def shows(self, labels: list[str]) -> bool:
        """Waits until these, in this order, are the labels of the open section."""

        def shown() -> list[str]:
            return [text for text in self._browser.texts("[role=dialog] label") if not text.startswith("Connection ")]

        return bool(self._browser.until(lambda: shown() == labels, f"the labels {labels}"))

    def placeholder(self, field: str) -> str | None:
        return self._browser.find(f"{DIALOG}//*[@name='{field}']").attribute("placeholder")

    def text(self) -> str:
        return self._browser.find(DIALOG).text()

    def fill(self, fields: Mapping[str, object]) -> None:
        for name, value in fields.items():
            self._browser.find(f"{DIALOG}//*[@name='{name}']").type(str(value))

    def save(self) -> None:
        self._browser.find(f"{DIALOG}//button[normalize-space()='Save']").click()
        self._browser.until(lambda: not self._browser.find_all(DIALOG), "the list after saving")


def press_test(browser: Browser) -> str:
    """What the page says after its Test button was pressed."""
    browser.find(f"//tr[contains(., '{CONN_ID}')]//button[@aria-label='Test Connection']").click()
    toast = browser.find("//*[@data-scope='toast'][@data-part='root'][contains(., 'Test Connection')]")
    return str(browser.until(toast.text, "what came of the test"))


@pytest.fixture
def nothing_left(stage: Stage) -> Iterator[None]:
    yield
    stage.airflow.api.call("DELETE", f"connections/{CONN_ID}", missing_ok=True)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("system", TYPES)
def test_a_form_has_its_fields_labels_and_hints_and_what_it_saves_works(
    stage: Stage, browser: Browser, system: str, picture: Callable[[str], None]
) -> None:
    own = TYPES[system]["ui-field-behaviour"]
    fields: dict[str, dict[str, Any]] = TYPES[system]["conn-fields"]
    connection = next(each for each in stage.sandbox.connections() if each["conn_type"] == system)
    standard = {name: connection[name] for name in ("host", "login", "password") if name in connection}
    extras = {"request_timeout": 20, "verify": "true", **json.loads(connection.get("extra", "{}"))}
    extras.pop("ui_url", None)  # Airflow's form loses keys of a long text that is typed as fast as a test types

    form = Form(browser, stage.airflow.url, TYPES[system]["hook-name"])
    assert form.shows(
        [own["relabeling"].get(name, label) for name, label in STANDARD.items() if name not in own["hidden-fields"]]
    )
    assert {name: form.placeholder(name) for name in own["placeholders"]} == own["placeholders"]
    form.fill({"connection_id": CONN_ID, "port": stage.sandbox.port, **standard})
    form.open_section("Extra Fields")
    assert form.shows([field["label"] for field in fields.values()])
    assert [field["description"] for field in fields.values() if field["description"] not in form.text()] == []
    form.fill({f"element_{name}": value for name, value in extras.items()})
    picture(f"form-{system}")
    form.save()

    saved = json.loads(stage.airflow.api.call("GET", f"connections/{CONN_ID}")["extra"])
    assert {name: value for name, value in saved.items() if value is not None} == extras
    assert press_test(browser).startswith("Test Connection Successful")


@pytest.mark.usefixtures("nothing_left")
def test_a_connection_that_does_not_work_says_why(stage: Stage, browser: Browser) -> None:
    form = Form(browser, stage.airflow.url, TYPES["quay"]["hook-name"])
    form.fill({"connection_id": CONN_ID, "host": f"{stage.sandbox.url}/quay", "port": stage.sandbox.port})
    form.fill({"password": "not-the-token"})
    form.save()
    said = press_test(browser)
    assert said.startswith("Test Connection Failed")
    assert "the credentials of the connection are not accepted" in said
    assert "not-the-token" not in browser.text()
