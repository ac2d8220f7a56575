"""What callers authenticate with: IAM tokens and access keys, and the projects that they give access to. No routes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.core.calls import Call, Caller
from airflow_provider.sandbox.core.issued import issue
from airflow_provider.sandbox.service_stage.refusals import BAD_REQUEST, Refusal, unauthenticated
from airflow_provider.sandbox.service_stage.signing import (
    Key,
    SignatureError,
    SignedRequest,
    access_key,
    expired,
    verify,
)

LARGEST_BODY = 12 * 1024 * 1024


@dataclass(slots=True)
class Token:
    """:param project_id: its project, if it has one
    :param expires_at: epoch seconds
    """

    user: str
    project_id: str | None
    expires_at: float


class Credentials:
    """Tokens and access keys; ``projects`` maps the name of a project, which is its region, to its id."""

    def __init__(self) -> None:
        self.projects = seed.SERVICE_STAGE_PROJECTS
        self.clear()

    def clear(self) -> None:
        self._tokens: dict[str, Token] = {}
        self._keys = {ak: Key(secret, user) for ak, (secret, user) in seed.SERVICE_STAGE_KEYS.items()}

    def who(self, call: Call) -> str:
        """The user of a token, or the access key of a signature; "" when unknown."""
        token = call.headers.get("x-auth-token")
        if token is not None:
            return self._tokens[token].user if token in self._tokens else ""
        ak = access_key(call.headers.get("authorization", ""))
        return ak if ak in self._keys else ""

    def identify(self, call: Call) -> tuple[Caller, str | None]:
        """The caller, and the project of the token; None for a signature, which is valid for every project.

        :raises Refusal: 401, or 413 for a body that is too large to be signed
        """
        token = call.headers.get("x-auth-token")
        if token is not None:
            return self._by_token(token, call.now)
        if "authorization" not in call.headers:
            raise unauthenticated("x-auth-token and authorization not found")
        return self._by_signature(call), None

    def _by_token(self, text: str, now: float) -> tuple[Caller, str]:
        token = self._tokens.get(text)
        if token is None:
            raise unauthenticated("decrypt token fail")
        if now >= token.expires_at:
            raise unauthenticated("token expires, please obtain a new one")
        return Caller(token.user), token.project_id or ""

    def _by_signature(self, call: Call) -> Caller:
        if len(call.body) > LARGEST_BODY:
            raise Refusal(413, BAD_REQUEST, "The request body is too large")
        request = SignedRequest(
            call.method,
            (call.scope.get("raw_path") or call.path.encode()).decode("latin-1"),
            call.query_string,
            [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in call.scope["headers"]],
            call.body,
        )
        try:
            if call.token_expired:
                raise expired(request.header("x-sdk-date") or "", call.now)
            ak = verify(request, self._keys.get, call.now, plus_is_blank=call.switches["plus_is_blank"])
        except SignatureError as error:
            raise unauthenticated(str(error)) from None
        return Caller(self._keys[ak].user, ak)

    def issue_token(self, user: str, project_id: str | None, expires_at: float, length: int) -> str:
        text = ("MIIE" + issue(length))[:length]
        self._tokens[text] = Token(user, project_id, expires_at)
        return text

    def issue_key(self, user: str, expires_at: float) -> tuple[str, Key]:
        """A temporary access key."""
        ak = uuid.uuid4().hex[:20].upper()
        self._keys[ak] = Key(issue(30), user, issue(300), expires_at)
        return ak, self._keys[ak]

    def expire_tokens(self) -> None:
        for token in self._tokens.values():
            token.expires_at = 0.0

    def revoke_tokens(self, user: str) -> dict[str, int]:
        """Revokes the tokens of a user, as a changed password does."""
        revoked = [text for text, token in self._tokens.items() if token.user == user]
        for text in revoked:
            del self._tokens[text]
        return {"revoked": len(revoked)}
