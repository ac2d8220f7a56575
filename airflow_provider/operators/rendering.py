"""What templates make of an argument: text that a number does not keep, and parts that are missing.

Separate from arguments.py, which every parsing of a DAG file imports.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.context import render_template_to_string
from airflow.sdk.exceptions import XComNotFound
from jinja2 import StrictUndefined

from airflow_provider.missing_parts import MISSING, problem_of_parts
from airflow_provider.operators.arguments import NUMBER, is_number

if TYPE_CHECKING:
    from airflow.sdk import Context

CHANGED = (
    "must be text, got {value!r}, which render_template_as_native_obj made of {text!r}: to keep the text, write "
    "{{{{ ... | tojson }}}}"
)


class MissingXCom(XComNotFound):
    """An argument names the XCom of a task that has none; most often an item of its result was meant."""

    def __init__(self, name: str, error: XComNotFound) -> None:
        super().__init__(error.dag_id, error.task_id, error.key)
        self.name = name

    def __str__(self) -> str:
        # Airflow itself takes a missing result for None.
        pull = f"{{{{ ti.xcom_pull(task_ids={self.task_id!r})[...] }}}}"
        return (
            f"{self.name} must be given, got output[{self.key!r}] of task {self.task_id!r}, which has no XCom of that "
            f'name. For an item of its result write "{pull}"'
        )


class Rendering:
    """One argument while its templates are rendered.

    :param given: the argument as its author wrote it.
    """

    def __init__(self, given: object) -> None:
        self._given = given
        self._problem: str | None = None

    def problem_of(self, value: object) -> str | None:
        """What is wrong with the argument, once it is rendered to this value: the rest of a sentence that begins with
        its name; ``None`` if nothing is."""
        return self._problem or text_problem(self._given, value)

    def note_value(self, value: object, template: Any, context: Context) -> None:
        """Note whether a value that a template was rendered to has lost how its numbers were written."""
        # A template whose value is a real number, not text that looks like one, cannot be rendered as text.
        with suppress(TypeError):
            if is_number(value):
                text = render_template_to_string(template, context).strip()
                if str(value) != text:
                    self._note(CHANGED.format(text=text, value=value))
            elif isinstance(value, (Mapping, list, tuple, set)):
                # Text that was read as a literal; anything else has numbers as Python writes them.
                with suppress(SyntaxError, ValueError, tokenize.TokenError):
                    for text, number in changed_numbers(render_template_to_string(template, context)):
                        self._note(CHANGED.format(text=text, value=number))

    def may_lack_parts(self, value: object, environment: Any) -> bool:
        """Whether a part of a string that was rendered to this value may be missing, so that all must be examined.

        :param environment: Jinja's. Airflow's fails over a name that nobody has defined, unless a DAG says otherwise.
        """
        # A longer string contains it like any other word.
        may_hold_none = isinstance(value, str) and "None" in value and value != "None"
        return may_hold_none or not issubclass(environment.undefined, StrictUndefined)

    def note_parts(self, parts: Iterable[object]) -> None:
        """Note whether a part is missing: what an expression of a template rendered to."""
        if problem := problem_of_parts(parts):
            self._note(problem)

    def _note(self, problem: str) -> None:
        self._problem = self._problem or problem


def changed_numbers(text: str) -> Iterator[tuple[str, object]]:
    """Numbers in a Python literal, outside its strings, that differ from how they are written: each with its value."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NUMBER and str(number := ast.literal_eval(token.string)) != token.string:
            yield token.string, number


def text_problem(given: object, value: object) -> str | None:
    """What is wrong with an argument that holds text, ids or a mapping, once its templates are rendered.

    The values of a mapping may be numbers, because a pipeline may have numeric inputs.

    :param given: the argument before rendering.
    """
    if value is None or value == "None":
        return None if given in (None, "", "None") else MISSING
    if isinstance(value, float):
        return NUMBER.format(value=value)
    problems = (text_problem(each, rendered) for each, rendered in _parts(given, value))
    return next(filter(None, problems), None)


def _parts(given: object, value: object) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        named = given if isinstance(given, Mapping) else {}
        for name, each in value.items():
            # A number that the author wrote is fine; one that a template made of text is reported where that happens.
            if not isinstance(each, float):
                yield named.get(name, each), each
    elif isinstance(value, (list, tuple)):
        before = given if isinstance(given, (list, tuple)) and len(given) == len(value) else value
        yield from zip(before, value, strict=True)
