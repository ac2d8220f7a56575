"""Notifies people that a decision is needed, by e-mail, chat or webhook, through any of Airflow's own notifiers."""

from __future__ import annotations

import html
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseNotifier
from airflow.sdk._shared.module_loading import import_string

SUBJECTS = ("subject", "title")
TEXTS = ("text", "message", "body", "content", "html_content")
"""Names of the arguments that are filled in if the author gives none; the first that a notifier takes is used."""
HTML_TEXTS = ("html_content",)
"""Those of them that are HTML."""


class ApprovalNotifier(BaseNotifier):
    """Sends one of Airflow's notifications when a task asks people about an approval; for ``notifiers`` of those tasks.

    ``ApprovalNotifier("airflow.providers.smtp.notifications.smtp.SmtpNotifier", to="releases@example.com")``

    :param through: class of a notifier, or its import path; instantiated only when there is something to send.
    :param arguments: arguments of that class. In templates, ``approval`` holds ``subject``, ``link`` and ``body``
        (Markdown). The default text is the subject and the link.
    """

    def __init__(self, through: type[BaseNotifier] | str, **arguments: Any) -> None:
        super().__init__()
        self.through = through
        self.arguments = arguments

    def notify(self, context: Any) -> None:
        """Raises whatever the other notifier's constructor raises; Airflow logs what it raises later."""
        cls = import_string(self.through) if isinstance(self.through, str) else self.through
        cls(**self.arguments | _texts(cls, self.arguments, context["approval"]))(context)


def _texts(cls: type, given: Mapping[str, Any], approval: Mapping[str, str]) -> dict[str, str]:
    takes = inspect.signature(cls).parameters
    filled: dict[str, str] = {}
    for names, parts in ((SUBJECTS, ("subject",)), (TEXTS, ("subject", "link"))):
        name = next((name for name in names if name in takes), None)
        if name and not any(each in given for each in names):
            filled[name] = _text_of(name, parts, approval, is_template=name in getattr(cls, "template_fields", ()))
    return filled


def _text_of(name: str, parts: Sequence[str], approval: Mapping[str, str], *, is_template: bool) -> str:
    """The parts of an approval, one a line.

    :param name: of the argument that takes them.
    :param is_template: whether the notifier renders the argument. What vendors and authors call their things must not
        be rendered: it may look like a template, and a template can read connections.
    """
    is_html = name in HTML_TEXTS
    if is_template:
        lines = [f"{{{{ approval.{part}{' | e' if is_html else ''} }}}}" for part in parts]
    else:
        lines = [html.escape(approval[part]) if is_html else approval[part] for part in parts]
    return ("<br>\n" if is_html else "\n").join(lines)
