"""Red Hat Quay: image builds, tags and security scans as executions, over the operations of api.py."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from airflow_provider.clients.decoding import loads
from airflow_provider.clients.memory import has_changed
from airflow_provider.clients.quay import starts
from airflow_provider.clients.quay.answers import objects_in, seconds_of
from airflow_provider.clients.quay.api import QuayApi
from airflow_provider.clients.quay.base import INSUFFICIENT_SCOPE, WRITE
from airflow_provider.clients.quay.executions import (
    BUILD,
    SCAN,
    SYSTEM,
    TAG,
    Json,
    build_execution,
    build_reference,
    image_ref,
    scan_execution,
    state_of,
    tag_execution,
)
from airflow_provider.clients.quay.lists import Builds, Tags, Told, decode_builds, read_tags
from airflow_provider.clients.quay.scans import ABSENT, SEVERITIES, Scan, findings_of
from airflow_provider.clients.waitable import Found, Intent, Observation, concerns_one_execution, start_window
from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import (
    BadRequestError,
    Call,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState
from airflow_provider.identifiers import build_tags_problem, url_problem

_LISTED = 100
_SEARCHED = 1000
"""Builds since a start, among which it is looked for."""

_WHOLE_EVERY = 600.0
"""Seconds after which a list of tags is read from its newest to its oldest again: rows shift while pages are read."""

_NOBODYS = "airflow-provider/connection-check"
"""A repository that nobody has: asked for it, Quay refuses a good token (403) otherwise than a bad one (401)."""

_NO_LONGER_CANCELED = ("pushing", "cannot_load")
"""Phases in which no Quay takes a cancel, or which hide the real one."""


class QuayClient(QuayApi):
    """:param base_url: of the registry's web UI, without the prefix; its host names the images.
    :param token: an OAuth application token; ``repo:admin`` for notifications and to cancel builds, ``repo:write`` to
        start builds, read their logs and change tags, ``repo:read`` for the rest.
    :param api_prefix: in front of every path.
    :param options: ``timeout``, ``verify``, ``max_connections``, ``attempts`` and ``on_secret`` of its
        :class:`~airflow_provider.clients.transport.Transport`.
    """

    def start_build(
        self,
        repository: str,
        *,
        archive_url: str,
        tags: Sequence[str],
        subdirectory: str | None = None,
        dockerfile_path: str | None = None,
    ) -> Execution:
        """Build an image from an archive; two equal starts make two builds. Sent once, whatever comes back.

        :param archive_url: http or https URL of the sources; sent in ASCII, as a browser does.
        :param tags: at least one, each once, of at most 127 characters.
        :param subdirectory: where the Dockerfile is, or
        :param dockerfile_path: its path.
        """
        self.check_build(
            repository,
            archive_url=archive_url,
            tags=tags,
            subdirectory=subdirectory,
            dockerfile_path=dockerfile_path,
        )
        path = self._repository_path("/build/", repository)
        body: Json = {"archive_url": starts.in_ascii(archive_url), "docker_tags": list(tags)}
        body |= {"subdirectory": subdirectory} if subdirectory else {}
        body |= {"dockerfile_path": dockerfile_path} if dockerfile_path else {}
        build = self._object(self._send("POST", path, body=body, attempts=1, needs=WRITE).data, path)
        if not build.get("id"):
            raise self._unexpected(path, "the answer to the start has no build id")
        return self._plain_execution(build, build_reference(repository, str(build["id"])))

    def check_build(
        self,
        repository: str,
        *,
        archive_url: str,
        tags: Sequence[str],
        subdirectory: str | None = None,
        dockerfile_path: str | None = None,
    ) -> None:
        """Refuse what :meth:`start_build` would refuse, without any request."""
        self._repository_path("/build/", repository)
        self._refuse("archive_url", url_problem(archive_url))
        try:
            starts.in_ascii(archive_url)
        except ValueError:
            raise self.bad_request("archive_url must name a host that can be written in ASCII (IDNA)") from None
        self._refuse("tags", build_tags_problem(tags))
        for name, place in (("subdirectory", subdirectory), ("dockerfile_path", dockerfile_path)):
            if place is not None and not isinstance(place, str):
                raise self.bad_request(f"{name} must be a text, not {place!r}")
        if subdirectory and dockerfile_path:
            raise self.bad_request("give subdirectory or dockerfile_path, not both: Quay reads one only")

    def build_intent(
        self,
        repository: str,
        *,
        archive_url: str,
        tags: Sequence[str],
        subdirectory: str | None = None,
        dockerfile_path: str | None = None,
    ) -> Json:
        """What :meth:`find_started` must know of a start with these arguments, which :meth:`check_build` has passed.

        Quay has no free text in which a start could be marked. The newest builds are noted, too: they are not ours,
        whatever the clocks say.
        """
        kept = starts.kept_of(archive_url, tags, subdirectory, dockerfile_path)
        before = [str(build.get("id")) for build in self.list_builds(repository, limit=_LISTED)]
        return {"kind": BUILD, "repository": repository, **kept, "builds_before": before}

    def needs_cancel(self, execution: Execution) -> bool:
        """Only a build can be canceled; one that is over does not come back by itself."""
        return execution.ref.get("kind") == BUILD and super().needs_cancel(execution)

    def check(self) -> str:
        path = self._repository_path("/notification/", _NOBODYS)
        try:
            self._list(path, "notifications")
        except (PermissionDeniedError, UnexpectedResponseError) as error:
            # Nobody but Quay refuses in these words; a good status alone is what any web server has for any path.
            if error.code != INSUFFICIENT_SCOPE:
                raise UnexpectedResponseError(
                    f"{self.registry} answers, but not as a Quay does ({error.summary}): do the connection's host and "
                    "its extra `api_prefix` name the API of a Quay?",
                    call=error.call,
                ) from None
        return f"Quay at {self.registry} accepts the token; what it may do is decided repository by repository"

    def _observe(self, ref: ExecutionRef) -> Execution:
        """Also tells why a build failed, which takes a request more."""
        seen = self._seen(ref)
        if ref["kind"] == BUILD and seen.state is ExecutionState.FAILED and (reason := self._failure(ref)):
            return replace(seen, message=f"{seen.message}: {reason}")
        return seen

    def _seen(self, ref: ExecutionRef) -> Execution:
        kind = ref.get("kind")
        if kind == BUILD:
            return self._look_at_build(ref)
        if kind == TAG:
            ref = self._with_exact_digest(ref)
            return self._tag_execution(self.find_tag(ref["repository"], ref["tag"]), ref)
        if kind == SCAN:
            return self._look_at_scan(self._with_exact_digest(ref))
        raise self.bad_request(f"kind must be one of {BUILD}, {TAG}, {SCAN}, not {kind!r}")

    def shared_request(self, ref: ExecutionRef) -> str | None:
        name = f"{ref.get('kind')}s of {ref.get('repository')}"
        return f"{name}: {ref.get('digest') or ref.get('tag')}" if ref.get("kind") == SCAN else name

    def _fetch(self, refs: Sequence[ExecutionRef]) -> list[Found]:
        """One list a repository for two builds or tags and more; what is asked one by one is asked once for equals.

        No build's log is read here: what ended is told first, and logs grow to megabytes.
        """
        told: list[Told | None] = self._receipts.values_of(refs)
        sharing: dict[tuple[str, str], list[int]] = {}
        for place, ref in enumerate(refs):
            sharing.setdefault((ref.get("kind", ""), ref.get("repository", "")), []).append(place)
        lists: list[Builds | Tags | None] = [None] * len(refs)
        for (kind, repository), places in sharing.items():
            if kind in (BUILD, TAG) and any(refs[place] != refs[places[0]] for place in places):
                listed = self._listed(kind, repository, [told[place] for place in places])
                for place in places:
                    lists[place] = listed
        equals = Counter(map(_key, refs))
        asked: dict[tuple[tuple[str, str], ...], Observation] = {}
        found: dict[int, Observation | Callable[[], Observation]] = {}
        ended: dict[str, dict[int, Execution]] = {}
        for place, (ref, before, listed) in enumerate(zip(refs, told, lists, strict=True)):
            if before and listed and listed.is_unchanged(ref, before):
                continue
            key = _key(ref)
            if known := self._from_list(ref, listed) if listed else None:
                found[place] = known
                if isinstance(listed, Builds) and isinstance(known, Execution):
                    ended.setdefault(ref["repository"], {})[place] = known
            elif equals[key] == 1:
                found[place] = partial(self._look_or_error, ref, self._seen)
            else:
                found[place] = asked[key] = asked.get(key) or self._look_or_error(ref, self._seen)
        for repository, builds in ended.items():
            found |= self._with_digests(repository, builds)
        seen: list[Found] = []
        for place, (before, listed) in enumerate(zip(told, lists, strict=True)):
            each = found.get(place)
            if callable(each):
                seen.append(partial(self._look_now, each, before, listed))
            else:
                seen.append(self._told_now(before, each, listed) if each else None)
        return seen

    def _look_now(
        self, look: Callable[[], Observation], before: Told | None, listed: Builds | Tags | None
    ) -> Observation | None:
        return self._told_now(before, look(), listed)

    def _told_now(self, before: Told | None, seen: Observation, listed: Builds | Tags | None) -> Observation | None:
        if isinstance(seen, ReleasePipelineError):
            return seen
        known = listed.newest if isinstance(listed, Tags) else None
        if before and not seen.state.is_terminal and not has_changed(before.execution, seen):
            before.known = known
            return None
        return self._receipts.hand_out(seen, Told(seen, known))

    def has_log(self, ref: ExecutionRef) -> bool:
        return ref.get("kind") == BUILD

    def _read_log(self, ref: ExecutionRef, offset: int) -> tuple[list[str], int]:
        """``offset`` counts Quay's log entries. An archived log, and one that the token may not read, has no lines."""
        if not self.has_log(ref):
            return [], offset
        try:
            answer = self.get_build_logs(ref["repository"], ref["id"], start=offset)
        except (BadRequestError, NotFoundError, PermissionDeniedError):
            return [], offset
        entries = objects_in(answer.get("logs"))
        lines = [line for entry in entries for line in str(entry.get("message") or "").splitlines()]
        total = answer.get("total")
        # A total of 0 is that of a log store which is down.
        return [line for line in lines if line.strip()], total if isinstance(total, int) and total > 0 else offset

    def _cancel(self, ref: ExecutionRef, reason: str) -> None:
        if ref.get("kind") != BUILD:
            raise self.bad_request(f"a {ref.get('kind')} cannot be canceled")
        repository, build_id = ref["repository"], ref["id"]
        build = self.get_build(repository, build_id)
        if state_of(build).is_terminal:
            return
        if build.get("phase") in _NO_LONGER_CANCELED:
            raise self._not_canceled(build, "nothing was sent, because a refused cancel takes away its other tries")
        try:
            self.cancel_build(repository, build_id)
        except ConflictError:
            build = self.get_build(repository, build_id)
            if not state_of(build).is_terminal:
                raise self._not_canceled(build, "Quay refused the cancel; the build will not be tried again") from None

    def _find_started(self, intent: Intent) -> list[Execution]:
        if intent["kind"] != BUILD:
            raise self.bad_request(f"kind must be {BUILD!r}, not {intent['kind']!r}")
        repository = str(intent["repository"])
        path = self._repository_path("/build/", repository)
        builds = self.list_builds(repository, limit=_SEARCHED, since=start_window(intent)[0])
        if len(builds) >= _SEARCHED:
            raise ConflictError(
                f"{repository} has {len(builds)} builds or more since this start: whether one of them is ours cannot "
                "be told",
                call=Call(system=SYSTEM),
            )
        try:
            found = [each for each in builds if starts.is_like(each, intent) and starts.began_in_time(each, intent)]
        except ValueError as error:
            raise self._unexpected(path, str(error)) from None
        return [self._observe(build_reference(repository, str(build["id"]))) for build in reversed(found)]

    def settling_of(self, execution: Execution) -> float:
        # A heartbeat that comes late brings a build back.
        is_expired = execution.ref.get("kind") == BUILD and execution.status == "expired"
        return DURATIONS.expired_settling if is_expired else 0.0

    # --- inside: builds

    def _look_at_build(self, ref: ExecutionRef) -> Execution:
        build = self.get_build(ref["repository"], ref["id"])
        if build.get("phase") == "expired":
            # A late heartbeat can bring it back.
            build = self.get_build_status(ref["repository"], ref["id"])
        execution = self._plain_execution(build, ref)
        settling = self.settling_of(execution)
        if settling and not self._doubts.is_believed(ref["id"], settling):
            return replace(execution, state=ExecutionState.RUNNING, message="expired, unless a late heartbeat comes")
        return self._with_digest(execution) if execution.state is ExecutionState.SUCCEEDED else execution

    def _plain_execution(self, build: Json, ref: ExecutionRef) -> Execution:
        seen = build_execution(build, ref, f"{self._page(ref['repository'])}/build/{ref['id']}")
        if not seen.state.is_terminal:
            self._doubts.note_going_on(ref["id"])
        return seen

    def _with_digests(
        self, repository: str, builds: Mapping[int, Execution]
    ) -> Mapping[int, Observation | Callable[[], Observation]]:
        """Those that succeeded with their digests, or how to ask for it: of several, the tags are read in one piece."""
        good = {place: build for place, build in builds.items() if build.state is ExecutionState.SUCCEEDED}
        pushes = self._pushes_since(repository, list(good.values())) if len(good) > 1 else None
        if pushes is None:
            return {**builds, **{place: partial(self._with_digest, build) for place, build in good.items()}}
        return {
            **builds,
            **{place: self._with_digest(build, lambda tag: pushes.get(tag, [])) for place, build in good.items()},
        }

    def _pushes_since(self, repository: str, builds: Sequence[Execution]) -> dict[str, list[Json]] | None:
        """By name, what the tags of a repository pointed to since the first of the builds began.

        ``None`` where to read on would be dearer than to ask for the tags of each build.
        """
        since = min(map(_start_of, builds))
        pushes: dict[str, list[Json]] = {}
        for count, page in enumerate(self._tag_pages(repository, only_active=False), start=1):
            for entry in page:
                pushes.setdefault(str(entry["name"]), []).append(entry)
            if page and min(seconds_of(entry) for entry in page) < since:
                return pushes
            if count == len(builds):
                return None
        return pushes

    def _with_digest(
        self, execution: Execution, history_of: Callable[[str], Sequence[Json]] | None = None
    ) -> Execution:
        """A build does not tell its digest. Its tags do, unless somebody pushed to all of them since it started.

        :param history_of: tells what a tag pointed to; default: Quay is asked.
        """
        repository = execution.ref["repository"]
        digests: set[str] | None = None
        for tag in execution.outputs["tags"]:
            if history_of:
                history = history_of(tag)
            else:
                history = next(self._tag_pages(repository, only_active=False, tag=tag), [])
            pushed = {
                str(entry["manifest_digest"])
                for entry in history
                if entry.get("name") == tag and seconds_of(entry) >= _start_of(execution)
            }
            digests = pushed if digests is None else digests & pushed
            if len(digests) == 1:
                break
        if not digests or len(digests) > 1:
            why = "none of its tags was pushed since" if not digests else "its tags were pushed several times since"
            return replace(execution, message=f"the digest of this build cannot be told: {why}")
        digest = digests.pop()
        outputs = {**execution.outputs, "digest": digest, "image_ref": image_ref(self.registry, repository, digest)}
        return replace(execution, outputs=outputs)

    def _failure(self, ref: ExecutionRef) -> str | None:
        """The last error in the build's log, where the token may read it and it is not archived yet."""
        try:
            entries = objects_in(self.get_build_logs(ref["repository"], ref["id"]).get("logs"))
        except (NotFoundError, PermissionDeniedError, ServerUnavailableError, UnexpectedResponseError):
            return None
        errors = [str(entry.get("message") or "") for entry in entries if entry.get("type") == "error"]
        return errors[-1] if errors else None

    def _not_canceled(self, build: Json, what: str) -> ConflictError:
        return ConflictError(
            f"image build {build.get('id')} cannot be canceled in phase {build.get('phase')}: {what}",
            call=Call(system=SYSTEM),
        )

    # --- inside: tags and scans

    def _with_exact_digest(self, ref: ExecutionRef) -> ExecutionRef:
        """A digest that Quay never writes so would be waited for to the end."""
        given = ref["digest"]
        exact = self._check_digest("digest", given) if given else ""
        return ref if exact == given else {**ref, "digest": exact}

    def _tag_execution(self, tag: Json | None, ref: ExecutionRef) -> Execution:
        return tag_execution(tag, ref, self.registry, f"{self._page(ref['repository'])}?tab=tags")

    def _look_at_scan(self, ref: ExecutionRef) -> Execution:
        repository, tag, digest = ref["repository"], ref["tag"], ref["digest"]
        if ref["max_severity"] not in SEVERITIES:
            raise self.bad_request(f"max_severity must be one of {', '.join(SEVERITIES)}")
        if not digest:
            found = self.find_tag(repository, tag)
            if found is None:
                return self._tag_execution(None, ref)
            digest = str(found["manifest_digest"])
            ref = {**ref, "digest": digest}
        url = f"{self._page(repository)}/manifest/{digest}?tab=vulnerabilities"
        return scan_execution(self._scans(repository, digest), ref, self.registry, url)

    def _scans(self, repository: str, digest: str) -> list[Scan]:
        scan = self._scan(repository, digest)
        if scan.status == "unsupported" and (platforms := self._platforms(repository, digest)):
            return [self._scan_of_platform(repository, each) for each in platforms]
        return [scan]

    def _scan(self, repository: str, digest: str) -> Scan:
        try:
            answer = self.get_security_scan(repository, digest)
        except NotFoundError as error:
            self.get_manifest(repository, digest)
            raise NotFoundError(
                f"this Quay has manifest {digest} but no security scans: its scanner is switched off", call=error.call
            ) from None
        status = str(answer.get("status"))
        if status != "scanned":
            return Scan(digest, status)
        try:
            return Scan(digest, status, findings_of(answer["data"]))
        except (KeyError, TypeError, AttributeError):
            path = self._manifest_path(repository, digest) + "/security"
            raise self._unexpected(path, "the scan is done, but its report cannot be read") from None

    def _scan_of_platform(self, repository: str, digest: str) -> Scan:
        try:
            return self._scan(repository, digest)
        except NotFoundError as error:
            # Of the two reads only that of the manifest says that it is not there, as in a sparse list.
            if error.path and error.path.endswith("/security"):
                raise
            return Scan(digest, ABSENT)

    def _platforms(self, repository: str, digest: str) -> list[str]:
        """The manifests that a manifest list holds, without those that only attest to others."""
        manifest = self.get_manifest(repository, digest)
        if not manifest.get("is_manifest_list"):
            return []
        try:
            entries: list[Mapping[str, Any]] = loads(manifest["manifest_data"])["manifests"]
            return [
                str(entry["digest"])
                for entry in entries
                if "vnd.docker.reference.type" not in (entry.get("annotations") or {})
            ]
        except (KeyError, TypeError, ValueError, AttributeError):
            path = self._manifest_path(repository, digest)
            raise self._unexpected(path, "the manifest list cannot be read") from None

    def _page(self, repository: str) -> str:
        return f"{self.transport.base_url}/repository/{repository}"

    # --- inside: lists

    def _listed(self, kind: str, repository: str, told: Sequence[Told | None]) -> Builds | Tags | None:
        try:
            if kind == BUILD:
                return self._listed_builds(repository)
            now = time.monotonic()
            is_due = now - (self._read_whole.get(repository) or -math.inf) > _WHOLE_EVERY
            pages = self._tag_pages(repository, only_active=True)
            listed = read_tags(pages, [before.known if before and not is_due else None for before in told])
            if is_due:
                self._read_whole.put(repository, now)
            return listed
        except ReleasePipelineError as error:
            if not concerns_one_execution(error):
                raise
            return None

    def _listed_builds(self, repository: str) -> Builds:
        path = self._repository_path("/build/", repository)
        answer = self.transport.get(path, {"limit": _LISTED}, decode=decode_builds)
        if not isinstance(answer, Builds):
            raise self._unexpected(path, "the answer has no list 'builds' of objects")
        return answer

    def _from_list(self, ref: ExecutionRef, listed: Builds | Tags) -> Observation | None:
        if isinstance(listed, Tags):
            tag = listed.tags.get(ref["tag"])
            try:
                return self._tag_execution(tag, self._with_exact_digest(ref)) if tag or listed.complete else None
            except BadRequestError as error:
                return error
        build = listed.item(ref["id"])
        return self._plain_execution(build, ref) if build and build.get("phase") != "expired" else None


def _key(ref: ExecutionRef) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(ref.items()))


def _start_of(build: Execution) -> int:
    """Epoch seconds."""
    return int(build.started_at.timestamp()) if build.started_at else 0
