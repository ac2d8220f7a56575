"""What an ``ApprovalNotifier`` fills in if the author of the DAG gives no text."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from airflow.sdk import BaseNotifier
from pytest_mock import MockerFixture

from airflow_provider.notifications import ApprovalNotifier

LINK = "http://airflow.example.com/required_actions"


class Chat(BaseNotifier):
    """Keeps what it sends, and renders it, as most of Airflow's notifiers do."""

    template_fields = ("text", "subject")
    template_ext = (".html",)
    sent: ClassVar[list[tuple[str, str]]] = []

    def __init__(self, text: str = "", subject: str = "") -> None:
        super().__init__()
        self.text, self.subject = text, subject

    def notify(self, context: Any) -> None:
        self.sent.append((self.subject, self.text))


class PlainChat(Chat):
    """Renders nothing."""

    template_fields = ()


class Mail(Chat):
    template_fields = ("html_content", "subject")

    def __init__(self, html_content: str = "", subject: str = "") -> None:
        super().__init__()
        self.html_content, self.subject = html_content, subject

    def notify(self, context: Any) -> None:
        self.sent.append((self.subject, self.html_content))


class PlainMail(Mail):
    template_fields = ()


@pytest.fixture(autouse=True)
def nothing_sent(mocker: MockerFixture) -> None:
    mocker.patch.object(Chat, "sent", [])


def sent_by(through: type[Chat], subject: str, **arguments: Any) -> tuple[str, str]:
    """Subject and text that it sends of an approval with this subject."""
    approval = {"subject": subject, "link": LINK, "body": "- **Stage**: `Prod`"}
    ApprovalNotifier(through, **arguments).notify({"approval": approval, "password": "s3cret"})
    (sent,) = through.sent
    return sent


@pytest.mark.parametrize("name", ["shop", "{{ password }}", "{% if %}", "shop.html", "<b>shop</b> & co"])
@pytest.mark.parametrize("through", [Chat, PlainChat])
def test_what_an_approval_is_called_is_sent_as_it_is_and_no_template(through, name):
    subject = f"Approve or reject: {name}"
    assert sent_by(through, subject) == (subject, f"{subject}\n{LINK}")


@pytest.mark.parametrize("through", [Mail, PlainMail])
def test_what_an_approval_is_called_is_no_html_either(through):
    subject = "Approve or reject: <b>shop</b> & {{ password }}"
    text = f"Approve or reject: &lt;b&gt;shop&lt;/b&gt; &amp; {{{{ password }}}}<br>\n{LINK}"
    assert sent_by(through, subject) == (subject, text)


def test_the_text_of_the_author_is_a_template():
    text = "{{ approval.subject }}, see {{ approval.link }}"
    assert sent_by(Chat, "Approve or reject: shop", text=text)[1] == f"Approve or reject: shop, see {LINK}"
