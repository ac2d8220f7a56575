"""The logins and the seed data of each system, as the example DAGs and the tests use them."""

from __future__ import annotations

import json
from typing import Any

# --- code_stream ---
CODE_STREAM_USERS = {"release-bot": "release-bot-password", "viewer": "viewer-password"}
CODE_STREAM_DOMAIN = "example.com"
CODE_STREAM_REFRESH_TOKEN = "sandbox-refresh-token"

# --- service_stage ---
# access key -> (secret key, IAM user); the viewer may read only
SERVICE_STAGE_KEYS = {
    "SANDBOXACCESSKEY0001": ("sandbox-secret-key-0001", "release-bot"),
    "SANDBOXACCESSKEY0002": ("sandbox-secret-key-0002", "viewer"),
}
SERVICE_STAGE_USERS = {"release-bot": "release-bot-password", "viewer": "viewer-password"}
SERVICE_STAGE_DOMAIN = "sandbox-account"
SERVICE_STAGE_PROJECTS = {
    "sandbox-1": "77b6a44cba5143ab91d13ab9a8ff44fd",
    "sandbox-2": "0d1f3c5b7a9e4f2c8b6a4d2e0f1c3b5a",
}

# --- cocktail ---
COCKTAIL_TOKEN = "sandbox-cocktail-token"
COCKTAIL_TOKEN_NAME = "release-bot"
COCKTAIL_BUILDS: tuple[dict[str, Any], ...] = (
    {"build_seq": 12, "build_name": "shop", "image_name": "acme/shop"},
    {"build_seq": 13, "build_name": "shop-autotag", "image_name": "acme/shop-autotag", "autotag": True},
    {"build_seq": 14, "build_name": "broken", "image_name": "acme/broken", "failing_step": "CREATE_IMAGE"},
    {"build_seq": 15, "build_name": "no-digest", "image_name": "acme/no-digest", "yields_digest": False},
)

# --- quay ---
QUAY_TOKEN = "sandbox-quay-oauth-token-0000000000000000"
QUAY_READ_TOKEN = "sandbox-quay-read-token-00000000000000000"
QUAY_EXPIRED_TOKEN = "sandbox-quay-expired-token-0000000000000"
QUAY_SCOPES = ("repo:read", "repo:write", "repo:admin", "repo:create")
QUAY_TOKENS: list[dict[str, Any]] = [
    {"token": QUAY_TOKEN, "user": "admin", "scopes": QUAY_SCOPES},
    {"token": QUAY_READ_TOKEN, "user": "admin", "scopes": ("repo:read",)},
    {"token": QUAY_EXPIRED_TOKEN, "user": "admin", "scopes": QUAY_SCOPES, "expires": 1.0},
]
QUAY_USERS: dict[str, dict[str, Any]] = {
    "admin": {"password": "admin-password", "namespaces": ("admin", "acme")},
    "other": {"password": "other-password", "namespaces": ("other",)},
}
QUAY_IMAGES: tuple[dict[str, Any], ...] = (
    {"repository": "acme/shop", "tag": "stable", "size": 30_000_000, "age": 30 * 86400.0, "severities": []},
    {"repository": "acme/shop", "tag": "vulnerable", "size": 31_000_000, "age": 86400.0, "severities": ["Critical"]},
)


def connections(url: str) -> dict[str, dict[str, Any]]:
    """The fields of an Airflow connection to each system, with links to the sandbox's pages; ``url`` is that of the
    server."""
    user, password = next(iter(CODE_STREAM_USERS.items()))
    access_key, (secret_key, _) = next(iter(SERVICE_STAGE_KEYS.items()))
    region, project_id = next(iter(SERVICE_STAGE_PROJECTS.items()))
    fields: dict[str, dict[str, Any]] = {
        "code_stream": {"login": user, "password": password, "extra": {}},
        "service_stage": {
            "login": access_key,
            "password": secret_key,
            "extra": {"region": region, "project_id": project_id},
        },
        "cocktail": {"password": COCKTAIL_TOKEN, "extra": {}},
        # Its client builds links without a ui_url.
        "quay": {"password": QUAY_TOKEN},
    }
    for system, own in fields.items():
        if "extra" in own:
            own["extra"]["ui_url"] = f"{url}/_sandbox/executions/{system}/{{id}}"
    return {system: {"conn_type": system, "host": f"{url}/{system}", **own} for system, own in fields.items()}


def environment(url: str) -> dict[str, str]:
    """The same connections as environment variables for Airflow."""
    return {f"AIRFLOW_CONN_{system.upper()}_DEFAULT": json.dumps(each) for system, each in connections(url).items()}


def logins(url: str) -> dict[str, list[str]]:
    """The logins of each system, which the sandbox prints at its start; ``url`` is that of the server."""
    return {
        "code_stream": [
            f"url {url}/code_stream",
            *(f"login {user}  password {password}" for user, password in CODE_STREAM_USERS.items()),
            f"domain {CODE_STREAM_DOMAIN} (optional)  refresh_token {CODE_STREAM_REFRESH_TOKEN}",
        ],
        "service_stage": [
            f"url {url}/service_stage  iam_url {url}/service_stage/iam",
            *(f"access key {key}  secret key {secret}" for key, (secret, _) in SERVICE_STAGE_KEYS.items()),
            *(
                f"IAM user {user}  password {password}  domain_name {SERVICE_STAGE_DOMAIN}"
                for user, password in SERVICE_STAGE_USERS.items()
            ),
            *(f"region {region}  project_id {project}" for region, project in SERVICE_STAGE_PROJECTS.items()),
        ],
        "cocktail": [f"url {url}/cocktail  API token {COCKTAIL_TOKEN}"],
        "quay": [
            f"url {url}/quay",
            f"OAuth token {QUAY_TOKEN}",
            f"read-only token {QUAY_READ_TOKEN}",
            f"expired token {QUAY_EXPIRED_TOKEN}",
        ],
    }
