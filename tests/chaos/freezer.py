"""A worker that is frozen until Airflow has given its task up."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress

import psutil

from tests.chaos.cluster import Cluster

AT_MOST = 180.0
"""Seconds after which it is thawed although Airflow has not given it up, because nothing is there to do so."""


class Freezer:
    """Holds one worker at a time: a task's process and its supervisor.

    :param longer: for how many seconds it stays frozen once Airflow has given it up.
    """

    def __init__(self, cluster: Cluster, longer: Callable[[], float]) -> None:
        self._cluster = cluster
        self._longer = longer
        self._processes: list[psutil.Process] = []
        self._until = 0.0
        self._is_given_up = False
        self.ti_id: str | None = None
        """The id of the task that it interrupted."""

    def freeze(self, ti_id: str, process: psutil.Process) -> None:
        """:raises psutil.NoSuchProcess: it has just ended."""
        supervisor = self._cluster.supervisor_of(process)
        self._processes = [supervisor, process] if supervisor else [process]
        self._until, self._is_given_up = time.monotonic() + AT_MOST, False
        self.ti_id = ti_id
        for each in self._processes:
            each.suspend()

    def check(self, running: Collection[str]) -> bool:
        """Thaw it when it is time to.

        :param running: ids of the task instances that Airflow takes for running.
        :return: whether Airflow is first seen now to have given it up.
        """
        if self.ti_id is None:
            return False
        is_seen = False
        if self.ti_id not in running and not self._is_given_up and self._is_there():
            is_seen = self._is_given_up = True
            self._until = time.monotonic() + self._longer()
        if time.monotonic() > self._until or not self._is_there():
            self.thaw()
        return is_seen

    def thaw(self) -> None:
        for each in self._processes:
            with suppress(psutil.NoSuchProcess):
                each.resume()
        self._processes, self.ti_id = [], None

    def _is_there(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            return all(each.status() == psutil.STATUS_STOPPED for each in self._processes)
        return False
