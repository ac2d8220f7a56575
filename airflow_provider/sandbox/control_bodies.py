"""The bodies that the /_sandbox routes take."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ResetBody(_Body):
    speed: float | None = Field(default=None, gt=0)


class FaultBody(_Body):
    """Which requests go wrong, and how; ``system`` may be ``all``.

    ``hostile`` answers with garbage, drawn from ``seed``: broken, huge, endless and deeply nested documents, gzip
    bombs, wrong types, any status and header, slow and truncated answers. It lasts until it is removed, for ``times``
    requests or with a ``probability``. An answer takes at most ``seconds`` (3). Values in ``spared`` are never
    invented: put the words for success there, and every success that a client reports is a bug of the client.
    """

    system: str
    fault: Literal[
        "latency",
        "status",
        "status_after",
        "reset_before",
        "reset_after",
        "truncate",
        "html",
        "expire_token",
        "hostile",
    ]
    method: str | None = None
    path: str | None = None
    times: int | None = Field(default=None, ge=1)
    probability: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = None
    after: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    status: int | None = Field(default=None, ge=200, le=599)
    headers: dict[str, str] = {}
    body: Any = None
    spared: list[Any] = []

    @field_validator("path")
    @classmethod
    def _is_a_regular_expression(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"path must be a regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _is_complete(self) -> FaultBody:
        if self.fault in ("status", "status_after") and self.status is None:
            raise ValueError(f"fault {self.fault} requires the field status")
        if self.fault == "latency" and not self.seconds:
            raise ValueError("fault latency requires the field seconds")
        if self.times is not None and self.probability is not None:
            raise ValueError("times or probability must be given, not both")
        if self.seed is not None and self.probability is None and self.fault != "hostile":
            raise ValueError("seed is valid only with probability or fault hostile")
        return self


class StateBody(_Body):
    state: str | int


class SwitchesBody(BaseModel):
    model_config = ConfigDict(extra="allow")
    system: str


class ActionBody(SwitchesBody):
    action: str


class ClockBody(_Body):
    advance: float
