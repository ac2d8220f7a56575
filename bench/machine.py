"""What the figures were measured on: the machine, how busy others kept it, and the versions of everything compared."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from bench.contenders import OURS, PEERS

OTHERS = ("apache-airflow-core", "apache-airflow-task-sdk", "aiohttp", "requests", "urllib3", "msgspec")


def describe_machine() -> dict[str, Any]:
    """:return: processor, cores, memory, system, and the load when the run began."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    names = [*(each.distribution for each in PEERS), OURS[0].distribution, *OTHERS]
    return {name: metadata.version(name) for name in names}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
