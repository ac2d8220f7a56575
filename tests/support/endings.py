"""Each system's word for an execution that has succeeded."""

from __future__ import annotations

FINISHED = {"code_stream": "COMPLETED", "service_stage": "2", "cocktail": "DONE", "quay": "complete"}
