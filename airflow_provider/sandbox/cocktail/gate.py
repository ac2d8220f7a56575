"""The gateway in front of Cocktail: which token may call which route, from which address.

The rule of a route is its name, which the scopes of tokens and the switch ``routes`` refer to.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from airflow_provider.sandbox.cocktail.refusals import BadCall, GatewayRefusal
from airflow_provider.sandbox.cocktail.tokens import Tokens
from airflow_provider.sandbox.core.calls import Call, Caller

ROUTE_MODES = ("404", "403", "K8sApiStatus404")
"""The modes of a route in the switch ``routes``: unpublished, forbidden, or unknown to the server."""


class Gate:
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def admit(self, call: Call) -> None:
        if not call.below.startswith(f"{prefix_of(call.switches)}/"):
            raise GatewayRefusal(404, "Not Found")
        route = call.match.route
        name = str(route.rule) if route else ""
        self._check_token(call, name)
        mode = call.switches["routes"].get(name)
        if mode == "K8sApiStatus404":
            raise BadCall(404, "Not found")
        if mode is not None:
            raise GatewayRefusal(int(mode), "Not Found" if mode == "404" else "Permission denied")
        if route is None:
            known = bool(call.match.allowed)
            raise BadCall(405 if known else 404, "Method not allowed" if known else "Not found")

    def _check_token(self, call: Call, route: str) -> None:
        """:raises GatewayRefusal: 401 for the token itself, 403 for its scope or the caller's address"""
        token = self._tokens.of(call)
        if token is None:
            raise GatewayRefusal(401, "Unauthorized")
        if call.token_expired or token.expires <= call.now:
            raise GatewayRefusal(401, "Token is expired")
        if token.revoked:
            raise GatewayRefusal(401, "Token is revoked")
        if not _address_allowed(call):
            raise GatewayRefusal(403, "Address is not allowed")
        if token.scopes is not None and route not in token.scopes:
            raise GatewayRefusal(403, "Permission denied")
        call.caller = Caller(token.name)


def prefix_of(switches: Mapping[str, Any]) -> str:
    return str(switches["prefix"]).rstrip("/")


def check_modes(routes: Mapping[str, str], known: set[str]) -> None:
    """:raises ValueError: an unknown route, or an unknown mode"""
    for route, mode in routes.items():
        if route not in known:
            raise ValueError(f"switch 'routes' has no route {route!r}; it has {', '.join(sorted(known))}")
        if mode not in ROUTE_MODES:
            raise ValueError(f"route {route!r} of switch 'routes' must be one of {list(ROUTE_MODES)}, got {mode!r}")


def _address_allowed(call: Call) -> bool:
    address = ipaddress.ip_address(call.scope["client"][0]) if call.scope.get("client") else None

    def listed(networks: list[str]) -> bool:
        return address is not None and any(address in ipaddress.ip_network(each) for each in networks)

    allow, deny = call.switches["allow_addresses"], call.switches["deny_addresses"]
    return not listed(deny) and (not allow or listed(allow))
