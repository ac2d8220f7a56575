"""What each field of a connection means, and that errors name a bad one before anything is sent."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.exceptions import ConnectionConfigError, ReleasePipelineError
from airflow_provider.hooks.base import hook_class
from airflow_provider.provider_info import get_provider_info
from tests.support.connections import CONN_ID, GOOD, Build
from tests.support.scripted import Scripted

SYSTEMS = sorted(GOOD)
SECRET = "s3cret-that-nobody-may-see"

BASE_URLS: list[tuple[dict[str, Any], str]] = [
    ({"host": "quay.example.com"}, "https://quay.example.com"),
    ({"host": " quay.example.com/ "}, "https://quay.example.com"),
    ({"host": "quay.example.com", "schema": "http"}, "http://quay.example.com"),
    ({"host": "quay.example.com", "schema": "https://", "port": 8443}, "https://quay.example.com:8443"),
    ({"host": "quay.example.com:8443"}, "https://quay.example.com:8443"),
    ({"host": "quay.example.com:8443", "port": 8443}, "https://quay.example.com:8443"),
    ({"host": "quay.example.com/registry"}, "https://quay.example.com/registry"),
    ({"host": "https://quay.example.com"}, "https://quay.example.com"),
    ({"host": "http://127.0.0.1:8900/quay"}, "http://127.0.0.1:8900/quay"),
    ({"host": "http://127.0.0.1:8900/quay/", "schema": "HTTP", "port": 8900}, "http://127.0.0.1:8900/quay"),
    ({"host": "http://127.0.0.1/quay", "port": 8900}, "http://127.0.0.1:8900/quay"),
    ({"host": "http://[::1]:8900"}, "http://[::1]:8900"),
    ({"host": "[::1]", "port": 8900}, "https://[::1]:8900"),
    ({"host": "quay.example.com", "schema": "", "port": None}, "https://quay.example.com"),
]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(("fields", "url"), BASE_URLS)
def test_host_port_and_schema_make_the_url(build: Build, system: str, fields: dict[str, Any], url: str) -> None:
    with build(system, **fields) as client:
        assert client.transport.base_url == url


def test_the_region_names_the_endpoint_of_service_stage(build: Build) -> None:
    assert build("service_stage").transport.base_url == "https://servicestage.ap-southeast-3.myhuaweicloud.com"


EVERYWHERE: list[tuple[str, dict[str, Any]]] = [
    ("schema", {"host": "vra.example.com", "schema": "ftp"}),
    ("schema", {"host": "http://vra.example.com", "schema": "https"}),
    ("port", {"host": "vra.example.com:443", "port": 8443}),
    ("port", {"host": "vra.example.com", "port": 70000}),
    ("port", {"host": "vra.example.com", "port": -1}),
    ("host", {"host": "vra.example.com:https"}),
    ("host", {"host": "vra.example.com:70000"}),
    ("host", {"host": "vra.example.com:0"}),
    ("host", {"host": "ftp://vra.example.com"}),
    ("host", {"host": "https://"}),
    ("host", {"host": "vra example.com"}),
    ("host", {"host": "vra.example.com\nvra.example.org"}),
    ("host", {"host": "https://vra.example.com?page=1"}),
    ("host", {"host": "https://vra.example.com/#/pipelines"}),
    ("host", {"host": f"https://bot:{SECRET}@vra.example.com"}),
    ("extra", {"extra": "{verify: false}"}),
    ("extra", {"extra": "[1]"}),
    ("extra", {"extra": f'"{SECRET}"'}),
    ("password", {"password": None}),
    ("password", {"password": ""}),
    ("extra `verify`", {"extra": {"verify": "/no/such/bundle.pem"}}),
    ("extra `verify`", {"extra": {"verify": "no"}}),
    ("extra `verify`", {"extra": {"verify": "a" * 10_000}}),
    ("extra `verify`", {"extra": {"verify": "/a\0b"}}),
    ("extra `verify`", {"extra": {"verify": [True]}}),
    ("extra `request_timeout`", {"extra": {"request_timeout": 0}}),
    ("extra `request_timeout`", {"extra": {"request_timeout": "-1"}}),
    ("extra `request_timeout`", {"extra": {"request_timeout": "soon"}}),
    ("extra `request_timeout`", {"extra": {"request_timeout": "inf"}}),
    ("extra `request_timeout`", {"extra": {"request_timeout": "nan"}}),
    ("extra `max_connections`", {"extra": {"max_connections": 0}}),
    ("extra `max_connections`", {"extra": {"max_connections": 65}}),
    ("extra `max_connections`", {"extra": {"max_connections": 1.5}}),
]
TOKEN_LOGIN = {"auth": "token", "domain_name": "account"}
OF_ONE_SYSTEM: list[tuple[str, str, dict[str, Any]]] = [
    *((system, "host", {"host": None}) for system in ("code_stream", "cocktail", "quay")),
    *((system, "host", {"host": " "}) for system in ("code_stream", "cocktail", "quay")),
    *((system, "password", {"password": f"{SECRET}\n"}) for system in ("cocktail", "quay")),
    *((system, "password", {"password": f"{SECRET}\u2019s"}) for system in ("cocktail", "quay")),
    *(
        (system, "extra `api_prefix`", {"extra": {"api_prefix": prefix}})
        for system in ("code_stream", "cocktail", "quay")
        for prefix in ("https://vra.example.com/api", "/api?apiVersion=1", "/a pi")
    ),
    ("code_stream", "login", {"login": None}),
    ("code_stream", "login", {"login": None, "password": None}),
    ("code_stream", "extra `refresh_token`", {"extra": {"refresh_token": SECRET}}),
    ("code_stream", "extra `refresh_token`", {"login": None, "extra": {"refresh_token": SECRET}}),
    ("code_stream", "extra `token_url`", {"extra": {"token_url": "https://tokens.example.com"}}),
    (
        "code_stream",
        "extra `token_url`",
        {"login": None, "password": None, "extra": {"refresh_token": SECRET, "token_url": "tokens.example.com"}},
    ),
    (
        "code_stream",
        "extra `domain`",
        {"login": None, "password": None, "extra": {"refresh_token": SECRET, "domain": "corp"}},
    ),
    ("code_stream", "extra `ui_url`", {"extra": {"ui_url": "https://vra.example.com/executions"}}),
    ("code_stream", "extra `ui_url`", {"extra": {"ui_url": "{base}/{id}/{name}"}}),
    (
        "code_stream",
        "extra `ui_url` must contain {id}, may contain {base}",
        {"extra": {"ui_url": "{base}/{id}/{name}"}},
    ),
    *(
        (system, "extra `ui_url`", {"extra": {"ui_url": template}})
        for system in ("code_stream", "service_stage", "cocktail")
        for template in ("javascript:alert('{id}')", "https://ui.example.com/", "{base}/{repository}")
    ),
    *(
        (system, "extra `ui_url`", {"extra": {"ui_url": f"https://reader:{SECRET}@ui.example.com/{{id}}"}})
        for system in SYSTEMS
    ),
    *(
        ("quay", "extra `ui_url`", {"extra": {"ui_url": template}})
        for template in ("javascript:alert('{id}')", "https://ui.example.com/", "{base}/{repository}/{digest}")
    ),
    ("code_stream", "extra `api_version`", {"extra": {"api_version": ["2019-10-17"]}}),
    *(
        ("code_stream", "extra `words`", {"extra": {"words": words}})
        for words in (
            {"cancel": "Cancel"},
            {"rerun": ""},
            {"rerun": "  "},
            {"resume": "Resume/Rerun"},
            {"approve": None},
            {"reject": 1},
            ["Rerun"],
            "Rerun",
            '{"rerun": ',
        )
    ),
    ("service_stage", "login", {"login": None}),
    ("service_stage", "login", {"login": "ACCESS KEY\n"}),
    ("service_stage", "extra `region`", {"extra": {"region": ""}}),
    ("service_stage", "extra `region`", {"extra": {"region": "example.com/"}}),
    ("service_stage", "extra `project_id`", {"host": "ss.example.com", "extra": {"region": None, "project_id": ""}}),
    ("service_stage", "extra `auth`", {"extra": {"auth": "password"}}),
    ("service_stage", "extra `domain_name`", {"extra": {"domain_name": "account"}}),
    ("service_stage", "extra `domain_name`", {"extra": {"auth": "token"}}),
    ("service_stage", "extra `security_token`", {"extra": {**TOKEN_LOGIN, "security_token": SECRET}}),
    ("service_stage", "extra `region`", {"host": "ss.example.com", "extra": {**TOKEN_LOGIN, "region": None}}),
    ("service_stage", "login", {"login": "", "extra": TOKEN_LOGIN}),
    ("service_stage", "password", {"password": "", "extra": TOKEN_LOGIN}),
    ("service_stage", "extra `iam_url`", {"extra": {"iam_url": "iam.example.com"}}),
    ("cocktail", "extra `paths`", {"extra": {"paths": {"start": "/build/{build_seq}"}}}),
    ("cocktail", "extra `paths`", {"extra": {"paths": {"status": "/build/{build_seq}"}}}),
    ("cocktail", "extra `paths`", {"extra": {"paths": '{"status": '}}),
    ("cocktail", "extra `paths`", {"extra": {"paths": ["/build"]}}),
    ("cocktail", "extra `headers`", {"extra": {"headers": "X-Team: shop"}}),
    ("cocktail", "extra `headers`", {"extra": {"headers": {"X-Team": f"{SECRET}\r\nX-Other: 1"}}}),
    ("cocktail", "extra `headers`", {"extra": {"headers": {"X Team": "shop"}}}),
    ("cocktail", "extra `headers`", {"extra": {"headers": {"authorization": SECRET}}}),
    ("cocktail", "extra `auth_header`", {"extra": {"auth_header": "X-Token:"}}),
    ("cocktail", "extra `auth_header`", {"extra": {"auth_header": f"X-Token: {SECRET}"}}),
    ("cocktail", "extra `headers`", {"extra": {"headers": {f"X-Token: {SECRET}": ""}}}),
]
BAD = [(system, field, change) for system in SYSTEMS for field, change in EVERYWHERE] + OF_ONE_SYSTEM


@pytest.mark.parametrize(("system", "field", "change"), BAD)
def test_a_bad_field_is_named_with_its_connection(
    build: Build, caplog: pytest.LogCaptureFixture, system: str, field: str, change: dict[str, Any]
) -> None:
    caplog.set_level(logging.DEBUG, "airflow_provider")
    with pytest.raises(ConnectionConfigError) as caught:
        build(system, **change)
    assert str(caught.value).startswith(f"{system}: connection {CONN_ID!r}: {field}")
    assert caught.value.system == system
    assert SECRET not in f"{caught.value!r} {caught.value} {caplog.text}"


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("definition", [None, '{"password": ', '{"port": "abc"}', "quay://:half/of-a-password@host"])
def test_a_connection_that_is_not_there_is_named(
    define: Callable[[str], None], system: str, definition: str | None
) -> None:
    if definition:
        define(definition)
    with pytest.raises(ConnectionConfigError, match=f"connection '{CONN_ID}' is not defined") as caught:
        hook_class(system)(CONN_ID).get_conn()
    assert f"AIRFLOW_CONN_{CONN_ID.upper()} in the environment" in str(caught.value)
    assert "half" not in str(caught.value)
    assert hook_class(system)(CONN_ID).test_connection() == (False, str(caught.value))


def test_blank_fields_of_the_form_mean_not_given(build: Build) -> None:
    for system in SYSTEMS:
        form = next(
            each["conn-fields"] for each in get_provider_info()["connection-types"] if each["connection-type"] == system
        )
        needed = GOOD[system].get("extra", {})
        blank = {name: "" for name in form if name not in needed}
        null = dict.fromkeys(blank)
        for extra in (blank, null):
            with build(system, extra=extra) as client:
                assert client.transport.max_connections == 8


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("quay://:good-token@quay.example.com", "https://quay.example.com"),
        ("quay://:good-token@quay.example.com:8443/http", "http://quay.example.com:8443"),
        ("quay://https://:good-token@quay.example.com/", "https://quay.example.com"),
        ("quay://http://:good-token@127.0.0.1%3A8900%2Fquay/", "http://127.0.0.1:8900/quay"),
    ],
)
def test_a_connection_may_be_a_uri_whose_extras_are_text(define: Callable[[str], None], uri: str, url: str) -> None:
    define(f"{uri}?verify=False&max_connections=3&request_timeout=&api_prefix=%2Fapi%2Fv2")
    with hook_class("quay")(CONN_ID).get_conn() as client:
        assert (client.transport.base_url, client.transport.max_connections) == (url, 3)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("uri", ["first-half/{}@vra.example.com", ":12345/{}@vra.example.com"])
def test_a_slash_in_the_password_of_a_connection_uri_shows_none_of_it(
    define: Callable[[str], None], system: str, uri: str
) -> None:
    define(f"{system.replace('_', '-')}://{uri.format(SECRET)}")
    with pytest.raises(ConnectionConfigError) as caught:
        hook_class(system)(CONN_ID).get_conn()
    assert SECRET not in str(caught.value)
    assert "first-half" not in str(caught.value)


def test_a_path_in_a_connection_uri_that_airflow_takes_for_the_schema_is_explained(
    define: Callable[[str], None],
) -> None:
    define("quay://http://:good-token@127.0.0.1:8900/quay")
    with pytest.raises(ConnectionConfigError, match=r"schema must be http or https.*escape the slashes of the host"):
        hook_class("quay")(CONN_ID).get_conn()


OK = (200, {}, {"code": "200", "status": "ok", "result": []})


@pytest.mark.parametrize(
    "paths", [{"list": "/runs/{build_seq}", "status": None}, '{"list": "/runs/{build_seq}", "status": null}']
)
@pytest.mark.parametrize("headers", [{"X-Team": SECRET}, f'{{"X-Team": "{SECRET}"}}'])
@pytest.mark.parametrize(
    ("extra", "header", "sent"),
    [
        ({}, "Authorization", "Bearer good-token"),
        ({"auth_scheme": None}, "Authorization", "Bearer good-token"),
        ({"auth_header": "X-Api-Token", "auth_scheme": "Token"}, "X-Api-Token", "Token good-token"),
    ],
)
def test_cocktail_sends_what_its_connection_says(
    build: Build, scripted: Scripted, paths: Any, headers: Any, extra: dict[str, Any], header: str, sent: str
) -> None:
    scripted.always = OK
    extras = {**extra, "paths": paths, "headers": headers, "api_prefix": "gateway/v2/"}
    with build("cocktail", host=scripted.url, extra=extras) as client:
        assert client.runs.list(7) == []  # type: ignore[attr-defined]
    request = scripted.requests[0]
    assert request.target == "/gateway/v2/runs/7"
    assert request.headers[header] == sent
    assert request.headers["X-Team"] == SECRET


@pytest.mark.parametrize(
    "words", [{"rerun": "RERUN", "reject": "No"}, '{"rerun": " RERUN ", "reject": "No"}', None, ""]
)
def test_code_stream_says_the_words_of_its_connection(build: Build, scripted: Scripted, words: Any) -> None:
    scripted.always = (200, {}, {"id": "op", "token": "t", "refresh_token": "r", "success": 1})
    with build("code_stream", host=scripted.url, extra={"words": words}) as client:
        client.events.rerun("git", "ev")  # type: ignore[attr-defined]
        client.events.rerun("git", "ev", "resume")  # type: ignore[attr-defined]
        for approve in (True, False):
            client.approvals.answer_many(["op"], approve)  # type: ignore[attr-defined]
    sent = [each for each in scripted.requests if each.path.startswith("/codestream")]
    assert [each.query.get("action") or each.json["status"] for each in sent] == [
        "RERUN" if words else "Rerun",
        "Resume",
        "Approved",
        "No" if words else "Rejected",
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", 5),
        ("host", [SECRET]),
        ("schema", {"https": 1}),
        ("password", 12345),
        ("login", {"name": SECRET}),
        ("port", [SECRET]),
        ("port", True),
        ("port", "https"),
    ],
)
def test_a_field_that_holds_no_text_is_named_whoever_made_the_connection(field: str, value: object) -> None:
    """Airflow 3.3.2 refuses most of these itself, and says that the connection is not defined."""
    good = {"host": "vra.example.com", "port": None, "schema": None, "login": "bot", "password": "good", "extra": None}
    good["conn_type"] = "code_stream"
    connection = SimpleNamespace(conn_id=CONN_ID, **{**good, field: value})
    with pytest.raises(ConnectionConfigError, match=f"'{CONN_ID}': {field} must be ") as caught:
        hook_class("code_stream").client_from(connection)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


def test_a_connection_that_trips_a_client_is_named_without_its_text(mocker: MockerFixture) -> None:
    def trip(*_: object) -> None:
        raise KeyError(SECRET)

    hook = hook_class("quay")
    mocker.patch.object(hook, "build_client", trip)
    connection = SimpleNamespace(
        conn_id=CONN_ID, conn_type="quay", host="quay", port=None, schema=None, login=None, password="t", extra=None
    )
    with pytest.raises(ConnectionConfigError, match=f"'{CONN_ID}' cannot be used .KeyError") as caught:
        hook.client_from(connection)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("secret_in", ["password", "headers"])
def test_a_secret_that_the_system_echoes_is_masked_in_the_error(
    build: Build, scripted: Scripted, secret_in: str
) -> None:
    scripted.always = (400, {}, {"message": f"bad value {SECRET}"})
    change = {"password": SECRET} if secret_in == "password" else {"extra": {"headers": {"X-Team-Key": SECRET}}}
    with build("cocktail", host=scripted.url, **change) as client, pytest.raises(ReleasePipelineError) as caught:
        client.runs.list(7)  # type: ignore[attr-defined]
    assert "bad value ***" in str(caught.value)
    assert SECRET not in f"{caught.value!r} {caught.value}"


def test_the_value_of_a_header_that_is_no_secret_is_shown(build: Build, scripted: Scripted) -> None:
    scripted.always = (400, {}, {"message": "the team DEVOPS may not do this"})
    extra = {"headers": {"X-Team": "DEVOPS"}}
    with build("cocktail", host=scripted.url, extra=extra) as client, pytest.raises(ReleasePipelineError) as caught:
        client.runs.list(7)  # type: ignore[attr-defined]
    assert "the team DEVOPS may not" in str(caught.value)


def test_defining_operators_looks_no_connection_up(tmp_path: Path) -> None:
    """Parses a DAG whose connections do not exist, in a process where looking one up fails loudly."""
    dag = """
from airflow.sdk import BaseHook
def refuse(*args): raise SystemExit("a connection was looked up")
BaseHook.get_connection = classmethod(refuse)
from airflow.sdk import DAG
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.code_stream import CodeStreamRunPipelineOperator
from airflow_provider.operators.quay import QuayPromoteTagOperator
from airflow_provider.operators.service_stage import ServiceStageReleaseOperator
with DAG("parsed"):
    CocktailRunBuildOperator(task_id="a", build_seq=1, tag_name="x", cocktail_conn_id="nope")
    CodeStreamRunPipelineOperator(task_id="b", pipeline="x", code_stream_conn_id="nope")
    QuayPromoteTagOperator(task_id="c", repository="a/b", tag="x", digest="sha256:" + 64 * "0", quay_conn_id="nope")
    ServiceStageReleaseOperator(task_id="d", pipeline="x", service_stage_conn_id="nope")
print("parsed")
"""
    (tmp_path / "dag.py").write_text(dag)
    done = subprocess.run([sys.executable, str(tmp_path / "dag.py")], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("parsed\n"), done.stderr
