"""What Airflow's own masker is told, beside what the client masks itself.

It compiles all that it knows into one pattern, anew for each secret, and never forgets: a day of logins, a token each,
held up the event loop of a triggerer for seconds. So it is told to forget the tokens that are not in use any more. The
process that supervises it cannot be told so: that of a triggerer, which lives for months, learns no tokens at all.
"""

from __future__ import annotations

import re


def mask_here(secret: str) -> None:
    """Mask a secret in this process, and not in the one that supervises it."""
    from airflow.sdk._shared.secrets_masker import mask_secret

    mask_secret(secret)


def forget_here(secret: str) -> None:
    """Mask a secret no longer, in this process."""
    from airflow.sdk._shared.secrets_masker import _secrets_masker

    masker = _secrets_masker()
    gone = {re.escape(form) for form in masker._adaptations(secret)}
    known = masker.patterns
    # Another thread may be joining the known ones, or add one meanwhile.
    masker.patterns = kept = known - gone
    kept |= known - gone
    masker.replacer = re.compile("|".join(kept)) if kept else None
