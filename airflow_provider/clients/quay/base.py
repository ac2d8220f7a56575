"""What all calls of Quay's API share: the transport, exactly written paths, and answers of the right form.

Quay reads a path that fits no call as the name of a repository, and answers 204 to deleting it: nothing is sent to a
path whose parts were not checked.
"""

from __future__ import annotations

from typing import Any, Unpack
from urllib.parse import urlsplit

from airflow_provider.clients import urls
from airflow_provider.clients.auth import HeaderAuth
from airflow_provider.clients.memory import Doubts, Recent
from airflow_provider.clients.one_piece import OnePieceClient
from airflow_provider.clients.quay.answers import read_error
from airflow_provider.clients.quay.executions import SYSTEM, Json
from airflow_provider.clients.transport import Answer, Transport, TransportOptions
from airflow_provider.clients.urls import Params
from airflow_provider.exceptions import (
    Call,
    ConnectionConfigError,
    Effect,
    PermissionDeniedError,
    UnexpectedResponseError,
)
from airflow_provider.identifiers import digest_problem, quay_id_problem, repository_problem, tag_problem

READ, WRITE, ADMIN, CREATE = "repo:read", "repo:write", "repo:admin", "repo:create"
"""Scopes of an OAuth application token. Each but the last includes those before it."""

_RIGHTS = {
    READ: "read the repository",
    WRITE: "write to the repository",
    ADMIN: "administer the repository",
    CREATE: "create repositories in the namespace",
}
INSUFFICIENT_SCOPE = "insufficient_scope"


class QuayBase(OnePieceClient):
    """See :class:`airflow_provider.clients.quay.QuayClient` for the arguments."""

    system = SYSTEM

    def __init__(
        self,
        base_url: str,
        *,
        token: str,
        api_prefix: str = "/api/v1",
        **options: Unpack[TransportOptions],
    ) -> None:
        if not token:
            raise ConnectionConfigError("the OAuth application token (password) is missing", call=Call(system=SYSTEM))
        super().__init__(
            Transport(
                self.system,
                base_url,
                read_error=read_error,
                **options,
            )
        )
        self.transport.redact.add(token)
        self.transport.auth = HeaderAuth("Authorization", f"Bearer {token}")
        self._prefix = "/" + api_prefix.strip("/") if api_prefix.strip("/") else ""
        self._doubts = Doubts()
        self._read_whole: Recent[str, float] = Recent()
        self.registry = urlsplit(self.transport.base_url).netloc.rpartition("@")[2]

    # --- paths

    def _repository_path(self, below: str, repository: str, **values: str) -> str:
        self._refuse("repository", repository_problem(repository))
        return self._prefix + urls.path("/repository/{+repository}" + below, repository=repository, **values)

    def _notification_path(self, repository: str, uuid: str) -> str:
        return self._repository_path("/notification/{uuid}", repository, uuid=self._check_id("uuid", uuid))

    def _build_path(self, repository: str, build_id: str) -> str:
        return self._repository_path("/build/{build_id}", repository, build_id=self._check_id("build_id", build_id))

    def _tag_path(self, repository: str, tag: str) -> str:
        self._check_tag("tag", tag)
        return self._repository_path("/tag/{tag}", repository, tag=tag)

    def _manifest_path(self, repository: str, digest: str) -> str:
        # A tag name in this place would be read as part of a repository's name.
        return self._repository_path("/manifest/{digest}", repository, digest=self._check_digest("digest", digest))

    def _label_path(self, repository: str, digest: str, label_id: str) -> str:
        return f"{self._manifest_path(repository, digest)}/labels/{self._check_id('label_id', label_id)}"

    def _check_id(self, name: str, value: str) -> str:
        self._refuse(name, quay_id_problem(value))
        return value

    def _check_tag(self, name: str, tag: str) -> None:
        self._refuse(name, tag_problem(tag))

    def _check_digest(self, name: str, digest: str) -> str:
        """The digest in lower case, as Quay writes it."""
        self._refuse(name, digest_problem(digest))
        return digest.lower()

    def _refuse(self, name: str, problem: str | None) -> None:
        if problem:
            raise self.bad_request(f"{name} {problem}")

    # --- answers

    def _send(self, method: str, path: str, *, needs: str, **options: Any) -> Answer:
        """Send a request; says what the token lacks where Quay only says that it lacks something.

        :param needs: the scope that Quay asks for.
        :param options: of :meth:`airflow_provider.clients.transport.Transport.request`.
        """
        try:
            return self.transport.request(method, path, **options)
        except PermissionDeniedError as error:
            if error.code != INSUFFICIENT_SCOPE:
                raise
            raise PermissionDeniedError(
                f"this needs a token with the scope {needs}, of a user who may {_RIGHTS[needs]}", call=error.call
            ) from None

    def _get(self, path: str, params: Params | None = None, *, needs: str = READ) -> Any:
        return self._send("GET", path, params=params, needs=needs).data

    def _list(self, path: str, key: str, params: Params | None = None, *, needs: str = READ) -> list[Json]:
        return self._objects(self._object(self._get(path, params, needs=needs), path), key, path)

    def _objects(self, answer: Json, key: str, path: str) -> list[Json]:
        found = answer.get(key)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self._unexpected(path, f"the answer has no list {key!r} of objects")
        return found

    def _object(self, data: Any, path: str) -> Json:
        if not isinstance(data, dict):
            raise self._unexpected(path, "the answer holds no JSON object")
        return data

    def _unexpected(self, path: str, summary: str) -> UnexpectedResponseError:
        return UnexpectedResponseError(summary, call=Call(system=SYSTEM, path=path), effect=Effect.UNKNOWN)
