"""What is missing in a text with templates: the same where a worker renders it and where a triggerer does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jinja2 import Undefined

_FROM_A_TEMPLATE = (
    "from a template: what it reads is missing, such as the XCom of a skipped task. If that is fine, write "
    "{{ ... or '' }}"
)
MISSING = f"must not be None, got None {_FROM_A_TEMPLATE}"
MISSING_PART = f"must not contain None, got a part that is None {_FROM_A_TEMPLATE}"
UNDEFINED_PART = f"must not contain what is undefined, got a part that is {_FROM_A_TEMPLATE}"


def noting_parts(environment: Any, parts: list[object]) -> Any:
    """A Jinja environment that also appends what each expression of a template renders to."""

    def note(part: Any) -> Any:
        parts.append(part)
        return part

    return environment.overlay(finalize=note)


def problem_of_parts(parts: Iterable[object]) -> str | None:
    """What is wrong with a text, given what its expressions rendered to: the rest of a sentence that begins with its
    name; ``None`` if nothing is."""
    for part in parts:
        if isinstance(part, Undefined):
            return UNDEFINED_PART
        if part is None:
            return MISSING_PART
    return None
