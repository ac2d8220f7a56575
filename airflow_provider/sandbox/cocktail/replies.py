"""Answers of the Cocktail server: flat or wrapped results, error envelopes under HTTP 200, refusals of the gateway."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import HTMLResponse, JSONResponse, Response

# Section 6: major number -> English text, Korean text, HTTP status when the envelope is switched to real codes.
BUILD_ERRORS: dict[str, tuple[str, str, int]] = {
    "001": ("call to the builder failed", "빌더 호출에 실패했습니다.", 503),
    "004": ("already used tag", "이미 사용된 태그입니다.", 409),
    "005": ("build server is not connected", "빌드 서버에 연결되어 있지 않습니다.", 503),
    "006": ("failed to inquire the build", "빌드 조회에 실패했습니다.", 404),
    "007": ("failed to create the build", "빌드 생성에 실패했습니다.", 400),
    "008": ("failed to update the build", "빌드 수정에 실패했습니다.", 400),
    "013": ("maximum number of parallel builds in the account", "계정의 최대 동시 빌드 수를 초과했습니다.", 429),
    "014": ("a running build run cannot be deleted", "실행 중인 빌드는 삭제할 수 없습니다.", 409),
}


class Refusal(Exception):  # noqa: N818 - the server's word for it is an answer, not a fault of the sandbox
    """An application error; ``major`` is a number of the build category."""

    def __init__(self, major: str, additional: str | None = None) -> None:
        super().__init__(major)
        self.major = major
        self.additional = additional


class InvalidState(Exception):  # noqa: N818
    """A refusal of the class InvalidState, which has a text instead of a number."""


class BadCall(Exception):  # noqa: N818
    """A call that the server's web layer refuses: ``status`` is 400, 404, 405, 406 or 415."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def result(value: Any, *, wrapped: bool) -> Response:
    """A missing object is always wrapped, because a flat null would be no object at all."""
    return utf8_json({"status": "ok", "result": value} if wrapped or value is None else value)


def envelope(code: str, message: str, http_status: int, additional: str | None, *, real_codes: bool) -> Response:
    body = {
        "status": "error",
        "code": code,
        "biz": None,
        "message": message,
        "additionalMessage": additional,
        "data": None,
        "httpStatusCode": http_status if real_codes or code.startswith("K8s") else 200,
    }
    return utf8_json(body, http_status if real_codes else 200)


def error(problem: Refusal | InvalidState | BadCall, switches: dict[str, Any]) -> Response:
    real_codes = switches["real_http_codes"]
    if isinstance(problem, BadCall):
        return envelope(f"K8sApiStatus{problem.status}", str(problem), problem.status, None, real_codes=real_codes)
    if isinstance(problem, InvalidState):
        return envelope(switches["invalid_state_code"], str(problem), 409, None, real_codes=real_codes)
    english, korean, status = BUILD_ERRORS[problem.major]
    code = f"CCBD{switches['severity_letter']}{problem.major}000"
    message = korean if switches["korean_messages"] else english
    return envelope(code, message, status, problem.additional, real_codes=real_codes)


def gateway_refusal(status: int, message: str, shape: str) -> Response:
    """What the gateway in front says; ``shape`` is json, empty or html."""
    if shape == "empty":
        return Response(status_code=status)
    if shape == "html":
        return HTMLResponse(f"<html><head><title>{status}</title></head><body><h1>{message}</h1></body></html>", status)
    return JSONResponse({"code": str(status), "message": message}, status)


def utf8_json(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json;charset=UTF-8")
