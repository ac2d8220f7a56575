"""The digests of built images: a build does not contain its own, but the tags that it pushed do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from airflow_provider.clients.quay.fields import Document, began_at, image_ref
from airflow_provider.clients.quay.tag_list import tag_pages
from airflow_provider.clients.quay.wire import Wire
from airflow_provider.clients.waitable import Found
from airflow_provider.execution import Execution, ExecutionState


def with_digest(
    wire: Wire, execution: Execution, history_of: Callable[[str], Sequence[Document]] | None = None
) -> Execution:
    """A successful build with its digest, unless somebody else has pushed to all of its tags since it started.

    :param history_of: returns what a tag pointed to; default: from Quay.
    """
    repository = execution.ref["repository"]
    history_of = history_of or partial(_read_history, wire, repository)
    digests: set[str] | None = None
    for tag in execution.outputs["tags"]:
        pushed = {
            str(entry["manifest_digest"])
            for entry in history_of(tag)
            if entry.get("name") == tag and began_at(entry) >= _start_of(execution)
        }
        digests = pushed if digests is None else digests & pushed
        if len(digests) == 1:
            break
    if not digests or len(digests) > 1:
        why = "none of its tags was pushed since" if not digests else "its tags were pushed several times since"
        return replace(execution, message=f"the digest of this build is not known: {why}")
    digest = digests.pop()
    outputs = {**execution.outputs, "digest": digest, "image_ref": image_ref(wire.registry, repository, digest)}
    return replace(execution, outputs=outputs)


def with_digests(wire: Wire, repository: str, builds: Mapping[int, Execution]) -> dict[int, Found]:
    """Builds with their digests if they succeeded, or pending observations; for several, the tags are read together."""
    good = {index: build for index, build in builds.items() if build.state is ExecutionState.SUCCEEDED}
    pushes = _pushes_since(wire, repository, list(good.values())) if len(good) > 1 else None
    if pushes is None:
        return {**builds, **{index: partial(with_digest, wire, build) for index, build in good.items()}}
    return {
        **builds,
        **{index: with_digest(wire, build, lambda tag: pushes.get(tag, [])) for index, build in good.items()},
    }


def _read_history(wire: Wire, repository: str, tag: str) -> Sequence[Document]:
    return next(tag_pages(wire, repository, only_active=False, tag=tag), [])


def _pushes_since(wire: Wire, repository: str, builds: Sequence[Execution]) -> dict[str, list[Document]] | None:
    """By name, what the tags of a repository have pointed to since the first of the builds began.

    ``None`` if reading on would cost more than reading the tags of each build.
    """
    since = min(map(_start_of, builds))
    pushes: dict[str, list[Document]] = {}
    for count, page in enumerate(tag_pages(wire, repository, only_active=False), start=1):
        for entry in page:
            pushes.setdefault(str(entry["name"]), []).append(entry)
        if page and min(began_at(entry) for entry in page) < since:
            return pushes
        if count == len(builds):
            return None
    return pushes


def _start_of(build: Execution) -> int:
    """Epoch seconds."""
    return int(build.started_at.timestamp()) if build.started_at else 0
