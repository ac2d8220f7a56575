"""Tokens of logins in Airflow's masker: only those in use, because each one that it knows slows down every line.

Airflow's masker forgets nothing by itself. It compiles one pattern of all secrets anew for each new one, which after a
day of logins takes seconds, and it does so in the supervisor, too, for what ``mask_secret`` is told. Lines are masked
in the process that writes them, so that tokens need be known there only.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk._shared.secrets_masker import SecretsMasker

_LOCK = threading.Lock()


def mask_token(token: str) -> None:
    """Mask a token in the logs of this process."""
    with _LOCK:
        _masker().add_mask(token)


def forget_token(token: str) -> None:
    """Do not mask a token any longer that is not in use any more."""
    with _LOCK:
        masker = _masker()
        known = masker.patterns - {re.escape(form) for form in masker._adaptations(token) if form}
        # The other threads go on with the old pattern until the new one is there.
        masker.replacer = re.compile("|".join(known)) if known else None
        masker.patterns = known


def _masker() -> SecretsMasker:
    from airflow.sdk._shared.secrets_masker import _secrets_masker

    return _secrets_masker()
