"""What every call to Quay does: credentials, errors told by their content, paths that are never sent."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.clients.quay import QuayClient
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ConnectionConfigError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)
from airflow_provider.sandbox import seed
from tests.support.quay_client import ARCHIVE, SHOP, TOKEN, Stand, scan_ref, scripted_client, tag_ref
from tests.support.scripted import Scripted


@pytest.mark.parametrize(
    ("template", "pages"),
    [
        (
            None,
            (
                "{base}/repository/acme/shop/build/{build}",
                "{base}/repository/acme/shop?tab=tags",
                "{base}/repository/acme/shop/manifest/{digest}?tab=vulnerabilities",
                "{base}/repository/acme/shop?tab=tags",
            ),
        ),
        (
            "https://ui.example.com/{repository}/{kind}?of={id}&at={base}",
            (
                "https://ui.example.com/acme/shop/build?of={build}&at={base}",
                "https://ui.example.com/acme/shop/tag?of=stable&at={base}",
                "https://ui.example.com/acme/shop/scan?of=stable&at={base}",
                "https://ui.example.com/acme/shop/scan?of=missing&at={base}",
            ),
        ),
    ],
)
def test_links_lead_to_quays_own_pages_or_to_those_of_the_connection(
    stand: Stand, template: str | None, pages: tuple[str, ...]
) -> None:
    client = stand.client(ui_url=template)
    build = client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    digest = client.tags.get(SHOP, "stable")["manifest_digest"]
    seen = [build, *map(client.observe, (tag_ref("stable"), scan_ref(tag="stable"), scan_ref(tag="missing")))]
    known = {"base": f"{stand.url}/quay", "build": build.id, "digest": digest}
    assert [each.url for each in seen] == [page.format(**known) for page in pages]
    assert client.observe(build.ref).url == build.url


@pytest.mark.parametrize("token", ["garbage", seed.QUAY_EXPIRED_TOKEN])
def test_a_bad_token_is_an_authentication_error_on_reads_and_on_writes(stand: Stand, token: str) -> None:
    client = stand.client(token=token)
    with pytest.raises(AuthenticationError) as read:
        client.repositories.get(SHOP)
    with pytest.raises(AuthenticationError, match="wrong or expired") as write:
        client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    assert (read.value.status, write.value.status) == (401, 403)
    assert write.value.effect is Effect.NONE
    with pytest.raises(AuthenticationError):
        client.check()


def test_a_token_without_the_scope_is_a_missing_permission(stand: Stand) -> None:
    client = stand.client(token=seed.QUAY_READ_TOKEN)
    assert "accepts the token" in client.check()
    assert "accepts the token" in stand.client().check()
    with pytest.raises(PermissionDeniedError) as caught:
        client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    assert caught.value.code == "insufficient_scope"


def test_a_namespace_that_does_not_exist_is_told_as_one_of_two_causes(client: QuayClient) -> None:
    with pytest.raises(PermissionDeniedError, match=r"scope repo:read.*, or the namespace 'acmee' does not exist"):
        client.tags.list("acmee/shop")


def test_a_token_that_is_not_accepted_says_which_kind_quay_takes(stand: Stand) -> None:
    with pytest.raises(AuthenticationError, match=r"OAuth application token, not .* robot"):
        stand.client(token="r" * 40).tags.list(SHOP)


def test_a_page_where_the_api_should_be_names_the_fields_of_the_connection(stand: Stand) -> None:
    client = QuayClient(f"{stand.url}/quay/api/v1", token=TOKEN, attempts=1)
    with pytest.raises(NotFoundError, match=r"host .* `api_prefix`"):
        client.tags.list(SHOP)


@pytest.mark.parametrize(
    ("reply", "cause", "effect"),
    [
        ((400, {}, {"detail": "'event' is a required property\n\nOn instance: secret"}), BadRequestError, "refused"),
        ((400, {"Content-Type": "text/html"}, '{"error": "API calls must be"}'), BadRequestError, "refused"),
        ((400, {}, {"message": "Cannot set expiration on immutable tag 'v1'"}), ConflictError, "refused"),
        ((409, {}, {"detail": "Cannot delete", "error_type": "tag_immutable"}), ConflictError, "refused"),
        ((429, {}, {"message": "Maximum build rate exceeded."}), ThrottledError, "none"),
        ((500, {"Content-Type": "text/html"}, "<html>Internal Server Error"), ServerUnavailableError, "unknown"),
        ((503, {}, {"message": "read only", "is_readonly": True}), ConflictError, "refused"),
        ((503, {}, {"message": "Repository is in read only or mirror mode: 2"}), ConflictError, "refused"),
        ((503, {}, "<html>bad gateway"), ServerUnavailableError, "unknown"),
        ((520, {}, {"detail": "scanner", "error_type": "downstream_issue"}), ServerUnavailableError, "unknown"),
        ((201, {}, {"id": ""}), UnexpectedResponseError, "unknown"),
        ((201, {}, None), UnexpectedResponseError, "unknown"),
        ((201, {}, '{"id": "b'), UnexpectedResponseError, "unknown"),
    ],
)
def test_errors_are_recognized_by_their_content(
    scripted: Scripted, reply: Any, cause: type[ReleasePipelineError], effect: str
) -> None:
    client = scripted_client(scripted, reply)
    with pytest.raises(cause) as caught:
        client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    assert caught.value.effect == effect
    assert "secret" not in str(caught.value)
    assert len(scripted.requests) == 1


def test_a_token_and_a_webhook_never_show_in_an_error(scripted: Scripted) -> None:
    passed_on: list[str] = []
    secret = "https://hooks.example.com/t0p-secret"
    problem = {"detail": f"{secret} is wrong, says {TOKEN}"}
    client = scripted_client(
        scripted, {"notifications": []}, {"name": "shop"}, (400, {}, problem), on_secret=passed_on.append
    )
    with pytest.raises(BadRequestError) as caught:
        client.notifications.create(SHOP, event="repo_push", method="webhook", config={"url": secret})
    assert secret not in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert passed_on == [TOKEN, secret]


@pytest.mark.parametrize("prefix", ["/api/v2", "/"])
def test_the_check_finds_a_wrong_url(stand: Stand, prefix: str) -> None:
    with pytest.raises((NotFoundError, UnexpectedResponseError)):
        stand.client(api_prefix=prefix).check()


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, {}),
        (200, {}, []),
        (200, {}, {"status": "ok"}),
        (200, {}, None),
        (200, {"Content-Type": "text/html"}, "<html>Welcome to nginx!"),
        (403, {}, {"message": "Forbidden"}),
        (403, {"Content-Type": "text/html"}, "<html>Forbidden"),
    ],
)
def test_the_check_does_not_take_any_web_server_for_a_quay(scripted: Scripted, answer: Any) -> None:
    with pytest.raises(UnexpectedResponseError, match=r"not as Quay does.*api_prefix"):
        scripted_client(scripted, answer).check()


def test_the_check_knows_a_quay_whose_token_may_see_everything(scripted: Scripted) -> None:
    assert "accepts the token" in scripted_client(scripted, {"notifications": []}).check()


@pytest.mark.parametrize(
    "answer",
    [[], {}, {"tags": None}, {"tags": ["v1"]}, {"tags": [{"name": "v1"}]}, {"tags": [{"manifest_digest": "x"}]}],
)
def test_an_answer_of_another_form_is_an_error_by_its_own_name(scripted: Scripted, answer: Any) -> None:
    with pytest.raises(UnexpectedResponseError):
        scripted_client(scripted, answer).observe(tag_ref("v1"))


def test_a_connection_without_a_token_is_refused() -> None:
    with pytest.raises(ConnectionConfigError, match="token"):
        QuayClient("https://quay.example.com", token="")


def test_a_read_is_repeated_after_every_passing_error(stand: Stand) -> None:
    client = stand.client(attempts=2)
    for fault in ({"fault": "status", "status": 520}, {"fault": "truncate"}, {"fault": "reset_after"}):
        stand.fault(method="GET", **fault)
        assert client.tags.find(SHOP, "stable")
