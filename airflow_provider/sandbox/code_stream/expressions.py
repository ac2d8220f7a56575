"""The expressions of pipelines: ``${input.tag}`` in texts, and the conditions of tasks."""

from __future__ import annotations

import re
from typing import Any

_REFERENCE = re.compile(r"\$\{(?:input\.)?(\w+)\}")
_CONDITION = re.compile(r"""\s*\$\{input\.(\w+)\}\s*(==|!=)\s*['"]?([^'"]*)['"]?\s*$""")


def fill(value: Any, inputs: dict[str, Any]) -> Any:
    """``value`` with references replaced by inputs; a text that is a single reference becomes the input itself."""
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return inputs.get(whole[1])
    return _REFERENCE.sub(lambda match: str(inputs.get(match[1], "")), value)


def holds(condition: Any, inputs: dict[str, Any]) -> bool:
    """Evaluates ``${input.x} == 'y'`` and ``!=``; ``false`` is false, everything else is true."""
    if not isinstance(condition, str) or not condition.strip():
        return True
    match = _CONDITION.match(condition)
    if match is None:
        return condition.strip().lower() != "false"
    equal = str(inputs.get(match[1], "")) == match[3]
    return equal if match[2] == "==" else not equal
