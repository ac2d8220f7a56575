"""A process that was stopped for a while detects it, whatever stopped it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

PROCESS = """
import sys
from airflow_provider.core.durations import DURATIONS
DURATIONS.freeze_tick = 0.1
from airflow_provider.freeze_watch import FreezeWatch
watch = FreezeWatch()
for line in sys.stdin:
    print(watch.frozen_for(), flush=True)
"""


def test_a_process_that_was_stopped_for_a_while_knows_it_afterwards() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout

        def ask() -> float:
            process.stdin.write("?\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        before = ask()
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(before + 1.0)
        os.kill(process.pid, signal.SIGCONT)
        assert ask() > before + 0.5
        time.sleep(0.5)
        assert ask() > before + 0.5, "it is remembered once the process runs again"
        process.stdin.close()
