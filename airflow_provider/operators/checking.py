"""Checks arguments by their annotations: when the DAG is parsed or, if they hold a template, when the task runs."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from airflow_provider.exceptions import BadRequestError, Call
from airflow_provider.operators.arguments import arguments_of, problem_of

RuleT = TypeVar("RuleT", bound=Callable[[Any], None])

_MARKS = ("{{", "{%", "{#")
_OWN_MARKS = ("variable_start_string", "block_start_string", "comment_start_string")


def rule_of(*names: str) -> Callable[[RuleT], RuleT]:
    """Mark a method that refuses combinations of arguments, with ``bad_argument``.

    :param names: the arguments that it compares. It is called once all of their templates are rendered.
    """

    def mark(rule: RuleT) -> RuleT:
        rule.compares = names  # type: ignore[attr-defined]
        return rule

    return mark


class CheckedArguments:
    """Refuses wrong arguments in the constructor, so that the import of the DAG fails and names task and argument.

    The annotations of ``__init__`` define what an argument must be, also in subclasses. Templates, results of other
    tasks and what a mapped task is expanded over are checked when the task runs, before it sends anything.
    """

    _rules: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._rules = (*cls._rules, *(name for name, each in vars(cls).items() if hasattr(each, "compares")))
        if init := vars(cls).get("__init__"):
            # Airflow wraps it again, and passes the values of `default_args`.
            cls.__init__ = _checked(init)  # type: ignore[method-assign]

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """As Airflow's own ``partial``, which constructs no operator before the task runs."""
        cls._refuse_wrong(_hints_of(cls), kwargs)
        return super().partial(**kwargs)  # type: ignore[misc]

    def check_arguments(self) -> None:
        """Refuse wrong arguments, after templating and before any request."""
        hints, fields = self.hints(), _templated(type(self))
        for name in filter(hints.__contains__, fields):
            if problem := problem_of(hints[name], getattr(self, name)):
                raise self.bad_argument(name, problem)
        for name in self._rules:
            getattr(self, name)()

    def hints(self) -> dict[str, Any]:
        """All arguments with their annotations."""
        return _hints_of(type(self))

    def bad_argument(self, name: str, problem: str) -> BadRequestError:
        return _bad_argument(type(self), getattr(self, "task_id", None), name, problem)

    def require_exactly_one(self, *names: str) -> None:
        """Refuse anything but exactly one of these arguments."""
        if len(given := [name for name in names if getattr(self, name)]) != 1:
            got = " and ".join(given) or "neither"
            raise self.bad_argument(names[0], f"or {names[1]} must be given, but not both, got {got}")

    @classmethod
    def _refuse_wrong(cls, hints: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        fields, marks = _templated(cls), _marks_of(given.get("dag"))
        for name, hint in hints.items():
            if name not in given or (name in fields and _is_left(given[name], cls, marks)):
                continue
            if problem := problem_of(hint, given[name]):
                raise _bad_argument(cls, _task_of(given), name, problem)

    def _refuse_together(self, given: Mapping[str, Any]) -> None:
        fields, marks = _templated(type(self)), _marks_of(given.get("dag"))
        left = {name for name in fields if _is_left(getattr(self, name, None), type(self), marks)}
        for rule in (getattr(self, name) for name in self._rules):
            if left.isdisjoint(rule.compares):
                rule()


def _checked(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def checked(self: Any, **given: Any) -> None:
        self._refuse_wrong(arguments_of(init), given)
        init(self, **given)
        if getattr(type(self).__init__, "__wrapped__", None) is checked:
            self._refuse_together(given)

    return checked


def _hints_of(cls: type) -> dict[str, Any]:
    inits = [base.__init__ for base in reversed(cls.__mro__) if issubclass(base, CheckedArguments)]
    return {name: hint for init in dict.fromkeys(inits) for name, hint in arguments_of(init).items()}


def _templated(cls: type) -> tuple[str, ...]:
    return tuple(getattr(cls, "template_fields", ()))


def _is_left(value: object, cls: type, marks: tuple[str, ...]) -> bool:
    """Whether the value is known only when the task runs: a template, a template file, the result of a task."""
    if isinstance(value, str):
        return any(mark in value for mark in marks) or value.endswith(tuple(getattr(cls, "template_ext", ())))
    if isinstance(value, Mapping):
        return any(_is_left(each, cls, marks) for each in value.values())
    if isinstance(value, (list, tuple, set)):
        return any(_is_left(each, cls, marks) for each in value)
    # By the same criteria as Airflow: an XComArg and the like, a callable, an object with template fields of its own.
    is_known_later = callable(value) or hasattr(value, "resolve") or hasattr(value, "template_fields")
    return is_known_later and not isinstance(value, os.PathLike)


def _marks_of(dag: Any) -> tuple[str, ...]:
    """The delimiters of templates in this DAG."""
    own = getattr(dag, "jinja_environment_kwargs", None) or {}
    return (*_MARKS, *(own[name] for name in _OWN_MARKS if name in own))


def _task_of(given: Mapping[str, Any]) -> str | None:
    task_id, group = given.get("task_id"), given.get("task_group")
    if group is None or task_id is None or str(task_id).startswith(f"{group.group_id}."):
        return task_id
    return str(group.child_id(task_id))


def _bad_argument(cls: type, task_id: str | None, name: str, problem: str) -> BadRequestError:
    return BadRequestError(f"task {task_id!r}: {name} {problem}", call=Call(system=getattr(cls, "system", None)))
