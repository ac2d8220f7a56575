"""What Cocktail stores: build definitions, build runs and their steps, and how they appear in answers.

What makes a run progress is in running.py and steps.py.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider.sandbox.core.execution import Track

ACCOUNT_SEQ = 1
REGISTRY_HOST = "registry.example.com"
TERMINAL_STATES = ("DONE", "ERROR")
RUN_STATES = ("CREATED", "RUNNING", "DONE", "ERROR")
BUILD_STEPS = ("INIT", "CODE_DOWN", "CREATE_IMAGE")

EDITABLE = {
    "buildName": "build_name",
    "buildDesc": "build_desc",
    "tagName": "tag_name",
    "autotagPrefix": "autotag_prefix",
    "autotagSeqType": "autotag_seq_type",
}


def record_date(at: float | None) -> str | None:
    """Dates of the database record: a space instead of the T, and no zone."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def run_date(at: float | None) -> str | None:
    """Dates of the run itself: milliseconds and the offset with a colon."""
    if at is None:
        return None
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+00:00"


@dataclass
class Build:
    """A build definition; ``image_name`` holds project and name as in the image URL."""

    build_seq: int
    build_name: str
    image_name: str
    tag_name: str = "latest"
    build_desc: str = ""
    autotag: bool = False
    autotag_prefix: str = "test"
    autotag_seq_type: str = "DATETIME"
    failing_step: str | None = None
    yields_digest: bool = True
    build_no: int = 0
    created: float = 0.0
    updated: float = 0.0
    removed: bool = False

    def edit(self, fields: dict[str, Any]) -> None:
        """:param fields: as the API names them; unknown ones change nothing"""
        for name, attribute in EDITABLE.items():
            if fields.get(name) is not None:
                setattr(self, attribute, fields[name])
        if "autotagUseYn" in fields:
            self.autotag = fields["autotagUseYn"] == "Y"

    def view(self) -> dict[str, Any]:
        return {
            "useYn": "N" if self.removed else "Y",
            "created": record_date(self.created),
            "updated": record_date(self.updated),
            "buildSeq": self.build_seq,
            "buildNo": self.build_no,
            "tagName": self.tag_name,
            **self.shared_view(),
        }

    def shared_view(self) -> dict[str, Any]:
        """The fields that a build and its runs have in common; TLS material is always null."""
        return {
            "buildName": self.build_name,
            "buildDesc": self.build_desc,
            "registryName": "ops",
            "imageName": self.image_name.rpartition("/")[2],
            "accountSeq": ACCOUNT_SEQ,
            "registryProjectId": 27,
            "externalRegistrySeq": 0,
            "buildServerHost": "topic:build-sandbox",
            "buildServerTlsVerify": "N",
            "buildServerCacrt": None,
            "buildServerClientCert": None,
            "buildServerClientKey": None,
            "autotagUseYn": "Y" if self.autotag else "N",
            "autotagPrefix": self.autotag_prefix,
            "autotagSeqType": self.autotag_seq_type,
        }


@dataclass
class Step:
    step_run_seq: int
    step_type: str
    order: int
    config: dict[str, Any]
    state: str = "WAIT"
    begin: float | None = None
    end: float | None = None
    log: str = ""

    def view(self, run_seq: int, with_log: bool) -> dict[str, Any]:
        return {
            "buildStepRunSeq": self.step_run_seq,
            "buildStepSeq": self.order,
            "buildRunSeq": run_seq,
            "stepType": self.step_type,
            "stepConfig": self.config,
            "stepState": self.state,
            "stepOrder": self.order,
            "logId": f"{run_seq}-{self.step_run_seq}",
            "log": self.log if with_log and self.state in TERMINAL_STATES else None,
            "beginTime": run_date(self.begin),
            "endTime": run_date(self.end),
            "runTimeBySec": int((self.end or self.begin or 0) - (self.begin or 0)),
            "useFlag": True,
        }


@dataclass
class BuildRun:
    run_seq: int
    build: Build
    build_no: int
    run_type: str
    run_desc: str | None
    tag: str
    callback_url: str
    begin: float
    steps: list[Step]
    track: Track
    end: float | None = None
    due: float | None = None
    digest: str | None = None
    pushed_digest: str = ""
    size: int = 0
    refers_to: int | None = None
    removed: bool = False

    @property
    def state(self) -> str:
        return self.track.state

    def enter(self, state: str, at: float) -> None:
        self.track.enter(state, at)
        if state in TERMINAL_STATES:
            self.end, self.due = at, None

    @property
    def finished(self) -> bool:
        return self.state in TERMINAL_STATES

    @property
    def address(self) -> str:
        """The URL of its image, without the tag."""
        return f"{REGISTRY_HOST}/{self.build.image_name}"

    @property
    def possible_actions(self) -> list[str]:
        if self.state == "CREATED":
            return ["VIEW", "BUILD", "REMOVE"]
        if self.state == "RUNNING":
            cancellable = self.run_type == "BUILD" and self.steps[0].state == "DONE"
            return ["VIEW", "LOG", *(["CANCEL"] if cancellable else [])]
        return ["VIEW", "BUILD", "LOG", "REMOVE"]

    def store_result(self, reproducible: bool, no_digest: bool) -> None:
        """Digest and size depend on the content: the image and, unless it is reproducible, the number of the run."""
        content = f"{self.build.image_name}:{'' if reproducible else self.build_no}"
        checksum = hashlib.sha256(content.encode())
        self.size = 100_000_000 + int.from_bytes(checksum.digest()[:3], "big")
        self.pushed_digest = f"sha256:{checksum.hexdigest()}"
        self.digest = self.pushed_digest if self.build.yields_digest and not no_digest else None

    def view(self, *, tagged_url: bool, with_steps: bool = False) -> dict[str, Any]:
        image_url = f"{self.address}:{self.tag}" if tagged_url else self.address
        body = {
            "useYn": "Y",
            "created": record_date(self.begin),
            "updated": record_date(self.track.since),
            **self.build.shared_view(),
            "buildRunSeq": self.run_seq,
            "buildSeq": self.build.build_seq,
            "buildNo": self.build_no,
            "runType": self.run_type,
            "runDesc": self.run_desc,
            "runState": self.state,
            "tagName": self.tag,
            "callbackUrl": self.callback_url,
            "imageUrl": image_url,
            "imageSize": self.size,
            "imageDigest": self.digest,
            "pipelineSeq": 0,
            "beginTime": run_date(self.begin),
            "endTime": run_date(self.end),
            "runTimeBySec": int(self.end - self.begin) if self.end is not None else 0,
            "possibleActions": self.possible_actions,
        }
        if with_steps:
            body["buildStepRuns"] = [step.view(self.run_seq, with_log=False) for step in self.steps]
        return body

    def execution(self) -> dict[str, Any]:
        return self.track.as_dict() | {"build_seq": self.build.build_seq, "build_no": self.build_no, "tag": self.tag}
