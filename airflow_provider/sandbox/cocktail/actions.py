"""Control actions: issue a token, revoke one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider.sandbox.cocktail.state import State
from airflow_provider.sandbox.cocktail.tokens import Tokens


def actions_of(state: State, tokens: Tokens) -> dict[str, Callable[..., Any]]:
    """The actions by their names; each raises ValueError for a wrong value."""

    def issue_token(
        *, name: str = "issued", scopes: list[str] | None = None, expires_in: float | None = None
    ) -> dict[str, str]:
        expires = None if expires_in is None else state.now + expires_in
        return {"token": tokens.issue(name, scopes, expires, state.now)}

    def revoke_token(*, name: str = "") -> dict[str, str]:
        if not tokens.revoke(name):
            raise ValueError(f"cocktail has no token named {name!r}")
        return {}

    return {"issue_token": issue_token, "revoke_token": revoke_token}
