"""Sends requests to the Code Stream API, and reads what all its answers have in common: lists and errors.

https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, Unpack
from urllib.parse import quote

from airflow_provider.clients.answers import HttpAnswer, VendorError, read_common_error
from airflow_provider.clients.code_stream.fields import Json, secrets_in
from airflow_provider.clients.code_stream.lists import OBJECTS, PAGE, Decode, Page, RepeatedPageError
from airflow_provider.clients.code_stream.login import Credentials
from airflow_provider.clients.code_stream.references import SYSTEM
from airflow_provider.clients.code_stream.words import Words
from airflow_provider.clients.listing import EndlessListError, endless, page_numbers
from airflow_provider.clients.transport import RequestOptions, Transport, TransportOptions
from airflow_provider.clients.urls import Params
from airflow_provider.clients.waitable import concerns_one_execution
from airflow_provider.exceptions import (
    BadRequestError,
    Call,
    ConflictError,
    Effect,
    NotFoundError,
    ReleasePipelineError,
    UnexpectedResponseError,
)

UI_URL = "{base}/automation/#/codestream/executions/{id}"

Row = TypeVar("Row")


def read_error(answer: HttpAnswer) -> VendorError | None:
    """Read an error; an empty answer is one, too, because all successful answers of this API have a body."""
    if answer.status in (200, 201, 202) and answer.data is None:
        return VendorError(message="the answer is empty", cause=UnexpectedResponseError, effect=Effect.UNKNOWN)
    return read_common_error(answer)


class Wire:
    """See :class:`~airflow_provider.clients.code_stream.CodeStreamClient` for the arguments.

    Paths are below the prefix.

    :param credentials: already checked.
    """

    def __init__(
        self,
        base_url: str,
        *,
        credentials: Credentials,
        api_prefix: str,
        api_version: str,
        ui_url: str | None,
        words: Mapping[str, str] | None,
        options: TransportOptions,
    ) -> None:
        self.words = Words(words)
        self.transport = Transport(SYSTEM, base_url, read_error=read_error, **options)
        self.transport.auth = credentials.login(self.transport)
        # An API at the root of its host has no prefix.
        self._prefix = ("/" + api_prefix.strip("/")).rstrip("/")
        self._version = {"apiVersion": api_version}
        self._ui_url = (ui_url or UI_URL).replace("{base}", self.transport.base_url)

    def page_of(self, execution_id: str) -> str:
        """The link to an execution, for a person."""
        return self._ui_url.replace("{id}", quote(execution_id, safe="", errors="replace"))

    def bad_request(self, summary: str) -> BadRequestError:
        """An error about an argument, found before anything was sent."""
        return BadRequestError(summary, call=Call(system=SYSTEM))

    def conflict(self, summary: str, effect: Effect = Effect.REFUSED) -> ConflictError:
        return ConflictError(summary, call=Call(system=SYSTEM), effect=effect)

    # Calls

    def get(self, path: str, params: Params | None = None, **options: Unpack[RequestOptions]) -> Json:
        return self.send("GET", path, params, **options)

    def send(self, method: str, path: str, params: Params | None = None, **options: Unpack[RequestOptions]) -> Json:
        data = self.answer(method, path, params, **options).data
        if not isinstance(data, dict):
            raise UnexpectedResponseError(
                "the answer is not a JSON object",
                call=Call(system=SYSTEM, method=method, path=self._prefix + path),
                effect=Effect.UNKNOWN,
            )
        return data

    def answer(
        self, method: str, path: str, params: Params | None = None, **options: Unpack[RequestOptions]
    ) -> HttpAnswer:
        """The raw answer, for the few that are not JSON objects."""
        return self.transport.request(method, self._prefix + path, {**(params or {}), **self._version}, **options)

    def keep_secret(self, document: Json) -> Json:
        """The same document, after its secrets were registered to be masked in logs and errors."""
        self.transport.redact.add_seen(secrets_in(document))
        return document

    # Lists

    def page(self, path: str, params: Params, decode: Decode[Row]) -> Page[Row]:
        """One page of a list."""
        page: Page[Row] | None = self.answer("GET", path, params, decode=decode).data
        if page is None:
            raise self.unexpected(path, "the answer is not a list")
        return page

    def unexpected(
        self, path: str, summary: str, kind: type[UnexpectedResponseError] = UnexpectedResponseError
    ) -> UnexpectedResponseError:
        call = Call(system=SYSTEM, method="GET", path=self._prefix + path)
        return kind(summary, call=call, effect=Effect.UNKNOWN)

    def pages(
        self, path: str, params: Params, decode: Decode[Row], top: int = PAGE
    ) -> Iterator[list[tuple[str, Row | None]]]:
        """The pages of a list. Rows that shift while it is read may be on two of them.

        :raises RepeatedPageError: the server returns the same page again.
        :raises EndlessListError: the list does not end.
        """
        skip = 0
        before: list[str] = []
        for _ in page_numbers(self.transport):
            page = self.page(path, {**params, "$top": top, "$skip": skip}, decode)
            rows = page.rows()
            ids = [row_id for row_id, _ in rows]
            if rows and ids == before:
                raise self.unexpected(
                    path, "the server returned the same page again instead of the next one", RepeatedPageError
                )
            if rows:
                yield rows
            skip += len(rows)
            before = ids
            is_last = len(rows) < top if page.total is None else skip >= page.total
            if is_last or not rows:
                return
        raise self.unexpected(path, endless(), EndlessListError)

    def newest(
        self, path: str, order: str, wanted: Iterable[str], decode: Decode[Row], top: int = PAGE
    ) -> dict[str, Row]:
        """Those of two or more wanted rows that the newest pages of a list contain, read while they contain any.

        None of them if the list is refused: that costs requests, and says nothing about the rows.
        """
        missing, found = set(wanted), dict[str, Row]()
        if len(missing) < 2:
            return found
        try:
            for page in self.pages(path, {"$orderby": order}, decode, top):
                new = {row_id: row for row_id, row in page if row is not None and row_id in missing}
                found |= new
                missing -= new.keys()
                if not new or len(missing) < 2:
                    break
        except RepeatedPageError:
            pass
        except ReleasePipelineError as error:
            if not concerns_one_execution(error):
                raise
        return found

    def rows(
        self,
        path: str,
        *,
        items: str | None = None,
        where: str | None = None,
        order: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Json]:
        """The objects of a list, each once.

        :param items: path below which an object is read if the list leaves it out; default ``path``.
        :param where: the ``$filter``.
        :param order: the ``$orderby``; default the server's.
        """
        seen: set[str] = set()
        top = PAGE if limit is None else max(1, min(PAGE, limit))
        for page in self.pages(path, {"$filter": where, "$orderby": order}, OBJECTS, top):
            for row_id, listed in page:
                if row_id in seen:
                    continue
                seen.add(row_id)
                document = listed or self._left_out(f"{items or path}/{row_id}")
                if document:
                    yield document
                if limit is not None and len(seen) >= limit:
                    return

    def _left_out(self, path: str) -> Json | None:
        try:
            return self.get(path)
        except NotFoundError as error:
            if error.effect is not Effect.REFUSED:
                raise
            return None
