"""The Quay stand-in answers every request that was recorded on a real server as that server did."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
from pytest_mock import MockerFixture

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.app import SandboxServer

RECORDED = [
    json.loads(line) for line in (Path(__file__).parents[1] / "data/quay_recorded.jsonl").read_text().splitlines()
]
SERVER = "https://quay.example.com"
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

START = 1795265379.0
"""Epoch seconds at which the first image had been pushed."""

FIRST = "sha256:36eef6b46a0a8680c72e631ab91592bf0601fab7f1fffdf526cda6a4ed5fd7e8"
SECOND = "sha256:472d48c0e6c2b837428901bc5d6024cb648d24bffb0a8a5b2f28b1875bd953fb"
THIRD = "sha256:28894d6d39cba58da4343ab4b9277c15691e0e63cfc8855f84d1947a2bc72e43"
LIST = "sha256:247f65983a829203e61e81c9868cbfbf45190d7110fa2e6e7ab7b1d579cc54d3"

HEADERS = {
    "repo.get.browser": {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)", "X-Requested-With": "XMLHttpRequest"},
    "repo.get.html-accept": {"Accept": "text/html"},
    "misc.lower-bearer": {"Authorization": f"bearer {seed.QUAY_TOKEN}"},
    "misc.basic": {"Authorization": "Basic YWRtaW46YWRtaW4tcGFzc3dvcmQ="},
    "misc.empty-bearer": {"Authorization": "Bearer "},
    "misc.short-bearer": {"Authorization": "Bearer short"},
}
"""What the recording does not contain of its requests."""


class Replay:
    """The stand-in as the recorded server was, its clock set by hand; ``ids`` maps recorded ids to ours."""

    def __init__(self, server: SandboxServer, mocker: MockerFixture) -> None:
        self.url = server.url
        self.moment = START
        mocker.patch.object(server.world.clock, "now", lambda: self.moment)
        self.ids: dict[str, str] = {}
        self._session = requests.Session()
        self._session.trust_env = False
        self._control("reset", speed=1)
        # There was neither a builder nor a scanner.
        self._control("switches", system="quay", immutable_tags=True, build_support=False, scan_status="queued")
        scopes = {name: [f"repo:{name}"] for name in ("admin", "write", "read", "create")}
        scopes |= {"user_read": ["user:read"], "other": list(seed.QUAY_SCOPES)}
        self._tokens = {"all": seed.QUAY_TOKEN, "expired": seed.QUAY_EXPIRED_TOKEN}
        self._tokens |= {"wrong": "w" * 40, "robot": "r" * 40}
        for name, each in scopes.items():
            user = "other" if name == "other" else "admin"
            self._tokens[name] = self._act("issue_token", user=user, scopes=each)["token"]

    def send(self, recorded: dict[str, Any]) -> requests.Response:
        name, token, sent = recorded["name"], recorded["token"], recorded["sent"]
        headers = {"Authorization": f"Bearer {self._tokens[token]}"} if token else {}
        if sent is not None:
            headers["Content-Type"] = "application/json"
        body = sent if sent is None or isinstance(sent, str) else json.dumps(sent)
        path = UUID.sub(lambda match: self.ids.get(match[0], match[0]), recorded["path"])
        return self._session.request(
            recorded["method"],
            f"{self.url}/quay{path}",
            headers=headers | HEADERS.get(name, {}),
            data=body,
            timeout=60,
            allow_redirects=False,
        )

    def unrecorded(self, method: str, path: str, body: Any = None, known_as: str = "") -> None:
        """A request that the recording left out, but that later answers show; ``known_as``: the id that it made."""
        answer = self.send({"name": "", "method": method, "path": path, "token": "all", "sent": body})
        assert answer.ok, (path, answer.text)
        if known_as:
            made = answer.json()
            self.ids[known_as] = made.get("id") or made["uuid"]

    def push(self, at: float, tag: str, digest: str, **image: Any) -> None:
        self.moment = START + at
        self._act("push_image", repository="acme/p1", tag=tag, digest=digest, size=103, **image)

    def count(self, path: str, key: str) -> int:
        answer = self.send({"name": "", "method": "GET", "path": path, "token": "all", "sent": None})
        return len(answer.json()[key])

    def _act(self, action: str, **values: Any) -> Any:
        return self._control("actions", system="quay", action=action, **values)

    def _control(self, what: str, **body: Any) -> Any:
        answer = self._session.post(f"{self.url}/_sandbox/{what}", json=body, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    # --- what came before some of the recorded requests

    def before(self, name: str) -> None:
        if name in AT:
            self.moment = START + AT[name]
        if step := BEFORE.get(name):
            step(self)


P1 = "/api/v1/repository/acme/p1"
ARCHIVE = {"archive_url": "https://sources.example.com/x.tar.gz"}
HOOK = {"event": "repo_push", "method": "webhook", "config": {"url": "http://127.1:18099/hook"}, "eventConfig": {}}

AT = {
    "tag.put.move": 25,
    "tag.put.dead-digest": 27,
    "tag.put.odd": 31,
    "tag.expire.past": 33,
    "tag.restore.newname": 43,
    "build.start": 57,
    "build.start.sub-slash": 58,
    "build.start.ctx": 59,
    "build.start.badtag": 60,
    "build.start.nohost": 61,
    "build.start.write": 62,
}
"""Seconds after ``START``, where later answers show the time."""


def _repositories(replay: Replay) -> None:
    for name in ("app", "builds", "many", "r1", "r2", "r3", "r4", "p1", "pub1"):
        visibility = "public" if name == "pub1" else "private"
        body = {"namespace": "acme", "repository": name, "visibility": visibility, "description": ""}
        replay.unrecorded("POST", "/api/v1/repository", body | ({"description": "d"} if name == "p1" else {}))
    replay.push(0, "v1", FIRST, labels={"maintainer": "one1"})
    replay.push(3, "v2", SECOND)
    replay.push(7, "v1", THIRD)
    replay.push(8, "list", LIST, children=[FIRST, SECOND])


def _tags_moved(replay: Replay) -> None:
    replay.moment = START + 23
    replay.unrecorded("PUT", f"{P1}/tag/prod", {"manifest_digest": SECOND})
    replay.moment = START + 25


def _list_promoted(replay: Replay) -> None:
    replay.moment = START + 26
    replay.unrecorded("PUT", f"{P1}/tag/prodlist", {"manifest_digest": LIST})


def _long_tag(replay: Replay) -> None:
    replay.moment = START + 30
    replay.unrecorded("PUT", f"{P1}/tag/{'t' * 128}", {"manifest_digest": SECOND})


def _restored(replay: Replay) -> None:
    replay.moment = START + 41
    replay.unrecorded("POST", f"{P1}/tag/v1/restore", {"manifest_digest": FIRST})


def _restored_under_a_bad_name(replay: Replay) -> None:
    replay.moment = START + 44
    replay.unrecorded("POST", f"{P1}/tag/-bad/restore", {"manifest_digest": FIRST})


def _built_in_a_folder(replay: Replay) -> None:
    replay.moment = START + 57
    body = ARCHIVE | {"docker_tags": ["b1"], "subdirectory": "sub"}
    replay.unrecorded("POST", f"{P1}/build/", body, known_as="2a3c194f-2f60-4632-a427-074c2c338395")
    replay.unrecorded("POST", f"{P1}/build/", body)
    replay.moment = START + 58


def _built_without_tags(replay: Replay) -> None:
    replay.unrecorded("POST", f"{P1}/build/", ARCHIVE, known_as="ab23a4c3-f698-4092-83ed-a1fc8b94a549")


def _notified_without_title(replay: Replay) -> None:
    body = HOOK | {"title": ""}
    replay.unrecorded("POST", f"{P1}/notification/", body, known_as="63d2b4f5-923f-42a4-b899-b0aadaffe2c5")


def _notified_of_more(replay: Replay) -> None:
    for number in range(46 - replay.count(f"{P1}/notification/", "notifications")):
        replay.unrecorded("POST", f"{P1}/notification/", HOOK | {"title": f"more {number}"})


BEFORE: dict[str, Callable[[Replay], None]] = {
    "repo.create.again": _repositories,
    "tag.put.move": _tags_moved,
    "tag.history": _list_promoted,
    "tag.put.long": _long_tag,
    "tag.expire.soon.read": lambda replay: replay.unrecorded("PUT", f"{P1}/tag/v2", {"expiration": START + 100}),
    "tag.restore.read": _restored,
    "tag.restore.null": _restored_under_a_bad_name,
    "tag.delete.again": lambda replay: replay.unrecorded("DELETE", f"{P1}/tag/w"),
    "label.list.filter": lambda replay: replay.unrecorded(
        "POST", f"{P1}/manifest/{SECOND}/labels", {"key": "stage", "value": "prod", "media_type": "text/plain"}
    ),
    "build.start.sub-slash": _built_in_a_folder,
    "build.start.emptytags": _built_without_tags,
    "not.create.title-256": _notified_without_title,
    "not.list": _notified_of_more,
}
"""What the recording left out before some of its requests."""


# --- comparing


def differences(replay: Replay, recorded: dict[str, Any], answer: requests.Response) -> Iterator[str]:
    """How the answer differs from the recorded one; ids that appear for the first time are noted."""
    if answer.status_code != recorded["status"]:
        yield f"status {answer.status_code}, not {recorded['status']}: {answer.text[:200]}"
        return
    if answer.headers.get("content-type") != recorded["content_type"]:
        yield f"content type {answer.headers.get('content-type')}, not {recorded['content_type']}"
    if "allow" in recorded:
        allowed, expected = (set(text.split(", ")) for text in (answer.headers.get("allow", ""), recorded["allow"]))
        if allowed != expected:
            yield f"allow {allowed}, not {expected}"
    text = answer.text.replace(f"{replay.url}/quay", SERVER)
    if "json" in recorded:
        yield from _compare(replay.ids, "", recorded["json"], json.loads(text))
    if "location" in recorded:
        location = answer.headers.get("location", "").replace(f"{replay.url}/quay", SERVER).removeprefix("/quay")
        yield from _compare_texts(replay.ids, "location", recorded["location"], location)


def _compare(ids: dict[str, str], place: str, expected: Any, got: Any) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(got, dict):
        if missing := expected.keys() ^ got.keys():
            yield f"{place}: only one has {sorted(missing)}"
        for key in expected.keys() & got.keys():
            if key == "repositories":
                yield from _compare_unordered(f"{place}.{key}", expected[key], got[key])
            elif key == "layers":
                # The recorded image had other layers than any that the stand-in makes up.
                yield from _compare_forms(f"{place}.{key}", expected[key], got[key])
            else:
                yield from _compare(ids, f"{place}.{key}", expected[key], got[key])
    elif isinstance(expected, list) and isinstance(got, list):
        shown, total = _shown(expected)
        if total != len(got):
            yield f"{place}: {len(got)} items, not {total}"
        for number, (one, other) in enumerate(zip(shown, got, strict=False)):
            yield from _compare(ids, f"{place}[{number}]", one, other)
    elif isinstance(expected, str) and isinstance(got, str):
        yield from _compare_texts(ids, place, expected, got)
    elif (type(expected), expected) != (type(got), got):
        yield f"{place}: {got!r}, not {expected!r}"


def _compare_texts(ids: dict[str, str], place: str, expected: str, got: str) -> Iterator[str]:
    # In a manifest's own text stand the digests and sizes of layers that the stand-in makes up.
    one, other = (_masked(text) if place.endswith("manifest_data") else text for text in (expected, got))
    if one.endswith("…"):
        one, other = one[:-1], other[: len(one) - 1]
    for theirs, ours in zip(UUID.findall(one), UUID.findall(other), strict=False):
        ids.setdefault(theirs, ours)
    one = UUID.sub(lambda match: ids.get(match[0], match[0]), one)
    if one != other:
        yield f"{place}: {got!r}, not {expected!r}"


def _compare_unordered(place: str, expected: list[Any], got: list[Any]) -> Iterator[str]:
    shown, total = _shown(expected)
    if total != len(got):
        yield f"{place}: {len(got)} items, not {total}"
    yield from (f"{place}: no {each}" for each in shown if each not in got)


def _compare_forms(place: str, expected: Any, got: Any) -> Iterator[str]:
    def form(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: form(each) for key, each in value.items()}
        return [form(each) for each in value] if isinstance(value, list) else type(value).__name__

    if form(expected) != form(got):
        yield f"{place}: {form(got)}, not {form(expected)}"


def _shown(items: list[Any]) -> tuple[list[Any], int]:
    """The items of a recorded list and their number: of a long list, only the first were kept."""
    last = re.fullmatch(r"… (\d+) in all", str(items[-1])) if items else None
    return (items[:-1], int(last[1])) if last else (items, len(items))


def _masked(text: str) -> str:
    return re.sub(r'"size": \d+', '"size": 0', re.sub(r"sha256:[0-9a-f]{64}", "sha256:0", text))


def test_every_recorded_request_is_answered_as_by_the_real_server(
    sandbox: SandboxServer, mocker: MockerFixture
) -> None:
    replay = Replay(sandbox, mocker)
    wrong: dict[str, list[str]] = {}
    for recorded in RECORDED:
        replay.before(recorded["name"])
        wrong[recorded["name"]] = list(differences(replay, recorded, replay.send(recorded)))
    assert len(wrong) == 295
    report = "\n".join(f"{name} {each}" for name, found in wrong.items() for each in found)
    assert not report, report
