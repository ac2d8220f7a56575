"""The server's words for what the vendor's pages only describe: two actions on events, and two answers."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider.exceptions import Call, ConnectionConfigError

WORDS = {"rerun": "Rerun", "resume": "Resume", "approve": "Approved", "reject": "Rejected"}
"""The words that are sent unless the connection's extra ``words`` says otherwise."""

_STORED = {"approve": "APPROVED", "reject": "REJECTED"}
"""How a server stores an answer, whatever word it accepts for it."""


class Words:
    """The words of one server.

    :param given: those that differ, by the names in ``WORDS``.
    :raises ConnectionConfigError: another name, or a word that is empty or holds a slash.
    """

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        for name, word in (given or {}).items():
            if name not in WORDS:
                raise _error(f"must hold only {', '.join(WORDS)}, got {name!r}")
            if not isinstance(word, str) or not word.strip() or "/" in word:
                raise _error(f"must hold a text without slashes for {name}, got {word!r}")
        self._words = {**WORDS, **(given or {})}

    def __getitem__(self, name: str) -> str:
        return self._words[name]

    def is_taken(self, answer: str, status: str) -> bool:
        """Whether the status of a user operation means this answer.

        :param answer: ``approve`` or ``reject``.
        """
        return status.upper() in (self._words[answer].upper(), _STORED[answer])


def _error(problem: str) -> ConnectionConfigError:
    return ConnectionConfigError(f"extra `words` {problem}", call=Call(system="code_stream"))
