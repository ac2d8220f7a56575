"""Types of Cocktail's answers, as documented. Other fields that a server sends stay in them.

All fields may be missing. Numbers may come as text, and times in two forms.
"""

from __future__ import annotations

from typing import TypedDict


class BuildStepRun(TypedDict, total=False):
    buildStepRunSeq: int
    buildStepSeq: int
    buildRunSeq: int
    stepType: str
    stepConfig: object
    stepState: str
    stepOrder: int
    logId: str | None
    log: str | None
    beginTime: str | None
    endTime: str | None
    runTimeBySec: int | None


class BuildRun(TypedDict, total=False):
    """``buildStepRuns`` is present if a run is read by its number, but not in lists."""

    useYn: str
    created: str
    updated: str
    buildName: str
    buildDesc: str
    registryName: str
    imageName: str
    accountSeq: int
    registryProjectId: int
    externalRegistrySeq: int
    buildServerHost: str
    buildServerTlsVerify: str
    buildRunSeq: int
    buildSeq: int
    buildNo: int
    runType: str
    runDesc: str
    runState: str
    autotagUseYn: str
    autotagPrefix: str
    autotagSeqType: str
    tagName: str
    callbackUrl: str
    imageUrl: str
    imageSize: int
    imageDigest: str | None
    pipelineSeq: int
    beginTime: str | None
    endTime: str | None
    runTimeBySec: int | None
    possibleActions: list[str]
    buildStepRuns: list[BuildStepRun]


class BuildRunLog(TypedDict, total=False):
    buildRunSeq: int
    runState: str
    buildSeq: int
    dbLog: bool
    buildRunLogs: list[BuildStepRun]


class Build(TypedDict, total=False):
    """``tagName`` is the default tag."""

    buildSeq: int
    buildNo: int
    buildName: str
    buildDesc: str
    accountSeq: int
    registryProjectId: int
    registryName: str
    imageName: str
    autotagUseYn: str
    autotagPrefix: str
    autotagSeqType: str
    tagName: str
    externalRegistrySeq: int
    buildServerHost: str


class BuildName(TypedDict, total=False):
    buildSeq: int
    buildName: str


class BuildImages(TypedDict, total=False):
    registryName: str
    imageName: str
    tags: list[str]
