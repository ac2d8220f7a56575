"""The answer to a request, how its body is read, and the vendor's own error in it. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from requests.structures import CaseInsensitiveDict

from airflow_provider.clients.decoding import check_size, is_blank, loads, text_of
from airflow_provider.clients.listing import Remembered
from airflow_provider.exceptions import Effect, ReleasePipelineError

LONGEST_MESSAGE = 500
LONGEST_WORD = 200
"""Characters of an error's code and request id."""
READ_OF_AN_ERROR = 65_536
"""Bytes of an error that is not JSON, such as a proxy's page: its beginning shows what it is."""

Decoder = Callable[[bytes], Any]


class HttpAnswer(msgspec.Struct, frozen=True):
    """An HTTP answer whose body was read.

    :param data: the decoded JSON; ``None`` for an empty body; the text if the body is not JSON.
    :param is_json: whether ``data`` was decoded.
    """

    status: int
    headers: CaseInsensitiveDict[str]
    data: Any
    is_json: bool

    def __repr__(self) -> str:
        # The answer to a login contains the token.
        return f"<HttpAnswer {self.status}>"

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_html(self) -> bool:
        return isinstance(self.data, str) and self.data.lstrip()[:1] == "<"


class Expected(msgspec.Struct, frozen=True):
    """What a request expects of its answer.

    :param decode: decodes the body of a success; raises ``ValueError``.
    :param is_json: whether a body that is not JSON is an error (an empty one only after a GET).
    :param is_file: whether a successful body is a file, whose bytes are kept as they are.
    :param is_login: whether it holds credentials, of which nothing may be redacted before they are read.
    """

    decode: Decoder = loads
    is_json: bool = True
    is_file: bool = False
    is_login: bool = False

    def is_kept(self, status: int, content_type: str) -> bool:
        """Whether a body is the file; an error, or a page of a gateway, is text all the same."""
        is_text = any(each in content_type.lower() for each in ("json", "text/"))
        return self.is_file and 200 <= status < 300 and not is_text

    def has_read(self, content: bytes) -> bool:
        """Whether the body equals the previous one of a list, which was clean and within all limits."""
        return isinstance(self.decode, Remembered) and self.decode.has(content)

    def read(self, status: int, headers: CaseInsensitiveDict[str], content: bytes) -> HttpAnswer:
        """
        :raises TooManyPartsError: decoding the body would block other threads for too long.
        """
        if is_blank(content):
            return HttpAnswer(status, headers, None, is_json=False)
        is_success = 200 <= status < 300
        try:
            if not self.has_read(content):
                check_size(content)
            data = self.decode(content) if is_success else loads(content)
            return HttpAnswer(status, headers, data, is_json=True)
        except ValueError:
            is_wanted = is_success and not self.is_json
            return HttpAnswer(
                status, headers, text_of(content if is_wanted else content[:READ_OF_AN_ERROR]), is_json=False
            )


class VendorError(msgspec.Struct, frozen=True):
    """The content of a vendor's error body.

    :param cause: the error class, if the body says more than the HTTP status.
    :param effect: the effect, if the body says more than the HTTP status.
    :param summary: text for people, if the body says more than its cause.
    :param retry_after: seconds to wait, if the system asks for that without a ``Retry-After``.
    :param is_foreign: whether the body has not the form of the system's own errors, as if a gateway had answered.
    """

    code: str | None = None
    message: str | None = None
    request_id: str | None = None
    cause: type[ReleasePipelineError] | None = None
    effect: Effect | None = None
    summary: str | None = None
    retry_after: float | None = None
    is_foreign: bool = False


ErrorReader = Callable[[HttpAnswer], VendorError | None]
"""Reads a vendor's error from an answer of any status; ``None`` means that the answer is a success."""


def read_common_error(answer: HttpAnswer) -> VendorError | None:
    """Read the error formats that several systems use; ``None`` for a successful answer."""
    if answer.is_success:
        return None
    body = answer.data if isinstance(answer.data, dict) else {}
    nested = body.get("error")
    if isinstance(nested, dict):
        body = nested
    code = _first(body, "error_code", "errorCode", "code", "error_type", "messageId")
    message = _first(body, "error_msg", "errorMsg", "message", "detail", "error_message", "serverMessage", "error")
    if not body and isinstance(answer.data, str) and not answer.is_html:
        message = answer.data.strip() or None
    return VendorError(code=code, message=message, request_id=_first(body, "request_id", "requestId", "serverErrorId"))


def _first(body: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        if (value := body.get(name)) not in (None, "") and not isinstance(value, (dict, list)):
            return str(value)
    return None
