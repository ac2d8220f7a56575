"""Where registries of providers look for what Airflow discovers, as in Airflow's own providers."""

from __future__ import annotations

from airflow_provider.provider_info import get_provider_info

__all__ = ["get_provider_info"]
