"""The moments in which a person's act leaves an execution running because nobody is there to cancel it.

A later clear ends it.
"""

from __future__ import annotations

from tests.simulation.airflow import Task

WINDOWS = {
    "nobody ran it": "marked while it was queued or up for retry: no process and no trigger of it is there to cancel",
    "its worker had died": "marked before Airflow noticed that its worker had died",
    "its worker was frozen": "marked while its worker was frozen",
    "its worker was ending": "marked while its process, which had got SIGTERM from a machine, was on its way out",
    "its process died before SIGTERM": "marked, and its process killed before it got SIGTERM",
    "its process was only beginning": "marked while the process that a task resumes in was not up yet",
    "its process was just deferring": "marked in the tenth of a second in which its process reports a deferral",
    "no triggerer ran its wait": "marked while no triggerer ran its wait, because one had died or was frozen",
    "its trigger was just firing": "marked in the second in which its trigger fires, so that its event is dropped",
}


def window_of(task: Task) -> str:
    """Which of them it is for this task now; empty if somebody is there."""
    match task.state:
        case "running" | "restarting":
            worker = task.worker
            if worker is None or worker.is_over or worker.machine.is_dead:
                return "its worker had died"
            if worker.machine.is_frozen:
                return "its worker was frozen"
            if worker.carrier is None:
                return "its process was only beginning"
            if worker.is_deferring:
                return "its process was just deferring"
            return "its worker was ending" if worker.is_terminating else ""
        case "deferred":
            return "" if task.trigger and task.trigger.is_run else "no triggerer ran its wait"
        case _:
            return "nobody ran it"
