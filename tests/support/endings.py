"""The words with which each system says that an execution has ended well."""

from __future__ import annotations

FINISHED = {"code_stream": "COMPLETED", "service_stage": "2", "cocktail": "DONE", "quay": "complete"}
