"""
Whether a pid file is another program's. The lock of STATE keeps daemons apart, the pid file is for scripts.

A pid file that is left by a daemon that was killed may name any process by now: in a container, most often
this one. Only a twistd that has written the file itself keeps a daemon from replacing it.
"""

from __future__ import annotations

import os
import time
from typing import Final

from libgomd.errors import ConfigError

#: Seconds by which a process may seem younger than the file it wrote: the kernel counts starts in ticks.
SLACK: Final = 1.0


def check_pid_file(path: str) -> None:
    """
    Check that the pid file at ``path`` may be replaced. Blocks briefly.

    :param path: absolute; empty for none.
    :raises ConfigError: the program that wrote it runs.
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
    if pid != os.getpid() and _is_twistd(pid) and _age(pid) + SLACK >= age:
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
    """Return for how many seconds a process has run; 0 when that cannot be known, as when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            started = int(file.read(4096).rpartition(b")")[2].split()[19])
        with open("/proc/uptime", "rb") as file:
            uptime = float(file.read(64).split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0
    return uptime - started / os.sysconf("SC_CLK_TCK")
