"""What Airflow discovers of this package: its modules, its link and its connection types with their forms, as data."""

from __future__ import annotations

from typing import Any

from airflow_provider.settings import SECTION, SETTINGS, TEXTS

_SYSTEMS = {
    "code_stream": "VMware Code Stream",
    "service_stage": "Huawei Cloud ServiceStage",
    "cocktail": "Cocktail Cloud",
    "quay": "Red Hat Quay",
}
_WINDOWS = "Release windows"
_DOCUMENTATION = {
    "code_stream": "https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/",
    "service_stage": "https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html",
    "cocktail": "https://docs.cocktailcloud.io/",
    "quay": "https://docs.redhat.com/en/documentation/red_hat_quay/",
}


def _text(label: str, description: str = "", **schema: Any) -> dict[str, Any]:
    field: dict[str, Any] = {"label": label, "schema": {"type": ["string", "null"], **schema}}
    return {**field, "description": description} if description else field


def _number(label: str, description: str, *, type_: str, minimum: float) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": [type_, "null"], "minimum": minimum}}


_COMMON_FIELDS = {
    "verify": _text("Verify TLS", "true (default), false, or the path of a CA bundle"),
    "request_timeout": _number("Request timeout", "seconds, default 30", type_="number", minimum=0),
    "max_connections": _number("Maximum connections", "default 8", type_="integer", minimum=1),
}

_FIELDS: dict[str, dict[str, Any]] = {
    "code_stream": {
        "domain": _text("Domain", "of the login, for an Active Directory user"),
        "refresh_token": _text("Refresh token", "instead of login and password", format="password"),
        "api_prefix": _text("API prefix", "default /codestream/api; older appliances: /pipeline/api"),
        "api_version": _text("API version", "default 2019-10-17"),
        "token_url": _text("Token URL", "of the cloud service's token endpoint, with a refresh token", format="url"),
        "ui_url": _text("URL of an execution", "template of the link to an execution, with {id} and {base}"),
        "words": _text("Words", "JSON object: the server's words for rerun, resume, approve, reject", format="json"),
    },
    "service_stage": {
        "auth": _text("Authentication", "aksk (default) or token", enum=["aksk", "token"]),
        "region": _text("Region", "for example ap-southeast-3; determines the endpoint, unless Host is given"),
        "project_id": _text("Project id", "IAM project of the region; looked up in IAM if left out"),
        "iam_url": _text("IAM URL", "default: that of the region", format="url"),
        "domain_name": _text("Account", "of the IAM user, with token authentication"),
        "security_token": _text("Security token", "of a temporary access key", format="password"),
        "ui_url": _text("URL of a release", "template of the link to it, with {id}, {pipeline_id} and {base}"),
    },
    "cocktail": {
        "auth_header": _text("Header of the token", "default Authorization"),
        "auth_scheme": _text("Scheme of the token", "default Bearer"),
        "api_prefix": _text("API prefix", "default /v1"),
        "paths": _text("Paths", "JSON object: other paths for run, status, list, cancel, log, build", format="json"),
        "headers": _text("More headers", "JSON object, sent with every request", format="json"),
        "ui_url": _text("URL of a build run", "template of the link to it, with {id}, {build_seq} and {base}"),
    },
    "quay": {
        "api_prefix": _text("API prefix", "default /api/v1"),
        "ui_url": _text("URL of a page", "template of the link to it, with {repository}, {kind}, {id} and {base}"),
    },
}

_LABELS = {"schema": "Scheme"}
_PLACEHOLDERS = {
    "schema": "http or https (default)",
    # https://github.com/apache/airflow/pull/73298
    "port": "443; the Test button of Airflow 3.3.1 and 3.3.2 needs it",
}

_UI: dict[str, dict[str, Any]] = {
    "code_stream": {
        "hidden-fields": [],
        "relabeling": {**_LABELS, "login": "User"},
        "placeholders": {**_PLACEHOLDERS, "host": "vra.example.com", "login": "release-bot"},
    },
    "service_stage": {
        "hidden-fields": [],
        "relabeling": {**_LABELS, "login": "Access key, or IAM user", "password": "Secret key, or password"},
        "placeholders": {**_PLACEHOLDERS, "host": "leave empty for the endpoint of the region"},
    },
    "cocktail": {
        "hidden-fields": ["login"],
        "relabeling": {**_LABELS, "password": "API token"},
        "placeholders": {**_PLACEHOLDERS, "host": "cocktail.example.com"},
    },
    "quay": {
        "hidden-fields": ["login"],
        "relabeling": {**_LABELS, "password": "OAuth application token"},
        "placeholders": {**_PLACEHOLDERS, "host": "quay.example.com"},
    },
}

_CONFIG = {
    SECTION: {
        "description": "Defaults and limits of waits for Code Stream, ServiceStage, Cocktail Cloud and Quay.",
        "options": {setting.name: setting.as_option() for setting in (*SETTINGS, *TEXTS)},
    },
}


_WITH_ASSET_EVENTS = ("code_stream", "quay")


def _modules(kind: str) -> list[dict[str, Any]]:
    return [
        {"integration-name": name, "python-modules": [f"airflow_provider.{kind}.{system}"]}
        for system, name in _SYSTEMS.items()
    ]


def _window_module(kind: str) -> dict[str, Any]:
    return {"integration-name": _WINDOWS, "python-modules": [f"airflow_provider.{kind}.release_window"]}


def _connection_type(system: str, name: str) -> dict[str, Any]:
    hook = "".join(word.capitalize() for word in system.split("_")) + "Hook"
    return {
        "connection-type": system,
        "hook-class-name": f"airflow_provider.hooks.{system}.{hook}",
        "hook-name": name,
        "ui-field-behaviour": _UI[system],
        "conn-fields": {**_FIELDS[system], **_COMMON_FIELDS},
    }


def get_provider_info() -> dict[str, Any]:
    """The entry point ``apache_airflow_provider``."""
    return {
        "package-name": "airflow-provider-release-pipelines",
        "name": "Release pipelines",
        "description": "Code Stream, ServiceStage, Cocktail Cloud builds and Quay: starts, waits, approves, stops.",
        "integrations": [
            {
                "integration-name": name,
                "external-doc-url": _DOCUMENTATION[system],
                "how-to-guide": ["/docs/connections.md", "/docs/settings.md"],
                "logo": f"/integration-logos/{system}.svg",
                "tags": ["service"],
            }
            for system, name in _SYSTEMS.items()
        ]
        + [{"integration-name": _WINDOWS, "tags": ["service"]}],
        "operators": _modules("operators"),
        "sensors": [*_modules("sensors"), _window_module("sensors")],
        "hooks": _modules("hooks"),
        "triggers": [
            {
                "integration-name": name,
                "python-modules": [
                    "airflow_provider.triggers.execution",
                    *([f"airflow_provider.triggers.{system}"] if system in _WITH_ASSET_EVENTS else []),
                ],
            }
            for system, name in _SYSTEMS.items()
        ]
        + [_window_module("triggers")],
        "connection-types": [_connection_type(system, name) for system, name in _SYSTEMS.items()],
        "extra-links": [
            f"airflow_provider.links.{link}"
            for link in ("CodeStreamLink", "ServiceStageLink", "CocktailLink", "QuayLink")
        ],
        "notifications": ["airflow_provider.notifications.ApprovalNotifier"],
        "config": _CONFIG,
    }
