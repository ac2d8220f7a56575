"""The list of a repository's newest builds, with the excerpt of each build that a wait reads."""

from __future__ import annotations

from typing import Any

import msgspec

from airflow_provider.clients.answers import Decoder
from airflow_provider.clients.decoding import loads
from airflow_provider.clients.listing import Listing, decode_excerpts
from airflow_provider.clients.quay.wire import READ, Wire
from airflow_provider.execution import Execution, ExecutionRef

LISTED = 100


class Excerpt(msgspec.Struct):
    """The fields of a listed build that change with its state."""

    id: Any = None
    phase: Any = None
    error: Any = None


class _Answer(msgspec.Struct):
    builds: list[Excerpt]


_DECODER = msgspec.json.Decoder(_Answer)


class BuildList(Listing[Excerpt]):
    """The newest builds of a repository."""

    def shows(self, ref: ExecutionRef, seen: Execution) -> bool:
        """Whether a build in the list has not changed since it was seen."""
        excerpt = self.excerpt(ref["id"])
        if excerpt is None or str(excerpt.phase or "") != seen.status:
            return False
        return (excerpt.error or None) == seen.message


def excerpts_of_builds(wire: Wire, repository: str, decode: Decoder) -> BuildList:
    """The list for many waits.

    :param decode: :func:`decode_builds`, or something that remembers its results.
    """
    path = wire.repository_path("/build/", repository)
    answer = wire.send("GET", path, {"limit": LISTED}, needs=READ, decode=decode).data
    if not isinstance(answer, BuildList):
        raise wire.unexpected(path, "the answer has no list 'builds' of objects")
    return answer


def decode_builds(content: bytes) -> Any:
    """A :class:`BuildList`, or the JSON of an answer that is not one."""
    try:
        excerpts = decode_excerpts(content, _DECODER).builds
    except msgspec.ValidationError:
        return loads(content)
    return BuildList(content, excerpts, lambda excerpt: str(excerpt.id), "builds")
