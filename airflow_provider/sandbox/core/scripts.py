"""How tests have scripted the tasks of executions."""

from __future__ import annotations

from typing import Any


class Scripts(dict[tuple[str, ...], dict[str, Any]]):
    """Scripts by what names a task; the systems say what a script holds. ``times`` limits how often one is used."""

    def take(self, *key: str) -> dict[str, Any]:
        """The script for a task that starts now; empty if there is none."""
        script = self.get(key, {})
        if "times" in script:
            script["times"] -= 1
            if script["times"] <= 0:
                del self[key]
        return script
