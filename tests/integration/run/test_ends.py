"""Signals, and how jobs of `gom run` end; detached ones go on."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import begin, gom, job, running, until

pytestmark = pytest.mark.usefixtures("run_program")


def test_a_signal_ends_it_as_in_a_shell(daemon: Daemon) -> None:
    """128 + the signal's number, whoever sent it."""
    assert gom(daemon, "run", "sh", "-c", "kill -9 $$").returncode == 137
    started = begin(daemon, "run", "sleep", "1000")
    running(daemon)
    started.send_signal(signal.SIGTERM)
    assert started.wait(PATIENCE) == 143


def test_signals_reach_the_command(daemon: Daemon) -> None:
    """Ctrl-C is the command's to handle: all of its processes get it."""
    script = (
        "import signal as s, time\ns.signal(2, lambda *_: exit(5))\nprint('up', flush=True)\n"
        "while True: time.sleep(0.1)"
    )
    started = begin(daemon, "run", "python3", "-c", script, start_new_session=True)
    assert started.stdout is not None
    assert started.stdout.readline() == b"up\n"
    started.send_signal(signal.SIGINT)
    assert started.wait(PATIENCE) == 5


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_closed_terminal_ends_the_job(daemon: Daemon, number: signal.Signals) -> None:
    """Nothing runs on unseen, not even in the background of the job."""
    started = begin(daemon, "run", "sh", "-c", "sleep 1000 & sleep 1000")
    row = running(daemon)
    started.send_signal(number)
    started.wait(PATIENCE)
    until(lambda: job(daemon, row["job"])["state"] == "done")
    assert job(daemon, row["job"])["exit"] == 129
    until(lambda: not Path(f"/proc/{row['pid']}").exists())


def test_a_detached_job_goes_on_and_keeps_its_output(daemon: Daemon) -> None:
    """Its number is printed; what it writes can be read while it runs and afterwards, again and again."""
    done = gom(daemon, "run", "--detach", "sh", "-c", "echo one; echo two >&2; sleep 0.5; echo three; exit 4")
    number = done.stdout.decode().strip()
    for _ in range(2):
        shown = gom(daemon, "attach", number)
        assert (shown.returncode, shown.stdout, shown.stderr) == (4, b"one\nthree\n", b"two\n")
    assert job(daemon, int(number))["detached"] is True


def test_an_attached_terminal_can_go_again(daemon: Daemon) -> None:
    """Ctrl-C ends `gom attach`, and not the detached job."""
    number = gom(daemon, "run", "--detach", "sh", "-c", "echo up; sleep 1000").stdout.decode().strip()
    shown = begin(daemon, "attach", number, start_new_session=True)
    assert shown.stdout is not None
    assert shown.stdout.readline() == b"up\n"
    shown.send_signal(signal.SIGINT)
    assert shown.wait(PATIENCE) == 130
    assert job(daemon, int(number))["state"] == "running"
    assert gom(daemon, "kill", number).returncode == 0
    until(lambda: job(daemon, int(number))["exit"] == 143)


@pytest.mark.one_program
def test_what_was_left_behind_is_ended(daemon: Daemon, tmp_path: Path) -> None:
    """A job ends with its command: what it put into the background does not stay on the node."""
    marker = tmp_path / "pid"
    done = gom(daemon, "run", "sh", "-c", f"setsid sleep 1000 & readlink /proc/self > {marker}; exit 0")
    assert done.returncode == 0
    left = subprocess.run(["pgrep", "-f", "^sleep 1000$"], capture_output=True, text=True, check=False)
    assert all(
        Path(f"/proc/{pid}/environ").read_bytes().find(str(tmp_path).encode()) < 0
        for pid in left.stdout.split()
    )
