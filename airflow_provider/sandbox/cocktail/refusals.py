"""How Cocktail refuses calls: error envelopes of the server, by default with HTTP 200, and refusals of the gateway."""

from __future__ import annotations

from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response

from airflow_provider.sandbox.cocktail.results import utf8_json
from airflow_provider.sandbox.core.calls import Call, Refused

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


class BuildRefusal(Refused):
    """An application error; ``major`` is a number of the build category."""

    def __init__(self, major: str, additional: str | None = None) -> None:
        super().__init__(major)
        self.major = major
        self.additional = additional

    def reply(self, call: Call) -> Response:
        english, korean, status = BUILD_ERRORS[self.major]
        code = f"CCBD{call.switches['severity_letter']}{self.major}000"
        return _envelope(call, code, korean if call.switches["korean_messages"] else english, status, self.additional)


class InvalidState(Refused):
    """A refusal of the class InvalidState, which has a text instead of a number."""

    def reply(self, call: Call) -> Response:
        return _envelope(call, call.switches["invalid_state_code"], str(self), 409)


class BadCall(Refused):
    """A call that the server's web layer refuses: ``status`` is 400, 404, 405, 406 or 415."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def reply(self, call: Call) -> Response:
        return _envelope(call, f"K8sApiStatus{self.status}", str(self), self.status)


class GatewayRefusal(Refused):
    """The gateway refuses before the API server receives anything; the switch ``refusal_body`` chooses the format."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def reply(self, call: Call) -> Response:
        shape = call.switches["refusal_body"]
        if shape == "empty":
            return Response(status_code=self.status)
        if shape == "html":
            page = f"<html><head><title>{self.status}</title></head><body><h1>{self}</h1></body></html>"
            return HTMLResponse(page, self.status)
        return JSONResponse({"code": str(self.status), "message": str(self)}, self.status)


def _envelope(call: Call, code: str, message: str, http_status: int, additional: str | None = None) -> Response:
    real_codes = call.switches["real_http_codes"]
    body: dict[str, Any] = {
        "status": "error",
        "code": code,
        "biz": None,
        "message": message,
        "additionalMessage": additional,
        "data": None,
        "httpStatusCode": http_status if real_codes or code.startswith("K8s") else 200,
    }
    return utf8_json(body, http_status if real_codes else 200)
