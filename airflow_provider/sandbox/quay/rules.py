"""The table of Quay's paths: which operation a method and path lead to, with the right that it needs.

A path that fits nothing else is read as the name of a repository, as on a real server.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.responses import Response

from airflow_provider.sandbox.quay import builds, manifests, notifications, repositories, tags, web
from airflow_provider.sandbox.quay.calls import Call

REPOSITORY = r"/api/v1/repository/(?P<repository>[^/]+(?:/[^/]+)+?)"
DIGEST = r"(?P<digest>[\w+.-]+:[0-9a-fA-F]+)"


@dataclass(frozen=True)
class Operation:
    """``level`` is the right on the repository, "" when the operation itself decides.

    ``freezes``: refused while the repository is read-only; ``open``: no login is looked at.
    """

    handler: Callable[[Call], Response]
    level: str = ""
    freezes: bool = False
    open: bool = False


@dataclass(frozen=True)
class Rule:
    pattern: re.Pattern[str]
    operations: dict[str, Operation]
    methods: list[str] = field(init=False)

    def __post_init__(self) -> None:
        offered = [each for method in self.operations for each in ([method, "HEAD"] if method == "GET" else [method])]
        object.__setattr__(self, "methods", [*offered, "OPTIONS"])


def _rule(path: str, **operations: Operation) -> Rule:
    return Rule(re.compile(path), operations)


RULES = (
    _rule("/csrf_token", GET=Operation(web.csrf_token, open=True)),
    _rule("/buildlogs/(?P<build>[^/]+)", GET=Operation(builds.archived_logs, open=True)),
    _rule("/api/v1/signin", POST=Operation(web.sign_in)),
    _rule("/api/v1/discovery", GET=Operation(web.discovery, open=True)),
    _rule("/api/v1/error/(?P<error_type>[^/]+)", GET=Operation(web.error_type, open=True)),
    _rule(
        "/api/v1/repository",
        POST=Operation(repositories.create),
        GET=Operation(repositories.list_all),
    ),
    _rule(
        f"{REPOSITORY}/notification/",
        POST=Operation(notifications.create, "admin"),
        GET=Operation(notifications.list_all, "admin"),
    ),
    _rule(
        f"{REPOSITORY}/notification/(?P<uuid>[^/]+)",
        POST=Operation(notifications.reset, "admin"),
        GET=Operation(notifications.get, "admin"),
        DELETE=Operation(notifications.delete, "admin"),
    ),
    _rule(f"{REPOSITORY}/notification/(?P<uuid>[^/]+)/test", POST=Operation(notifications.test, "admin")),
    _rule(
        f"{REPOSITORY}/build/",
        POST=Operation(builds.start, "write", freezes=True),
        GET=Operation(builds.list_all, "read"),
    ),
    _rule(
        f"{REPOSITORY}/build/(?P<build>[^/]+)",
        GET=Operation(builds.get, "read"),
        DELETE=Operation(builds.cancel, "admin", freezes=True),
    ),
    _rule(f"{REPOSITORY}/build/(?P<build>[^/]+)/status", GET=Operation(builds.status, "read")),
    _rule(f"{REPOSITORY}/build/(?P<build>[^/]+)/logs", GET=Operation(builds.logs, "write")),
    _rule(f"{REPOSITORY}/tag/", GET=Operation(tags.list_all, "read")),
    _rule(
        f"{REPOSITORY}/tag/(?P<tag>[^/]+)",
        PUT=Operation(tags.change, "write", freezes=True),
        DELETE=Operation(tags.delete, "write", freezes=True),
    ),
    _rule(f"{REPOSITORY}/tag/(?P<tag>[^/]+)/restore", POST=Operation(tags.restore, "write", freezes=True)),
    _rule(f"{REPOSITORY}/manifest/{DIGEST}", GET=Operation(manifests.get, "read")),
    _rule(
        f"{REPOSITORY}/manifest/{DIGEST}/labels",
        GET=Operation(manifests.labels, "read"),
        POST=Operation(manifests.add_label, "write", freezes=True),
    ),
    _rule(
        f"{REPOSITORY}/manifest/{DIGEST}/labels/(?P<label>[^/]+)",
        GET=Operation(manifests.label, "read"),
        DELETE=Operation(manifests.delete_label, "write", freezes=True),
    ),
    _rule(f"{REPOSITORY}/manifest/{DIGEST}/security", GET=Operation(manifests.security, "read")),
    _rule(
        REPOSITORY,
        GET=Operation(repositories.get, "read"),
        PUT=Operation(repositories.update, "write"),
        DELETE=Operation(repositories.delete, "admin"),
    ),
)


@dataclass(frozen=True)
class Found:
    """What a path leads to: an operation, a redirect to the path with a slash, or only the methods that it knows."""

    operation: Operation | None = None
    params: dict[str, str] = field(default_factory=dict)
    redirect: str | None = None
    allowed: tuple[str, ...] = ()


def find(method: str, path: str) -> Found:
    wanted = "GET" if method == "HEAD" else method
    allowed: list[str] = []
    for rule in RULES:
        match = rule.pattern.fullmatch(path)
        if match is None:
            slashed = rule.pattern.pattern.endswith("/") and rule.pattern.fullmatch(f"{path}/")
            if slashed and wanted in rule.operations:
                return Found(redirect=f"{path}/")
            continue
        if wanted in rule.operations:
            return Found(rule.operations[wanted], match.groupdict())
        allowed += [each for each in rule.methods if each not in allowed]
    if wanted == "GET" and not allowed and re.fullmatch("/api/v1/[^/]+", path):
        return Found(redirect=f"{path}/")
    return Found(allowed=tuple(allowed))
