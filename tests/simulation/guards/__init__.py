"""The guards of the core and of who carries it out: without each, a life of the simulation must go wrong.

Each is a piece of source text, so that this list cannot outlive the guards: if the text is not found, removing it
fails. ``mutations.py`` removes them.
"""

from __future__ import annotations

from tests.simulation.guards import asked, ends, people, requests, starts
from tests.simulation.guards.guard import CORE, HERE, Change, Guard

__all__ = ["CORE", "GUARDS", "HERE", "Change", "Guard"]

GUARDS = (*starts.GUARDS, *ends.GUARDS, *requests.GUARDS, *people.GUARDS, *asked.GUARDS)
