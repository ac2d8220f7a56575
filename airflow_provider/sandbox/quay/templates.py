"""The body templates of Quay's webhooks: JSON whose strings may contain ``${jsonpath}``.

Only plain paths (``$.a.b[0]`` or ``a.b``) are evaluated.
"""

from __future__ import annotations

import json
import re
from typing import Any

_EXPRESSION = re.compile(r"\$\{([^}]*)\}")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class TemplateError(Exception):
    """The template cannot be parsed or filled."""


def check(template: Any) -> None:
    """What create checks: JSON, and no empty expression. :raises TemplateError:"""
    fill(template, {}, joining=False)


def fill(template: Any, payload: dict[str, Any], joining: bool = True) -> Any:
    """The body that replaces the whole payload. :raises TemplateError: also when list items to join are not strings"""
    try:
        parsed = json.loads(template)
    except (TypeError, ValueError) as error:
        raise TemplateError(f"Could not parse template: {error}") from None
    return _fill(parsed, payload, joining)


def _fill(value: Any, payload: dict[str, Any], joining: bool) -> Any:
    if isinstance(value, dict):
        return {key: _fill(each, payload, joining) for key, each in value.items()}
    if isinstance(value, list):
        return [_fill(each, payload, joining) for each in value]
    if not isinstance(value, str):
        return value
    whole = _EXPRESSION.fullmatch(value)
    if whole:
        return _look_up(whole[1], payload)
    return _EXPRESSION.sub(lambda match: _as_text(_look_up(match[1], payload), joining), value)


def _look_up(expression: str, payload: dict[str, Any]) -> Any:
    if not expression.strip():
        raise TemplateError("Empty expression found")
    found: Any = payload
    for name, index in _STEP.findall(expression.strip().removeprefix("$")):
        if index and isinstance(found, list) and int(index) < len(found):
            found = found[int(index)]
        elif name and isinstance(found, dict) and name in found:
            found = found[name]
        else:
            return None
    return found


def _as_text(value: Any, joining: bool) -> str:
    if value is None:
        return "(none)"
    if not isinstance(value, list):
        return str(value)
    if len(value) == 1:
        return str(value)
    if joining and not all(isinstance(each, str) for each in value):
        raise TemplateError("list items to join must be strings")
    return ",".join(map(str, value))
