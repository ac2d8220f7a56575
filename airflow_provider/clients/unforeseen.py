"""Turns unexpected exceptions while a vendor's answer is read into errors of this provider, without their text.

The text may quote the answer, with secrets in it; the place where the exception happened is enough to fix it.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider.exceptions import Call, Effect, ReleasePipelineError, UnexpectedResponseError


def place_of_error(error: BaseException) -> str:
    """Where an exception happened, such as ``KeyError in quay/executions.py, line 83``."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    ours = [frame for frame in frames if "airflow_provider" in frame.filename] or frames
    path = Path(ours[-1].filename)
    return f"{type(error).__name__} in {path.parent.name}/{path.name}, line {ours[-1].lineno}"


def unreadable(error: Exception, system: str | None) -> UnexpectedResponseError:
    """The error that takes the place of an unexpected exception."""
    summary = f"the answer cannot be read ({place_of_error(error)})"
    return UnexpectedResponseError(summary, call=Call(system=system), effect=Effect.UNKNOWN)


@contextmanager
def answers_of(system: str) -> Iterator[None]:
    """Turn any unexpected exception inside the block into the error of an unreadable answer."""
    try:
        yield
    except ReleasePipelineError:
        raise
    except Exception as error:
        raise unreadable(error, system) from None
