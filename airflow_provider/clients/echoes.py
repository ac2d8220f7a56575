"""Masks the URL with which an execution was started where the vendor repeats it.

A triggerer does not know the arguments of a task, but the vendor's document about the execution contains the URL. No
I/O.
"""

from __future__ import annotations

from airflow_provider.clients.memory import Recent
from airflow_provider.clients.redaction import masked
from airflow_provider.identifiers import secrets_of_url


class Echoes:
    """The URLs of the executions of one kind, each of which is masked in texts about its own execution only.

    :param in_path: whether the path may be secret, as that of a webhook is.
    """

    def __init__(self, *, in_path: bool) -> None:
        self._in_path = in_path
        self._urls: Recent[str, str] = Recent()

    def note(self, execution_id: str, url: str) -> None:
        """Remember the URL of an execution."""
        if url and (self._in_path or "?" in url or "@" in url):
            self._urls.put(execution_id, url)

    def without(self, execution_id: str, text: str) -> str:
        """A text about an execution, without its URL and the secret parts of that."""
        url = self._urls.get(execution_id)
        return masked(text, dict.fromkeys(secrets_of_url(url, in_path=self._in_path))) if url else text
