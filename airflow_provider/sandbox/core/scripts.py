"""The scripts that tests have written for the tasks of executions."""

from __future__ import annotations

from typing import Any


class Scripts(dict[tuple[str, ...], dict[str, Any]]):
    """Scripts by the identity of a task; each system defines what its scripts hold. ``times`` limits their use."""

    def take(self, *key: str) -> dict[str, Any]:
        """The script for a task that starts now; empty if there is none."""
        script = self.get(key, {})
        if "times" in script:
            script["times"] -= 1
            if script["times"] <= 0:
                del self[key]
        return script
