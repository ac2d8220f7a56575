"""What the arguments of every operator and sensor must be, by their annotations: words, durations, ids, texts."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import quote, unquote, urlsplit

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
)

SHORTEST_PIECE = 10
"""Characters of a part of a URL that is masked by itself: shorter ones are words that other texts hold, too."""

NUMBER = (
    "must be text, got the number {value!r}, which may have been written in another way: 1.10 becomes 1.1. Quote it, "
    "and in a template with render_template_as_native_obj write {{{{ ... | tojson }}}}"
)
CHANGED = (
    "was {text!r}, but render_template_as_native_obj made {value!r} of it: to keep the text, write "
    "{{{{ ... | tojson }}}}"
)
EMPTY = "must not be empty"
MISSING = (
    "came out as None: what its template reads is missing, such as the XCom of a task that was skipped. Where that is "
    "fine, write {{{{ ... or '' }}}}"
)


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
        return f"must be what JSON can hold: {error}"
    return None


def moment_of(value: object) -> datetime:
    """A moment given as ``datetime`` or text.

    :raises ValueError: it is none, or nobody can tell when it is.
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


def _windows_problem(value: object) -> str | None:
    """Of release windows; what they hold is checked where they are read."""
    return None if isinstance(value, (list, tuple, str)) else f"must be a list or a text, {got(value)}"


def _tag_or_number_problem(value: object) -> str | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return tag_problem(str(value) if is_number else value)


Seconds = Annotated[float | timedelta, _duration_problem]
SecondsOrZero = Annotated[float | timedelta, functools.partial(_duration_problem, may_be_zero=True)]
"""For a sensor, whose first look may be its last."""
Moment = Annotated[datetime | str, _moment_problem]
JsonObject = Annotated[Mapping[str, Any], _json_problem]
Windows = Annotated[Sequence[Mapping[str, Any]] | str, _windows_problem]

Number = Annotated[int | str, number_problem]
Repository = Annotated[str, repository_problem]
Tag = Annotated[str, tag_problem]
BuildTags = Annotated[list[str], build_tags_problem]
Digest = Annotated[str, digest_problem]
QuayId = Annotated[str, quay_id_problem]
TagOrNumber = Annotated[int | str, _tag_or_number_problem]
"""For a tag that is made text before it is sent: a template with native objects makes a number of 20."""
Url = Annotated[str, url_problem]
CallbackUrl = Annotated[str, callback_problem]


@functools.cache
def arguments_of(init: Callable[..., None]) -> dict[str, Any]:
    """The arguments of a constructor with their annotations; none where those cannot be told, as in a user's class."""
    init = inspect.unwrap(init)
    try:
        hints = get_type_hints(init, include_extras=True)
    except NameError:
        return {}
    named = [each.name for each in inspect.signature(init).parameters.values() if each.kind is each.KEYWORD_ONLY]
    return {name: hints[name] for name in named if name in hints}


def problem_of(hint: Any, value: object) -> str | None:
    """What is wrong with an argument, by its annotation: the end of a sentence that begins with its name.

    A text that says ``str | None`` may be empty, which means that it was not given; other texts may not.
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


def _without_none(parts: tuple[Any, ...]) -> Any:
    return functools.reduce(lambda one, other: one | other, (part for part in parts if part is not NoneType))


def _is_text(hint: Any) -> bool:
    """Whether an argument of this type may be text."""
    hint = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return hint is str or (str in get_args(hint) and get_origin(hint) in (Union, UnionType))


def _may_be_text(value: object) -> bool:
    """Whole numbers may be, because rendering with native objects makes them of a text without a loss."""
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _no_text(value: object) -> str:
    return f"must be a text, {got(value)}"


def _no_mapping(value: object) -> str:
    # The value is not told: it may hold a secret.
    return f"must be a mapping, got {'None' if value is None else f'a {type(value).__name__}'}"


def _mapping_problem(hint: Any, value: object) -> str | None:
    if not isinstance(value, Mapping):
        return _no_mapping(value)
    for name, each in value.items():
        if hint is not Any and (problem := problem_of(hint, each)):
            return f"must be right for {name!r}, which {problem}"
    return None


def _list_problem(hint: Any, value: object) -> str | None:
    if not isinstance(value, (list, tuple)):
        return f"must be a list, {got(value)}"
    if hint is not str:
        return next(filter(None, (problem_of(hint, each) for each in value)), None)
    return None if all(map(_may_be_text, value)) else f"must be a list of texts, {got(value)}"


def _words(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def secrets_of_url(url: object, *, in_path: bool) -> Iterator[str]:
    """What nobody may read of a URL that was signed, or that lets whoever knows it call: itself, and its parts.

    :param in_path: whether its path may hold a secret, as that of a webhook does.
    """
    if not isinstance(url, str) or not url:
        return
    yield url
    yield quote(url, safe="")
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    yield from filter(None, (parts.password, unquote(parts.password or "")))
    pieces = [parts.query, *(value for _, _, value in (each.partition("=") for each in parts.query.split("&")))]
    if in_path:
        pieces += [parts.path, *parts.path.split("/")]
    for piece in pieces:
        if len(piece) >= SHORTEST_PIECE:
            yield piece
            yield unquote(piece)


def without_signature(url: object) -> str:
    """Host and path of a URL: what may be secret in it is its user and its query."""
    try:
        parts = urlsplit(str(url))
    except ValueError:
        return "of a URL that cannot be read"
    return parts.netloc.rpartition("@")[2] + parts.path


def is_number(value: object) -> bool:
    return isinstance(value, (int, float, complex)) and not isinstance(value, bool)


def text_problem(given: object, value: object) -> str | None:
    """What is wrong with an argument that holds text, ids or a mapping, after its templates were rendered.

    The values of a mapping may be numbers: a pipeline may have inputs that are.

    :param given: as it was before.
    """
    if value is None or value == "None":
        return None if given in (None, "", "None") else MISSING.format()
    if isinstance(value, float):
        return NUMBER.format(value=value)
    problems = (text_problem(each, rendered) for each, rendered in _parts(given, value))
    return next(filter(None, problems), None)


def _parts(given: object, value: object) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        before = given if isinstance(given, Mapping) else {}
        for name, each in value.items():
            # A number of the author's own is one; what a template made of a text is told where that happens.
            if not isinstance(each, float):
                yield before.get(name, each), each
    elif isinstance(value, (list, tuple)):
        before = given if isinstance(given, (list, tuple)) and len(given) == len(value) else value
        yield from zip(before, value, strict=True)
