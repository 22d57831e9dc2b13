"""Terminals that have the same number, on the node and in a container: `gom run` tells them apart."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE
from tests.integration.jobs import GOM

pytestmark = pytest.mark.usefixtures("run_program")

#: Holds the pseudo terminal of a number in another file system of such, as a container does.
IN_A_CONTAINER = """
import ctypes, fcntl, os, struct, sys, time
directory, number, libc = sys.argv[1], int(sys.argv[2]), ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x20000) == 0, os.strerror(ctypes.get_errno())
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0
assert libc.mount(b"devpts", directory.encode(), b"devpts", 0, b"newinstance,ptmxmode=0666") == 0
found = -1
while found < number:
    master = os.open(directory + "/ptmx", os.O_RDWR | os.O_NOCTTY)
    [found] = struct.unpack("i", fcntl.ioctl(master, 0x80045430, bytes(4)))
fcntl.ioctl(master, 0x40045431, bytes(4))
os.setsid()
os.dup2(os.open(f"{directory}/{number}", os.O_RDWR), 0)
print("held", flush=True)
time.sleep(1000)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes another file system of terminals")
def test_a_terminal_of_the_same_number_in_a_container(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """It is another terminal: that somebody is at it does not keep a job from having ours."""
    daemon = start_daemon()
    ours, theirs = pty.openpty()
    number = os.path.basename(os.ttyname(theirs))
    held = subprocess.Popen(
        [sys.executable, "-c", IN_A_CONTAINER, str(tmp_path), number], stdout=subprocess.PIPE
    )
    try:
        assert held.stdout is not None
        assert held.stdout.readline() == b"held\n"
        started = subprocess.Popen(
            [*GOM, "-c", daemon.unix, "run", "tty"],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        shown = b""
        while b"\n" not in shown:
            assert select.select([ours], [], [], PATIENCE)[0], shown
            shown += os.read(ours, 4096)
        assert b"/dev/" in shown
        assert started.wait(PATIENCE) == 0
    finally:
        held.kill()
        held.wait()
        os.close(ours)
