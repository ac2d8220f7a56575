"""What the arguments of every operator and sensor must be, by annotation: words, durations, ids, text."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from airflow_provider.identifiers import (
    build_tags_problem,
    callback_problem,
    digest_problem,
    got,
    number_problem,
    quay_id_problem,
    repository_problem,
    seconds_of,
    tag_problem,
    url_problem,
    windows_problem,
)

NUMBER = (
    "must be text, got the number {value!r}, which may have been written differently: 1.10 becomes 1.1. Quote it, "
    "or in a template with render_template_as_native_obj write {{{{ ... | tojson }}}}"
)
EMPTY = "must not be empty"


def _duration_problem(value: object, *, may_be_zero: bool = False) -> str | None:
    try:
        seconds_of(value, may_be_zero=may_be_zero)
    except ValueError as error:
        return str(error)
    return None


def _json_problem(value: object) -> str | None:
    if not isinstance(value, Mapping):
        return _no_mapping(value)
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        return f"must be JSON-serializable: {error}"
    return None


def moment_of(value: object) -> datetime:
    """A moment given as ``datetime`` or text.

    :raises ValueError: it is not a moment, or has no time zone.
    """
    if not isinstance(value, (datetime, str)):
        raise ValueError(f"must be a datetime or ISO 8601 text, {got(value)}")
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"must be ISO 8601, {got(value)}") from None
    if moment.tzinfo is None:
        raise ValueError(f"must have a time zone, {got(value)}")
    return moment


def _moment_problem(value: object) -> str | None:
    try:
        moment_of(value)
    except ValueError as error:
        return str(error)
    return None


def _count_problem(value: object) -> str | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return None if is_count else f"must be a whole number of at least 1, {got(value)}"


def _asset_problem(value: object) -> str | None:
    named = value if isinstance(value, str) else getattr(value, "uri", None)
    return None if isinstance(named, str) and named else f"must be an Asset, or the name or URI of one, {got(value)}"


def asset_names(value: Any) -> tuple[str, str]:
    """Name and URI of an asset; the same for both if only one is given."""
    return (value, value) if isinstance(value, str) else (value.name, value.uri)


def _callback_problem(value: object) -> str | None:
    """For whether, and by which webhook, a system is to report an execution."""
    if isinstance(value, bool) or (isinstance(value, str) and value):
        return None
    return f"must be True, False or the name of a webhook, {got(value)}"


def _tag_or_number_problem(value: object) -> str | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return tag_problem(str(value) if is_number else value)


Seconds = Annotated[float | timedelta, _duration_problem]
SecondsOrZero = Annotated[float | timedelta, functools.partial(_duration_problem, may_be_zero=True)]
"""For a sensor, whose first poll may be its last."""
Moment = Annotated[datetime | str, _moment_problem]
JsonObject = Annotated[Mapping[str, Any], _json_problem]
Count = Annotated[int, _count_problem]
AssetArgument = Annotated[Any, _asset_problem]
Callback = Annotated[bool | str, _callback_problem]
Windows = Annotated[Sequence[Mapping[str, Any]] | str, windows_problem]

Number = Annotated[int | str, number_problem]
RepositoryName = Annotated[str, repository_problem]
TagName = Annotated[str, tag_problem]
BuildTags = Annotated[list[str], build_tags_problem]
Digest = Annotated[str, digest_problem]
QuayId = Annotated[str, quay_id_problem]
TagOrNumber = Annotated[int | str, _tag_or_number_problem]
"""For a tag, which is sent as text: a template with native objects turns 20 into a number."""
ArchiveUrl = Annotated[str, url_problem]
CallbackUrl = Annotated[str, callback_problem]


@functools.cache
def arguments_of(init: Callable[..., None]) -> dict[str, Any]:
    """The arguments of a constructor with their annotations; none if those cannot be resolved, as in a user's class."""
    init = inspect.unwrap(init)
    named = [each.name for each in inspect.signature(init).parameters.values() if each.kind is each.KEYWORD_ONLY]
    if not named:
        return {}
    # The annotation of `**kwargs` is for type checkers only.
    hints = {name: hint for name, hint in init.__annotations__.items() if name in named}
    try:
        return get_type_hints(SimpleNamespace(__annotations__=hints), init.__globals__, include_extras=True)
    except NameError:
        return {}


def problem_of(hint: Any, value: object) -> str | None:
    """What is wrong with an argument, by its annotation: the rest of a sentence that begins with its name.

    An argument of type ``str | None`` may be empty, which means that it was not given; other text may not.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType) and NoneType in parts:
        needed = _without_none(parts)
        return None if value is None or (value == "" and _is_text(needed)) else problem_of(needed, value)
    if _is_text(hint) and (value is None or value == ""):
        return EMPTY
    if origin is Annotated:
        check: Callable[[object], str | None] = parts[1]
        return check(value)
    if origin is Literal:
        return None if value in parts else f"must be {_words(parts)}, {got(value)}"
    if hint is bool:
        return None if isinstance(value, bool) else f"must be True or False, {got(value)}"
    if hint is str:
        return None if _may_be_text(value) else NUMBER.format(value=value) if is_number(value) else _no_text(value)
    if origin in (dict, Mapping):
        return _mapping_problem(parts[1], value)
    if origin in (list, Sequence):
        return _list_problem(parts[0], value)
    return None


def whole_numbers_as_text(hint: Any, value: Any) -> Any:
    """The value of an argument, with whole numbers as text where its annotation wants text.

    Rendering with native objects makes 20261128 of ``{{ ds_nodash }}``, which is the same text again.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return whole_numbers_as_text(parts[0], value)
    if origin in (Union, UnionType) and NoneType in parts:
        return whole_numbers_as_text(_without_none(parts), value)
    if hint is str and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if origin in (list, Sequence) and isinstance(value, (list, tuple)):
        return [whole_numbers_as_text(parts[0], each) for each in value]
    if origin in (dict, Mapping) and isinstance(value, Mapping):
        return {name: whole_numbers_as_text(parts[1], each) for name, each in value.items()}
    return value


def _without_none(parts: tuple[Any, ...]) -> Any:
    return functools.reduce(lambda one, other: one | other, (part for part in parts if part is not NoneType))


def _is_text(hint: Any) -> bool:
    """Whether an argument of this type may be text."""
    hint = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return hint is str or (str in get_args(hint) and get_origin(hint) in (Union, UnionType))


def _may_be_text(value: object) -> bool:
    """Integers are accepted, because rendering with native objects turns text into them without loss."""
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _no_text(value: object) -> str:
    return f"must be text, {got(value)}"


def _no_mapping(value: object) -> str:
    # The value is not shown: it may hold a secret.
    return f"must be a mapping, got {'None' if value is None else f'a {type(value).__name__}'}"


def _mapping_problem(hint: Any, value: object) -> str | None:
    if not isinstance(value, Mapping):
        return _no_mapping(value)
    for name, each in value.items():
        if hint is not Any and (problem := problem_of(hint, each)):
            return f"must be a mapping in which {name!r} {problem}"
    return None


def _list_problem(hint: Any, value: object) -> str | None:
    if not isinstance(value, (list, tuple)):
        # What should be mappings is not shown: it may hold a secret.
        return f"must be a list, {got(value) if hint is str else f'got a {type(value).__name__}'}"
    if hint is not str:
        for number, each in enumerate(value):
            if problem := problem_of(hint, each):
                return f"must be a list in which item {number} {problem}"
        return None
    return None if all(map(_may_be_text, value)) else f"must be a list of strings, {got(value)}"


def _words(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def is_number(value: object) -> bool:
    return isinstance(value, (int, float, complex)) and not isinstance(value, bool)
