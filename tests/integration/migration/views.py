"""
A load of its own for each host: /proc/loadavg and /proc/stat as a container has them with lxcfs.

The kernel counts what runs on the machine. Here each host is a machine with one processor, and what runs on
it is what runs in its PID namespace.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.integration.hosts import Host

#: Seconds between two looks, and the length of a file: always the same, so that it is written in one go.
_EACH = 0.2
_LENGTH = 512


class Views:
    """Keeps the files of some hosts current. A context manager; the daemons are to be started in it."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._hosts = hosts
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Views:
        for host in self._hosts:
            for name in ("loadavg", "stat"):
                _file(host, name).write_bytes(b"")
            self._look(host)
            for name in ("loadavg", "stat"):
                host.run("mount", "--bind", str(_file(host, name)), f"/proc/{name}")
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()
        for host in self._hosts:
            for name in ("loadavg", "stat"):
                host.run("umount", f"/proc/{name}")

    def _keep(self) -> None:
        while not self._ended.wait(_EACH):
            for host in self._hosts:
                self._look(host)

    def _look(self, host: Host) -> None:
        states = [state for pid, state in states_of(host).items() if pid not in _daemon_of(host)]
        running = states.count("R") + 1  # and whoever reads it
        ticks = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("cpu0 "))
        times = ticks.removeprefix("cpu0 ")
        stat = f"cpu  {times}\n{ticks}\nctxt 0\nbtime 1700000000\nprocesses 1\nprocs_running {running}\n"
        _write(_file(host, "stat"), stat + "procs_blocked 0\n")
        _write(_file(host, "loadavg"), f"0.00 0.00 0.00 {running}/{len(states) + 1} 1\n")


def states_of(host: Host) -> dict[int, str]:
    """Return the states of the processes on a host, by the ids they have there."""
    found = {}
    proc = Path(f"/proc/{host.init}/root/proc")
    for name in os.listdir(proc):
        if name.isdigit():
            with suppress(OSError):
                found[int(name)] = (proc / name / "stat").read_text().rpartition(")")[2].split()[0]
    return found


def _daemon_of(host: Host) -> set[int]:
    """The daemon itself comes and goes: it would be seen as work now and then."""
    if not host.daemon.runs:
        return set()
    with suppress(OSError, ValueError):
        [line] = [
            line
            for line in Path(f"/proc/{host.daemon.pid}/status").read_text().splitlines()
            if line.startswith("NSpid:")
        ]
        return {int(line.split()[-1])}
    return set()


def _file(host: Host, name: str) -> Path:
    return host.home / f"view-{name}"


def _write(path: Path, text: str) -> None:
    number = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(number, text.rstrip("\n").ljust(_LENGTH - 1, " ").encode() + b"\n", 0)
    finally:
        os.close(number)
