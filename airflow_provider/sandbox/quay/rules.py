"""What the gate needs to know about a route: the required permission, and when the route is closed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """:param level: the required permission on the repository; "" if the route checks itself
    :param freezes: refused while the repository is read-only
    :param open: requires no login
    :param readers_with: the switch that also admits readers
    """

    level: str = ""
    freezes: bool = False
    open: bool = False
    readers_with: str = ""


OPEN = Rule(open=True)
DECIDES = Rule()
READ, WRITE, ADMIN = Rule("read"), Rule("write"), Rule("admin")
WRITE_UNFROZEN, ADMIN_UNFROZEN = Rule("write", freezes=True), Rule("admin", freezes=True)
REPOSITORY = "/api/v1/repository/{repository:path}"
