"""
Checks whether a pid file belongs to another program. The pid file is for scripts; the lock of STATE keeps
two daemons apart.

A pid file that a killed daemon left behind may name any process by now, in a container often this one. The
file is therefore replaced, unless the process that it names is a twistd that has written it.
"""

from __future__ import annotations

import os
import time
from typing import Final

from libgomd.errors import ConfigError

#: Seconds by which a process may seem younger than the file that it wrote: the kernel counts in ticks.
AGE_TOLERANCE: Final = 1.0


def check_pid_file(path: str) -> None:
    """
    Check that the pid file ``path`` may be replaced. Blocks briefly.

    :param path: absolute; empty for none.
    :raises ConfigError: the program that wrote it still runs.
    """
    if not path:
        return
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        text, written = os.read(number, 32), os.fstat(number).st_mtime
    except OSError:
        return
    finally:
        os.close(number)
    if not text.strip().isdigit():
        return
    pid = int(text)
    age = time.clock_gettime(time.CLOCK_REALTIME) - written
    if pid != os.getpid() and _is_twistd(pid) and _age(pid) + AGE_TOLERANCE >= age:
        raise ConfigError(
            [f"{path} is the pid file of another twistd that runs (pid {pid}): name another with --pidfile"]
        )


def _is_twistd(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).split(b"\0")
    except OSError:
        return False
    return any(os.path.basename(word).startswith(b"twistd") for word in words[:4])


def _age(pid: int) -> float:
    """Return for how many seconds a process has run; 0 if that is unknown, as after its end."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            started = int(file.read(4096).rpartition(b")")[2].split()[19])
        with open("/proc/uptime", "rb") as file:
            uptime = float(file.read(64).split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0
    return uptime - started / os.sysconf("SC_CLK_TCK")
