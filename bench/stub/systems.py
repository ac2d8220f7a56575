"""What our four systems answer, in the shapes and sizes of the vendors' own documents. No sockets here."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import msgspec

from bench.stub.vendors import NOT_FOUND, Query, Reply, Vendor, number

DIGEST = "sha256:30c1930cbee0c55a2ab23708866b8b9c6f555b17382df716d1e675eefbf5083b"
OLDER_RECORDS = 2


class ServiceStage(Vendor):
    """Release tasks of one project: one list of all, records for each."""

    FIRST_RECORD = 286541

    @staticmethod
    def pipeline_id(index: int) -> str:
        return f"{index:08x}-10df-483a-b14d-7b05f7e12c88"

    def __init__(self, count: int, lists: int, now: float) -> None:
        super().__init__(count, lists, now)
        self._index = {self.pipeline_id(index): index for index in range(count)}

    def document(self, index: int, end: float | None) -> Any:
        started = round(self.started * 1000)
        return {
            "id": self.pipeline_id(index),
            "name": f"shop-release-{index}",
            "description": "",
            "create_time": 1767323045000,
            "update_time": started if end is None else round(end * 1000),
            "version": "1",
            "model_version": 2,
            "config_mode": "ui",
            "status": 4 if end is None else 2,
            "creator": "demo",
            "last_trigger_at": started,
            "enterprise_project_id": "0",
        }

    def answer(self, method: str, path: str, query: Query, body: bytes, now: float) -> Reply:
        rest = path.partition("/pipeline/pipelines")[2].strip("/")
        if not rest:
            return Reply("list", 200, b'{"pipelines":[' + _joined(self, range(self.count), now) + b"]}")
        pipeline_id, _, what = rest.partition("/")
        index = self._index.get(pipeline_id, -1)
        if index < 0 or what != "records":
            return NOT_FOUND
        return Reply("single", 200, msgspec.json.encode(self._records(index, now)))

    def _records(self, index: int, now: float) -> Any:
        newest = self.FIRST_RECORD + index * (OLDER_RECORDS + 1) + OLDER_RECORDS
        records = [
            {
                "id": newest - back,
                "pipeline_id": self.pipeline_id(index),
                "version": 1,
                "trigger": "demo",
                "trigger_at": round(self.started * 1000) - back * 86_400_000,
                "status": 2 if back or now >= self.ends[index] else 4,
            }
            for back in range(OLDER_RECORDS + 1)
        ]
        return {"count": len(records), "records": records}

    @classmethod
    def record_id(cls, index: int) -> str:
        return str(cls.FIRST_RECORD + index * (OLDER_RECORDS + 1) + OLDER_RECORDS)


class Cocktail(Vendor):
    """Runs spread over builds: one list for each build, and every run by itself. A start answers with the first."""

    FIRST_RUN = 1001

    def document(self, index: int, end: float | None) -> Any:
        build_seq = 1 + index % self.lists
        return {
            "useYn": "Y",
            "created": "2022-12-02 08:42:43",
            "updated": "2022-12-02 08:42:46",
            "buildName": f"build-{build_seq}",
            "buildDesc": "",
            "registryName": "dev",
            "imageName": "build-api-test-gradle",
            "accountSeq": 1,
            "registryProjectId": 27,
            "externalRegistrySeq": 0,
            "buildServerHost": "topic:build-20230623-ws-example",
            "buildServerTlsVerify": "N",
            "buildRunSeq": self.FIRST_RUN + index,
            "buildSeq": build_seq,
            "buildNo": 1 + index // self.lists,
            "runType": "BUILD",
            "runDesc": "Build run test",
            "runState": "RUNNING" if end is None else "DONE",
            "autotagUseYn": "N",
            "autotagPrefix": "test",
            "autotagSeqType": "DATETIME",
            "tagName": f"tag-{index}",
            "callbackUrl": "http://dashboard.example.com:3000/callback",
            "imageUrl": f"registry.example.com/ops/build-api-test-gradle:tag-{index}",
            "imageSize": None if end is None else 133745493,
            "imageDigest": None if end is None else DIGEST,
            "pipelineSeq": 0,
            "beginTime": _iso(self.started),
            "endTime": None if end is None else _iso(end),
            "runTimeBySec": 57,
            "possibleActions": ["VIEW", "LOG", "CANCEL"] if end is None else ["VIEW", "BUILD", "LOG", "REMOVE"],
        }

    def answer(self, method: str, path: str, query: Query, body: bytes, now: float) -> Reply:
        last = path.rstrip("/").rpartition("/")[2]
        if method == "POST":
            return Reply("start", 200, _enveloped(self.now_of(0, now)))
        if "/build/run" not in path:
            return Reply("other", 200, _enveloped(b'{"buildSeq": 1, "autotagUseYn": "N", "tagName": "latest"}'))
        if last == "run":
            build_seq = number(query.get("buildSeq", ""))
            runs = range(build_seq - 1, self.count, self.lists) if 1 <= build_seq <= self.lists else range(0)
            return Reply("list", 200, _enveloped(b"[" + _joined(self, reversed(runs), now) + b"]"))
        if "/log/" in path:
            return Reply("other", 200, _enveloped(b"null"))
        index = number(last) - self.FIRST_RUN
        if not 0 <= index < self.count:
            return Reply("single", 200, _enveloped(b"null"))
        return Reply("single", 200, _enveloped(self.now_of(index, now)))


class CodeStream(Vendor):
    """Executions with their stages: lists in the order and with the filters that clients use, logins in two steps."""

    LONGEST_AGO = 3600.0

    def __init__(self, count: int, lists: int, now: float) -> None:
        self._ids = [self.execution_id(index) for index in range(count)]
        self._index = {execution_id: index for index, execution_id in enumerate(self._ids)}
        super().__init__(count, lists, now)

    @staticmethod
    def execution_id(index: int) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"execution-{index}"))

    def document(self, index: int, end: float | None) -> Any:
        status, execution_id = "RUNNING" if end is None else "COMPLETED", self._ids[index]
        task = {
            "type": "jenkins",
            "statusMessage": "",
            "input": {"job": "build", "parameters": {"branch": "main"}},
            "output": {"jobUrl": "https://jenkins.example.com/job/build/1/", "jobResults": {}},
            "endpoints": {"jenkinsServer": "Jenkins"},
            "_startTime": 1568625938000000,
            "_durationInMicros": 13495000,
        }
        stages = {
            stage: {
                "id": f"{execution_id}~{place}",
                "name": stage,
                "status": status if stage == "Prod" or end else "COMPLETED",
                "taskOrder": ["Build", "Test"],
                "tasks": {
                    name: {**task, "id": f"{execution_id}~{place}.{name}", "name": name, "status": status}
                    for name in ("Build", "Test")
                },
            }
            for place, stage in enumerate(("Dev", "Test", "Prod"))
        }
        micros = self._moved(index)
        return {
            "id": execution_id,
            "name": "Release",
            "description": "",
            "project": "Shop",
            "version": "v1",
            "_link": f"/codestream/api/executions/{execution_id}",
            "createdAt": "2019-09-16 09:25:38.065065+00",
            "updatedAt": "2019-09-23 13:48:54.483",
            "_createTimeInMicros": micros,
            "_updateTimeInMicros": micros if end is None else round(end * 1_000_000),
            "_requestTimeInMicros": micros,
            "_totalDurationInMicros": 13495000,
            "index": index,
            "status": status,
            "statusMessage": "" if end is None else "Execution Completed.",
            "comments": "bench",
            "input": {"branch": "main"},
            "output": {} if end is None else {"image": f"registry.example.com/shop@{DIGEST}"},
            "stageOrder": ["Dev", "Test", "Prod"],
            "stages": stages,
            "_nested": False,
            "_rollback": False,
            "tags": [],
        }

    def answer(self, method: str, path: str, query: Query, body: bytes, now: float) -> Reply:
        if path.endswith("/login"):
            tokens = {"refresh_token": "bench-refresh", "token": "bench-bearer", "tokenType": "Bearer"}
            return Reply("login", 200, msgspec.json.encode(tokens))
        rest = path.partition("/executions")[2].strip("/")
        if rest:
            return self.single(self._index.get(rest, -1), now)
        if not path.endswith("/executions"):
            return NOT_FOUND
        return self._list(query, now)

    def _list(self, query: Query, now: float) -> Reply:
        order, where = query.get("$orderby", "name desc"), query.get("$filter", "")
        found: Iterable[int] = range(self.count)
        if ids := re.findall(r"\bid eq '([^']*)'", where):
            found = [self._index[each] for each in ids if each in self._index]
        if since := re.search(r"\b_updateTimeInMicros g[et] '?(\d+)", where):
            found = [index for index in found if self._updated(index, now) >= int(since[1])]
        by = self._updated if order.startswith(("_updateTime", "updatedAt")) else self._requested
        chosen = sorted(found, key=lambda index: by(index, now), reverse="desc" in order)
        skip, top = number(query.get("$skip", "0")), number(query.get("$top", "25"))
        page = chosen[max(0, skip) :][: max(0, top)]
        links = [f"/codestream/api/executions/{self._ids[index]}" for index in page]
        documents = b",".join(
            b'"' + link.encode() + b'":' + self.now_of(index, now) for link, index in zip(links, page, strict=True)
        )
        head = msgspec.json.encode({"count": len(page), "totalCount": len(chosen), "links": links})
        return Reply("list", 200, head[:-1] + b',"documents":{' + documents + b"}}")

    def _moved(self, index: int) -> int:
        """When it last changed before the measurement, in microseconds: they are of all ages, up to an hour."""
        return round((self.started - self.LONGEST_AGO * (1 - index / self.count)) * 1_000_000)

    def _updated(self, index: int, now: float) -> int:
        return round(self.ends[index] * 1_000_000) if now >= self.ends[index] else self._moved(index)

    def _requested(self, index: int, now: float) -> int:
        return index


class Quay(Vendor):
    """Builds spread over repositories ``bench/<n>``: one list for each, every build and its tag by itself."""

    LONGEST_LIST = 100

    @staticmethod
    def build_id(index: int) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"build-{index}"))

    def __init__(self, count: int, lists: int, now: float) -> None:
        self._ids = [self.build_id(index) for index in range(count)]
        self._index = {build_id: index for index, build_id in enumerate(self._ids)}
        super().__init__(count, lists, now)

    def document(self, index: int, end: float | None) -> Any:
        return {
            "id": self._ids[index],
            "phase": "building" if end is None else "complete",
            "started": format_datetime(datetime.fromtimestamp(self.started, UTC)),
            "display_name": "archive.tar.gz",
            "status": {"heartbeat": 1, "total_commands": 9, "current_command": 4} if end is None else {},
            "subdirectory": "",
            "dockerfile_path": "Dockerfile",
            "context": "",
            "tags": [f"tag-{index}"],
            "manual_user": "robot",
            "is_writer": True,
            "trigger": None,
            "trigger_metadata": {},
            "resource_key": None,
            "pull_robot": None,
            "repository": {"namespace": "bench", "name": str(index % self.lists)},
            "error": None,
            "archive_url": "https://example.com/archive.tar.gz",
        }

    def answer(self, method: str, path: str, query: Query, body: bytes, now: float) -> Reply:
        repository, _, rest = path.partition("/repository/bench/")[2].partition("/")
        what, _, rest = rest.partition("/")
        if what == "tag":
            return Reply("other", 200, msgspec.json.encode(self._tags(number(repository), query, now)))
        if what != "build":
            return NOT_FOUND
        build_id, _, part = rest.strip("/").partition("/")
        if part == "logs":
            return Reply("other", 200, b'{"start":0,"total":0,"logs":[]}')
        if build_id:
            return self.single(self._index.get(build_id, -1), now)
        limit = min(number(query.get("limit", "5")), self.LONGEST_LIST)
        builds = range(number(repository), self.count, self.lists)[::-1][:limit]
        return Reply("list", 200, b'{"builds":[' + _joined(self, builds, now) + b"]}")

    def _tags(self, repository: int, query: Query, now: float) -> Any:
        """What ended builds have pushed, the newest first."""
        ended = [index for index in range(repository, self.count, self.lists) if self.ends[index] <= now]
        if name := query.get("specificTag"):
            ended = [index for index in ended if f"tag-{index}" == name]
        ended.sort(key=lambda index: self.ends[index], reverse=True)
        page = max(number(query.get("page", "1")), 1)
        first, last = (page - 1) * self.LONGEST_LIST, page * self.LONGEST_LIST
        tags = [
            {"name": f"tag-{i}", "manifest_digest": DIGEST, "start_ts": round(self.ends[i]) + 1, "size": 133745493}
            for i in ended[first:last]
        ]
        return {"tags": tags, "page": page, "has_additional": len(ended) > last}


def _joined(vendor: Vendor, indexes: Iterable[int], now: float) -> bytes:
    return b",".join([vendor.now_of(index, now) for index in indexes])


def _enveloped(result: bytes) -> bytes:
    return b'{"status":"ok","result":' + result + b"}"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
