"""How hypothesis tries examples here: without a watch, because how long one takes tells how busy the machine is."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
