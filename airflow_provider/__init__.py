"""Apache Airflow provider for release pipelines: Code Stream, ServiceStage, Cocktail Cloud and Quay."""

from __future__ import annotations

__version__ = "0.1.0"
