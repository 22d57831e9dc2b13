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

#: A parent that waits, in vfork, for a child that takes 0.6 s of processor time before its execve.
_SLOW = """
#include <time.h>
#include <unistd.h>
int main(void)
{
    if (vfork() == 0) {
        while (clock() < 6 * CLOCKS_PER_SEC / 10) {}
        execl("/bin/sleep", "sleep", "60", (char *)0);
        _exit(1);
    }
    pause();
}
"""


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


def test_a_child_that_is_slow_to_execute_its_program(tmp_path: Path) -> None:
    """Its parent stops as soon as it can: it does not wait for a child that was stopped before its execve."""
    (tmp_path / "slow.c").write_text(_SLOW)
    subprocess.run(["gcc", "-w", "-o", tmp_path / "slow", tmp_path / "slow.c"], check=True)
    with subprocess.Popen([tmp_path / "slow"], start_new_session=True) as started:
        try:
            until(lambda: Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text())
            send_stop(started.pid, signal.SIGTSTP, group=True)
            until(lambda: state(started.pid) == "T")
        finally:
            os.killpg(started.pid, signal.SIGKILL)
