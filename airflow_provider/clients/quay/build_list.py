"""The list of a repository's newest builds: how it is asked for, and of each build what a wait reads."""

from __future__ import annotations

from typing import Any

import msgspec

from airflow_provider.clients.decoding import loads
from airflow_provider.clients.listing import Listing, decode_excerpts
from airflow_provider.clients.quay.wire import READ, Wire
from airflow_provider.clients.transport import Decoder
from airflow_provider.execution import Execution, ExecutionRef

LISTED = 100


class Excerpt(msgspec.Struct):
    """What of a listed build changes when it moves on."""

    id: Any = None
    phase: Any = None
    error: Any = None


class _Answer(msgspec.Struct):
    builds: list[Excerpt]


_DECODER = msgspec.json.Decoder(_Answer)


class BuildList(Listing[Excerpt]):
    """The newest builds of a repository."""

    def shows(self, ref: ExecutionRef, seen: Execution) -> bool:
        """Whether a build is listed as it was seen."""
        excerpt = self.excerpt(ref["id"])
        if excerpt is None or str(excerpt.phase or "") != seen.status:
            return False
        return (excerpt.error or None) == seen.message


def excerpt_at_builds(wire: Wire, repository: str, decode: Decoder) -> BuildList:
    """The list as many waits read it.

    :param decode: :func:`decode_builds`, or something that remembers what that made of an answer.
    """
    path = wire.repository_path("/build/", repository)
    answer = wire.send("GET", path, {"limit": LISTED}, needs=READ, decode=decode).data
    if not isinstance(answer, BuildList):
        raise wire.unexpected(path, "the answer has no list 'builds' of objects")
    return answer


def decode_builds(content: bytes) -> Any:
    """:class:`BuildList`, or for an answer that is none its JSON."""
    try:
        excerpts = decode_excerpts(content, _DECODER).builds
    except msgspec.ValidationError:
        return loads(content)
    return BuildList(content, excerpts, lambda excerpt: str(excerpt.id), lambda whole: whole["builds"])
