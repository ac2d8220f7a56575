"""Start requests of builds, and how to recognize the builds that they may have started. No HTTP here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NotRequired, TypedDict
from urllib.parse import quote, urlsplit, urlunsplit

import idna

from airflow_provider.clients.quay.fields import Document, Json, parse_time, texts_in
from airflow_provider.clients.waitable import Intent, start_window


class BuildSource(TypedDict):
    """The source of an image build.

    :param archive_url: http or https URL of the sources; sent in ASCII, as a browser does.
    :param tags: at least one, each once, of at most 127 characters.
    :param subdirectory: the folder of the Dockerfile, or
    :param dockerfile_path: its path.
    """

    archive_url: str
    tags: Sequence[str]
    subdirectory: NotRequired[str | None]
    dockerfile_path: NotRequired[str | None]


def body_of(source: BuildSource) -> Json:
    """The body of the start request."""
    body: Json = {"archive_url": in_ascii(source["archive_url"]), "docker_tags": list(source["tags"])}
    if subdirectory := source.get("subdirectory"):
        body["subdirectory"] = subdirectory
    if dockerfile_path := source.get("dockerfile_path"):
        body["dockerfile_path"] = dockerfile_path
    return body


def kept_of(source: BuildSource) -> Json:
    """What distinguishes the build of this start from others; Quay has no field for a marker.

    :raises ValueError: ``archive_url`` has a host that cannot be written in ASCII.
    """
    folder = (source.get("subdirectory") or "/").removesuffix("/")
    return {
        "archive_hash": hash_of(in_ascii(source["archive_url"])),
        "tags": list(source["tags"]),
        "dockerfile_path": source.get("dockerfile_path") or f"{folder}/Dockerfile",
    }


def hash_of(archive_url: str) -> str:
    """Identifies a URL without showing it: a signed URL lets anybody read the sources."""
    return hashlib.sha256(archive_url.encode()).hexdigest()


def in_ascii(url: str) -> str:
    """The URL as a browser sends it: Quay always answers 500 to one that is not ASCII.

    :raises ValueError: its host cannot be written in ASCII.
    """
    if url.isascii():
        return url
    parts = urlsplit(url)
    login, at, host_and_port = parts.netloc.rpartition("@")
    if not host_and_port.isascii():
        host, colon, port = host_and_port.partition(":")
        host_and_port = idna.encode(host, uts46=True).decode() + colon + port
    written = parts._replace(netloc=login + at + host_and_port)
    return "".join(char if char.isascii() else quote(char) for char in urlunsplit(written))


def is_like(build: Document, intent: Intent) -> bool:
    """Whether this listed build, apart from its time, may be the one that was started."""
    if build.get("id") in intent["builds_before"] or build.get("trigger"):
        return False
    listed = {**build, "archive_hash": hash_of(str(build.get("archive_url") or ""))}
    # Intents saved by earlier versions of this provider hold the URL itself, or neither.
    kept = ("archive_hash", "archive_url")
    is_same = all(listed.get(name) == intent[name] for name in kept if name in intent)
    if (path := build.get("dockerfile_path")) and "dockerfile_path" in intent:
        # A build that does not show its Dockerfile may be ours all the same.
        is_same &= _below_root(path) == _below_root(intent["dockerfile_path"])
    return is_same and sorted(texts_in(build.get("tags"))) == sorted(intent["tags"])


def _below_root(path: object) -> str:
    return str(path).removeprefix("/")


def began_in_time(build: Document, intent: Intent) -> bool:
    """Whether it began when the start was sent, not before or long after.

    :raises ValueError: the build has no such time.
    """
    began = parse_time(build.get("started"))
    if began is None:
        raise ValueError(f"build {build.get('id')} has no time of its start")
    earliest, latest = start_window(intent)
    return earliest <= began.timestamp() <= latest
