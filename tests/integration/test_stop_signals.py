"""Stop signals at processes that start others all the time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from gomd.jobs.supervisor.stop_signals import send_stop
from tests.integration.jobs import until


def state(pid: int) -> str:
    """Return the state of a process, as ps shows it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_shell_that_starts_programs_stops_every_time(shell: str) -> None:
    """Also in the moment in which it waits for a child to execute its program."""
    started = subprocess.Popen([shell, "-c", "while :; do /bin/true; done"], start_new_session=True)
    try:
        for _ in range(60):
            time.sleep(0.003)
            send_stop(started.pid, signal.SIGTSTP, group=True)
            until(lambda: state(started.pid) == "T")
            os.killpg(started.pid, signal.SIGCONT)
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
