"""Adds secrets to Airflow's own masker, and removes them; the client also masks by itself.

Airflow's masker recompiles one pattern of all secrets for each new one, and never forgets any: after a day of logins,
a token each, that blocked the event loop of a triggerer for seconds. So tokens that are no longer in use are removed.
That is impossible in the supervisor, so the supervisor of a triggerer, which runs for months, gets no tokens at all.
"""

from __future__ import annotations

import re


def mask_here(secret: str) -> None:
    """Mask a secret in this process, but not in its supervisor."""
    from airflow.sdk._shared.secrets_masker import mask_secret

    mask_secret(secret)


def forget_here(secret: str) -> None:
    """Stop masking a secret in this process."""
    from airflow.sdk._shared.secrets_masker import _secrets_masker

    masker = _secrets_masker()
    gone = {re.escape(form) for form in masker._adaptations(secret)}
    known = masker.patterns
    # Another thread may be reading the known ones, or adding one, at the same time.
    masker.patterns = kept = known - gone
    kept |= known - gone
    masker.replacer = re.compile("|".join(kept)) if kept else None
