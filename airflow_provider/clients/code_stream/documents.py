"""Types of Code Stream's answers, as documented. Other fields that a server sends stay in them."""

from __future__ import annotations

from typing import Any, TypedDict


class Stored(TypedDict, total=False):
    """Fields of every stored object. Times are texts; those that end in ``InMicros`` are epoch microseconds."""

    id: str
    name: str
    description: str
    project: str
    version: str
    createdAt: str
    createdBy: str
    updatedAt: str
    updatedBy: str
    _link: str
    _createTimeInMicros: int
    _updateTimeInMicros: int
    _projectId: str


class Pipeline(Stored, total=False):
    enabled: bool
    state: str
    concurrency: int
    icon: str
    input: dict[str, Any]
    output: dict[str, Any]
    stageOrder: list[str]
    stages: dict[str, Any]
    notifications: dict[str, Any]
    options: list[str]
    rollbacks: list[dict[str, Any]]
    workspace: dict[str, Any]
    tags: list[Any]


class ExecutionDocument(Stored, total=False):
    index: int
    status: str
    statusMessage: str
    comments: str
    input: dict[str, Any]
    output: dict[str, Any]
    tags: list[Any]
    stageOrder: list[str]
    stages: dict[str, Any]
    resumed_at: str
    _pipelineLink: str
    _executedBy: str
    _triggeredBy: str
    _nested: bool
    _rollback: bool
    _requestTimeInMicros: int
    _durationInMicros: int


class Event(Stored, total=False):
    """An event of any of the three types: Docker events have ``imageName`` and ``tag``, Git events ``commitId`` and
    ``targetBranch``, Gerrit events ``changeNumber`` and ``patchSetNumber``.
    """

    repo: str
    owner: str
    pipeline: str
    executionIndex: int | None
    executionLink: str | None
    executionStatus: str | None
    message: str | None
    timeStampInMicros: int | str
    repoNamespace: str
    imageName: str
    tag: str
    commitId: str
    targetBranch: str
    subject: str
    httpURL: str
    serverURL: str | dict[str, Any]
    changeNumber: int
    patchSetNumber: int
    branch: str
    gerritProject: str
    listener: str
    trigger: str
    triggerType: str
    type: str
    properties: dict[str, str]


class GerritTriggered(TypedDict, total=False):
    message: str
    pipelinesTriggered: list[str]


class UserOperation(Stored, total=False):
    index: str
    status: str
    summary: str
    approvers: list[str] | str
    requestedBy: str
    respondedBy: str
    responseMessage: str
    pipelineId: str
    pipelineName: str
    executionId: str
    executionIndex: int
    executionLink: str
    expiration: int
    expirationUnit: str
    _requestedOnInMicros: int
    _expiresOnInMicros: int


class AnswerError(TypedDict):
    id: str | None
    error: str


class Answers(TypedDict, total=False):
    success: int
    failure: int
    errors: list[AnswerError]


class CustomIntegration(Stored, total=False):
    yaml: str
    status: str
    changeLog: str
    parentId: str
    sourceVersion: str
    tags: list[Any]


class Certificate(TypedDict, total=False):
    fingerprints: dict[str, str]
    issuedBy: dict[str, str]
    issuedTo: dict[str, str]
    periodOfValidity: dict[str, int]


class Certificates(TypedDict, total=False):
    certificates: list[Certificate]


class Tiles(TypedDict, total=False):
    tiles: list[dict[str, Any]]


class Tried(TypedDict, total=False):
    """The result of trying an endpoint."""

    status: str
    statusMessage: str
    output: dict[str, Any]


class Variable(Stored, total=False):
    type: str
    value: Any


class Endpoint(Stored, total=False):
    type: str
    isRestricted: bool
    properties: dict[str, Any]
    cloudProxyId: str
    validationOutput: dict[str, Any]


class Webhook(Stored, total=False):
    """A webhook of Git or of a registry; only the latter has ``enabled``."""

    enabled: bool
    endpoint: str
    serverType: str
    repoName: str
    pipeline: str
    input: dict[str, Any]
    branchName: str
    eventCategory: str
    tagNamePattern: str
    imageNameRegExPattern: str
    refreshToken: str
    secretToken: str
    externalListenerLink: str
    serverWebhookId: str


class GerritListener(Stored, total=False):
    endpoint: str
    connected: bool
    apiToken: str
    _reason: str


class GerritTrigger(Stored, total=False):
    branch: str
    gerritProject: str
    listener: str
    enabled: bool
    configurations: list[dict[str, Any]]
    inclusions: list[dict[str, Any]]
    exclusions: list[dict[str, Any]]
    prioritizeExclusion: bool
