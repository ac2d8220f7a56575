"""Repositories of Quay: the images of one name, each with tags."""

from __future__ import annotations

from typing import cast

from airflow_provider.clients.listing import EndlessListError, endless, page_numbers
from airflow_provider.clients.quay.documents import AuthorizedEmail, Repository
from airflow_provider.clients.quay.fields import Json, objects_in
from airflow_provider.clients.quay.wire import ADMIN, CREATE, WRITE, Wire
from airflow_provider.clients.rows import Rows
from airflow_provider.identifiers import got, is_name


class Repositories:
    """See :class:`~airflow_provider.clients.quay.QuayClient`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self, namespace: str) -> Rows[Repository]:
        """The repositories of a user or organization, over all pages."""
        if not is_name(namespace):
            raise self._wire.bad_request(f"namespace must be the name of a user or organization, got {namespace!r}")
        found = self._listed(namespace)
        if all(each.get("is_public") for each in found):
            # To a token that it does not accept, Quay lists what is public, instead of refusing it.
            self._wire.check_token()
        return found

    def _listed(self, namespace: str) -> Rows[Repository]:
        path = f"{self._wire.prefix}/repository"
        entries: dict[str, Json] = {}
        next_page: str | None = None
        for _ in page_numbers(self._wire.transport):
            answer = self._wire.get_object(path, {"namespace": namespace, "next_page": next_page})
            known = len(entries)
            entries.update({str(entry.get("name")): entry for entry in objects_in(answer.get("repositories"))})
            next_page = answer.get("next_page")
            # With an expired page token, Quay silently returns the first page again.
            if not next_page or len(entries) == known:
                return cast("Rows[Repository]", [*entries.values()])
        raise self._wire.unexpected(path, endless(), EndlessListError)

    def get(self, repository: str) -> Repository:
        """A repository with at most 500 of its tags, as an object keyed by name."""
        return cast("Repository", self._wire.get_object(self._wire.repository_path("", repository)))

    def create(self, repository: str, *, visibility: str = "private", description: str = "") -> Repository:
        """:param visibility: ``private`` or ``public``.
        :raises ConflictError: it already exists.
        """
        if visibility not in ("private", "public"):
            raise self._wire.bad_request(f"visibility must be 'private' or 'public', got {visibility!r}")
        self._wire.repository_path("", repository)
        namespace, _, name = repository.partition("/")
        body = {"namespace": namespace, "repository": name, "visibility": visibility, "description": description}
        path = f"{self._wire.prefix}/repository"
        return cast(
            "Repository", self._wire.object_at(path, self._wire.send("POST", path, body=body, needs=CREATE).data)
        )

    def update(self, repository: str, description: str) -> None:
        """Change the description, the only field that Quay allows to change."""
        path = self._wire.repository_path("", repository)
        self._wire.send("PUT", path, body={"description": description}, safe_to_repeat=True, needs=WRITE)

    def delete(self, repository: str) -> None:
        """Delete a repository with all its images. No error if it does not exist in a namespace that the user owns."""
        path = self._wire.repository_path("", repository)
        self._wire.send("DELETE", path, safe_to_repeat=True, needs=ADMIN)

    def get_authorized_email(self, repository: str, email: str) -> AuthorizedEmail:
        """Whether notifications about a repository may be sent to an address (``confirmed``).

        :raises NotFoundError: its owner was never asked, or the registry sends no e-mail.
        """
        path = self._email_path(repository, email)
        return cast("AuthorizedEmail", self._wire.get_object(path, needs=ADMIN))

    def authorize_email(self, repository: str, email: str) -> AuthorizedEmail:
        """Ask the owner of an address, by e-mail, whether notifications about a repository may be sent there."""
        path = self._email_path(repository, email)
        return cast("AuthorizedEmail", self._wire.object_at(path, self._wire.send("POST", path, needs=ADMIN).data))

    def _email_path(self, repository: str, email: str) -> str:
        if not isinstance(email, str) or "@" not in email:
            raise self._wire.bad_request(f"email must be an e-mail address, {got(email)}")
        return self._wire.repository_path("/authorizedemail/{email}", repository, email=email)
