"""Points a tag of Quay to an image: a retry means the same image, and leaves a tag alone that was moved since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider.exceptions import Call, ConflictError, NotFoundError

if TYPE_CHECKING:
    from airflow_provider.clients.quay import QuayClient
    from airflow_provider.clients.quay.documents import Tag
    from airflow_provider.operators.memory import Memory

KEY = "tag_promotion"
"""Key of the notes in the task state store."""


def promote(
    client: QuayClient, memory: Memory, repository: str, tag: str, digest: str | None, source_tag: str | None
) -> Tag:
    """Point the tag to the image; returns the tag as it is then.

    :raises ConflictError: an earlier attempt has done so, and somebody else has moved the tag since.
    """
    notes = memory.recall()
    if notes is None:
        digest = digest or _digest_of(client, repository, str(source_tag))
        notes = {"digest": digest.lower(), "known": _entries(client, repository, tag)}
        memory.note(notes)
    elif now := _moved_on(client, repository, tag, notes["digest"], notes["known"]):
        raise ConflictError(
            f"an earlier attempt has pointed tag {tag!r} to {notes['digest']}, and somebody else has pointed it to "
            f"{now} since: it was left alone. Clear this task to move it again",
            call=Call(system=client.system),
        )
    promoted = client.tags.promote(repository, tag, digest=notes["digest"])
    memory.note(notes, is_done=True)
    return promoted


def _digest_of(client: QuayClient, repository: str, source_tag: str) -> str:
    source = client.tags.find(repository, source_tag)
    if source is None:
        raise NotFoundError(f"{repository} has no source_tag {source_tag!r}", call=Call(system=client.system))
    return str(source["manifest_digest"])


def _entries(client: QuayClient, repository: str, tag: str) -> list[list[str]]:
    """The newest entries of the tag's history, the last one first."""
    return [
        [str(each.get("start_ts")), str(each.get("manifest_digest"))] for each in client.tags.history(repository, tag)
    ]


def _moved_on(client: QuayClient, repository: str, tag: str, digest: str, known: list[list[str]]) -> str | None:
    """The digest to which the tag points now, if it has pointed to ours since, and does no longer."""
    new = [each for each in _entries(client, repository, tag) if each not in known]
    was_ours = any(each[1] == digest for each in [*new, *known[:1]])
    return new[0][1] if new and was_ours and new[0][1] != digest else None
