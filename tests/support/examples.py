"""How hypothesis tries examples here: without a time limit, because a busy machine needs longer."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
