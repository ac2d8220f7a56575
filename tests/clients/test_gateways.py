"""A gateway that does not find its system answers like one that does not exist: no wait may end because of that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.quay import QuayClient
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.waiting import Ending, Outcome, Wait, is_the_systems_own
from airflow_provider.exceptions import NotFoundError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef
from tests.support.quay_client import DIGEST, build_ref, scan_ref, tag_ref
from tests.support.scripted import Received, Reply, Scripted
from tests.support.service_stage_gateway import PREFIX, as_user, connected, release_ref

RUN = {"system": "cocktail", "kind": "build_run", "id": "7", "build_seq": "3", "tag": ""}
RUNNING = {"system": "code_stream", "kind": "execution", "id": "x-1"}
SPRING = {"timestamp": "2026-11-28T08:00:00Z", "path": "/x", "status": 404, "error": "Not Found", "requestId": "1-2"}

BODIES: dict[str, Any] = {
    "empty": None,
    "HTML": "<html>404 Not Found</html>",
    "text": "404 page not found",
    "JSON of Kong": {"message": "no Route matched with those values"},
    "JSON of Spring": SPRING,
    "JSON without content": {},
    "a list": [],
}

SAAS = "/csp/gateway/am/api/auth/api-tokens/authorize"
CODE_STREAM: dict[str, Callable[[str], ReleaseClient]] = {
    "local user": lambda url: CodeStreamClient(url, username="u", password="password-1"),
    "directory user": lambda url: CodeStreamClient(url, username="u", password="password-1", domain="example.com"),
    "refresh token": lambda url: CodeStreamClient(url, refresh_token="refresh-token-1"),
    "SaaS": lambda url: CodeStreamClient(url, refresh_token="refresh-token-1", token_url=f"{url}{SAAS}"),
}


def quay(url: str) -> ReleaseClient:
    return QuayClient(url, token="token-of-a-test", attempts=1)


# what a wait asks, with the connection, and the parts of paths that its gateway does not find
WAITS: dict[str, tuple[Callable[[str], ReleaseClient], ExecutionRef, tuple[str, ...]]] = {
    **{
        f"code_stream, {way}": (connect, RUNNING, (login,))
        for way, connect in CODE_STREAM.items()
        for login in (["authorize"] if way == "SaaS" else ["/iaas/api/login"] if "token" in way else ["/login"])
    },
    "code_stream, exchange": (CODE_STREAM["local user"], RUNNING, ("/iaas/api/login",)),
    "code_stream, execution": (CODE_STREAM["refresh token"], RUNNING, ("/codestream/",)),
    "code_stream, rerun": (
        CODE_STREAM["refresh token"],
        {
            "system": "code_stream",
            "kind": "rerun",
            "id": "e-1",
            "event_type": "docker",
            "action": "rerun",
            "link_before": "",
            "index_before": "",
        },
        ("/codestream/",),
    ),
    "code_stream, approval": (
        CODE_STREAM["refresh token"],
        {"system": "code_stream", "kind": "approval", "id": "", "execution_id": "x-1"},
        ("/codestream/",),
    ),
    "quay, build": (quay, build_ref(), ("/build/",)),
    "quay, tag": (quay, tag_ref("1.0"), ("/tag/",)),
    "quay, scan": (quay, scan_ref(DIGEST), ("/manifest/",)),
    "quay, scan alone": (quay, scan_ref(DIGEST), ("/security",)),
    "cocktail": (lambda url: CocktailClient(url, token="token-of-a-test", attempts=1), RUN, ("/",)),
    "service_stage": (connected, release_ref(), ("/v3/",)),
    "service_stage, records": (connected, release_ref(), ("/records",)),
    "service_stage, login": (as_user, release_ref(), ("/iam/",)),
}

GOOD: dict[str, Any] = {
    "/iaas/api/login": {"token": "bearer-1"},
    "/login": {"refresh_token": "refresh-1"},
    "/authorize": {"access_token": "bearer-1"},
    f"/manifest/{DIGEST}": {"digest": DIGEST, "is_manifest_list": False},
    PREFIX: {"pipelines": []},
}


def answering(lost: tuple[str, ...], body: Any, status: int = 404) -> Callable[[Received], Reply]:
    """As a gateway answers that does not find some of the paths."""

    def answer(request: Received) -> Reply:
        if any(part in request.path for part in lost):
            return status, {}, body
        return 200, {}, next((good for path, good in GOOD.items() if request.path.endswith(path)), {})

    return answer


def observed(observe: Callable[[], Execution]) -> Execution | ReleasePipelineError:
    try:
        return observe()
    except ReleasePipelineError as error:
        return error


def shared(client: ReleaseClient, refs: list[ExecutionRef]) -> list[Execution | ReleasePipelineError]:
    try:
        return [observed(each) if callable(each) else each for each in client.waits.fetch(refs)]
    except ReleasePipelineError as error:
        return [error]


def outcome_of(client: ReleaseClient, ref: ExecutionRef, seconds: float) -> Outcome | None:
    """Of a wait whose polls get the same answer for so long."""
    wait = Wait(ref, 5.0)
    polls = [wait.update(observed(lambda: client.observe(ref)), now) for now in (0.0, 5.0, seconds)]
    return next(filter(None, polls), None)


FOREIGN = [
    pytest.param(*WAITS[wait], body, id=f"{wait}: {name}")
    for wait in WAITS
    for name, body in BODIES.items()
    # Code Stream's own 404 is documented without a body.
    if isinstance(body, str) or WAITS[wait][2] != ("/codestream/",)
]


@pytest.mark.parametrize(("connect", "ref", "lost", "body"), FOREIGN)
def test_no_wait_ends_because_a_gateway_finds_nothing_for_a_while(
    scripted: Scripted, connect: Any, ref: ExecutionRef, lost: tuple[str, ...], body: Any
) -> None:
    scripted.always = answering(lost, body)
    with connect(scripted.url) as client:
        client.transport.attempts = 1
        seen = observed(lambda: client.observe(ref))
        assert isinstance(seen, ReleasePipelineError)
        assert seen.status in (404, None), "what the gateway said, not something else"
        assert outcome_of(client, ref, 6 * DURATIONS.gone_after) is None
        for found in shared(client, [ref, {**ref, "id": "no-other"}]):
            assert not isinstance(found, NotFoundError) or not is_the_systems_own(found)


@pytest.mark.parametrize(("connect", "ref", "lost"), WAITS.values(), ids=WAITS)
def test_no_wait_ends_because_a_gateway_allows_no_request_for_a_while(
    scripted: Scripted, connect: Any, ref: ExecutionRef, lost: tuple[str, ...]
) -> None:
    scripted.always = answering(lost, "<html>405 Not Allowed</html>", 405)
    with connect(scripted.url) as client:
        client.transport.attempts = 1
        assert outcome_of(client, ref, 6 * DURATIONS.gone_after) is None


QUAYS = {
    "detail": "Not Found",
    "error_message": "Not Found",
    "error_type": "not_found",
    "title": "not_found",
    "type": "https://quay.example.com/api/v1/error/not_found",
    "status": 404,
}
CODE_STREAMS = {**SPRING, "message": "Execution x-1 not found", "@type": "java.util.LinkedHashMap"}
XENONS = {"documentKind": "com:vmware:xenon:common:ServiceErrorResponse", "message": "gone", "statusCode": 404}


@pytest.mark.parametrize(
    ("wait", "body"),
    [
        ("quay, build", QUAYS),
        ("quay, tag", QUAYS),
        ("quay, scan", QUAYS),
        ("quay, scan alone", QUAYS),
        ("code_stream, execution", CODE_STREAMS),
        ("code_stream, execution", XENONS),
        ("service_stage", {"error_code": "SVCSTG.00100433", "error_msg": "release task not found"}),
    ],
)
def test_what_the_system_itself_does_not_find_is_gone(scripted: Scripted, wait: str, body: Any) -> None:
    connect, ref, lost = WAITS[wait]
    scripted.always = answering(lost, body)
    with connect(scripted.url) as client:
        outcome = outcome_of(client, ref, 2 * DURATIONS.gone_after)
    assert outcome is not None
    assert (outcome.ending, outcome.cause) == (Ending.LOST, "NotFoundError")
