"""Sends requests to Quay's API v1: checked paths, scopes, and objects in its answers.

Quay takes a path that matches no call as the name of a repository, and answers 204 to deleting it, so that nothing is
sent to a path whose parts were not checked. https://docs.redhat.com/en/documentation/red_hat_quay
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Unpack
from urllib.parse import urlsplit

from airflow_provider.clients import urls
from airflow_provider.clients.answers import HttpAnswer
from airflow_provider.clients.auth import HeaderAuth
from airflow_provider.clients.quay.errors import read_error
from airflow_provider.clients.quay.fields import Json, Objects
from airflow_provider.clients.quay.references import BUILD, SCAN, SYSTEM, TAG
from airflow_provider.clients.transport import RequestOptions, Transport, TransportOptions
from airflow_provider.clients.urls import Params
from airflow_provider.exceptions import (
    BadRequestError,
    Call,
    ConflictError,
    ConnectionConfigError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    UnexpectedResponseError,
)
from airflow_provider.execution import ExecutionRef
from airflow_provider.identifiers import digest_problem, quay_id_problem, repository_problem, tag_problem

READ, WRITE, ADMIN, CREATE = "repo:read", "repo:write", "repo:admin", "repo:create"
"""Scopes of an OAuth application token. Each except the last includes those before it."""

_RIGHTS = {
    READ: "read the repository",
    WRITE: "write to the repository",
    ADMIN: "administer the repository",
    CREATE: "create repositories in the namespace",
}
INSUFFICIENT_SCOPE = "insufficient_scope"

_PROBE_REPOSITORY = "airflow-provider/connection-check"
"""A repository that does not exist: requested with a valid token, Quay answers 403, with an invalid one 401."""

_REPOSITORY_PAGE = "{base}/repository/{repository}"
_PAGES = {
    BUILD: f"{_REPOSITORY_PAGE}/build/{{id}}",
    TAG: f"{_REPOSITORY_PAGE}?tab=tags",
    SCAN: f"{_REPOSITORY_PAGE}/manifest/{{digest}}?tab=vulnerabilities",
}
"""By kind, the URL of the page for people."""


class Wire:
    """See :class:`~airflow_provider.clients.quay.QuayClient` for the arguments."""

    def __init__(
        self, base_url: str, *, token: str, api_prefix: str, ui_url: str | None, options: TransportOptions
    ) -> None:
        if not token:
            raise ConnectionConfigError("the OAuth application token (password) is missing", call=Call(system=SYSTEM))
        self.transport = Transport(SYSTEM, base_url, read_error=read_error, **options)
        self.transport.redact.add(token)
        self.transport.auth = HeaderAuth("Authorization", f"Bearer {token}")
        self.prefix = "/" + api_prefix.strip("/") if api_prefix.strip("/") else ""
        self._ui_url = ui_url
        self.registry = urlsplit(self.transport.base_url).netloc.rpartition("@")[2]
        """Host and port, with which image names begin."""

    # Paths

    def repository_path(self, below: str, repository: str, **values: str) -> str:
        self.refuse("repository", repository_problem(repository))
        return self.prefix + urls.path("/repository/{+repository}" + below, repository=repository, **values)

    @property
    def probe_path(self) -> str:
        """Where a valid token is refused for lack of permission, and any other as not valid."""
        return self.repository_path("/notification/", _PROBE_REPOSITORY)

    def notification_path(self, repository: str, uuid: str) -> str:
        return self.repository_path("/notification/{uuid}", repository, uuid=self.check_id("uuid", uuid))

    def build_path(self, repository: str, build_id: str) -> str:
        return self.repository_path("/build/{build_id}", repository, build_id=self.check_id("build_id", build_id))

    def tag_path(self, repository: str, tag: str) -> str:
        self.check_tag("tag", tag)
        return self.repository_path("/tag/{tag}", repository, tag=tag)

    def manifest_path(self, repository: str, digest: str) -> str:
        # Quay would take a tag name in this position as part of the repository's name.
        return self.repository_path("/manifest/{digest}", repository, digest=self.check_digest("digest", digest))

    def page(self, ref: ExecutionRef) -> str | None:
        """The link to a build, a tag or a scan, for a person."""
        is_seen = ref["kind"] != SCAN or bool(ref["digest"])
        template = self._ui_url or _PAGES[ref["kind"] if is_seen else TAG]
        return urls.page(template, self.transport.base_url, ref, whole=("repository", "digest"))

    # Parts of paths

    def check_id(self, name: str, value: str) -> str:
        self.refuse(name, quay_id_problem(value))
        return value

    def check_tag(self, name: str, tag: str) -> None:
        self.refuse(name, tag_problem(tag))

    def check_digest(self, name: str, digest: str) -> str:
        """The digest in lower case, as Quay writes it."""
        self.refuse(name, digest_problem(digest))
        return digest.lower()

    def refuse(self, name: str, problem: str | None) -> None:
        """:param problem: of an argument, from :mod:`~airflow_provider.identifiers`; ``None`` if it has none."""
        if problem:
            raise self.bad_request(f"{name} {problem}")

    def with_exact_digest(self, ref: ExecutionRef) -> ExecutionRef:
        """Normalise the digest: a wait for one that Quay writes differently would never succeed."""
        given = ref["digest"]
        exact = self.check_digest("digest", given) if given else ""
        return ref if exact == given else {**ref, "digest": exact}

    # Requests

    def send(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        *,
        needs: str,
        **options: Unpack[RequestOptions],
    ) -> HttpAnswer:
        """Send a request. If the token lacks a scope, the error names it, which Quay's own does not.

        :param needs: the scope that Quay requires.
        """
        try:
            return self.transport.request(method, path, params, **options)
        except PermissionDeniedError as error:
            if error.code != INSUFFICIENT_SCOPE:
                raise
            raise PermissionDeniedError(
                f"this needs a token with the scope {needs}, of a user who may {_RIGHTS[needs]}"
                + self._or_no_namespace(path),
                call=error.call,
            ) from None

    def get_object(self, path: str, params: Params | None = None, *, needs: str = READ) -> Json:
        return self.object_at(path, self.send("GET", path, params, needs=needs).data)

    def get_objects(self, path: str, key: str, params: Params | None = None, *, needs: str = READ) -> Objects:
        return self.objects_at(path, key, self.get_object(path, params, needs=needs))

    def _or_no_namespace(self, path: str) -> str:
        """The other cause of a refused permission, for a path below a repository."""
        below = path.removeprefix(f"{self.prefix}/repository/")
        return "" if below == path else f", or the namespace {below.partition('/')[0]!r} does not exist"

    def check_token(self) -> None:
        """:raises AuthenticationError: Quay does not accept the token."""
        with suppress(PermissionDeniedError):
            self.transport.request("GET", self.probe_path)

    # Answers

    def object_at(self, path: str, data: Any) -> Json:
        """Check that an answer is a JSON object."""
        if not isinstance(data, dict):
            raise self.unexpected(path, "the answer is not a JSON object")
        return data

    def objects_at(self, path: str, key: str, answer: Json) -> Objects:
        found = answer.get(key)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self.unexpected(path, f"the answer has no list {key!r} of objects")
        return found

    def unexpected(
        self, path: str, summary: str, kind: type[UnexpectedResponseError] = UnexpectedResponseError
    ) -> UnexpectedResponseError:
        return kind(summary, call=Call(system=SYSTEM, path=path), effect=Effect.UNKNOWN)

    def not_found(self, summary: str) -> NotFoundError:
        return NotFoundError(summary, call=Call(system=SYSTEM))

    def conflict(self, summary: str) -> ConflictError:
        return ConflictError(summary, call=Call(system=SYSTEM))

    def bad_request(self, summary: str) -> BadRequestError:
        """An error about an argument, found before anything was sent."""
        return BadRequestError(summary, call=Call(system=SYSTEM))
