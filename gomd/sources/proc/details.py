"""What a process is besides its stat line: whose it is, its command line, what it read and wrote."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from gomd.sources.files import ProcRoot
from gomd.sources.proc.pidstat import PidStat
from libgomd.errors import NotAllowed
from libgomd.wire.text import printable_bytes

#: Longest command line that is kept, in bytes; the kernel allows 128 KiB an argument.
MAX_COMMAND: Final = 4096
_MAX_IO: Final = 1024


class Transferred(NamedTuple):
    """Bytes a process has read from and written to storage since it started."""

    read: int
    written: int


def read_uid(root: ProcRoot, pid: int) -> int:
    """Return the effective user id of a process. Blocks. :raises OSError: it has ended."""
    return os.lstat(root.under(str(pid))).st_uid


def read_command(root: ProcRoot, stat: PidStat) -> str:
    """
    Return the command line; the name in brackets of a process that has none, as kernel threads. Blocks.

    :raises OSError: it has ended.
    """
    data = b""
    if not stat.of_kernel and stat.state != "Z":
        try:
            data = root.peek(f"{stat.pid}/cmdline", MAX_COMMAND)[0]
        except NotAllowed:  # a forged tree
            pass
    return parse_command(data) or f"[{printable_bytes(stat.name)}]"


def parse_command(data: bytes) -> str:
    """Return the command line in ``data``, a /proc/PID/cmdline, safe to print; empty for none."""
    return printable_bytes(data.rstrip(b"\0 ").replace(b"\0", b" "))


def read_transferred(root: ProcRoot, pid: int, uid: int) -> Transferred | None:
    """
    Return what a process has read and written. Blocks.

    None where the kernel does not count it or does not show it to the daemon, and for a process of
    ``uid`` that its own user may not look into (it has dropped privileges and was not traceable
    since): the daemon, as root, could read it, but its table is shown to that user too.
    """
    try:
        data, owner = root.peek(f"{pid}/io", _MAX_IO)
    except (OSError, NotAllowed):
        return None
    return parse_transferred(data) if owner == uid else None


def parse_transferred(data: bytes) -> Transferred | None:
    """Return what ``data``, a /proc/PID/io, says of storage; None when it does not, or is cut short."""
    _, found, tail = data.partition(b"\nread_bytes: ")
    read, found_too, written = tail.partition(b"\nwrite_bytes: ")
    try:
        if not (found and found_too and data.endswith(b"\n")):
            return None
        return Transferred(int(read[:20]), int(written.split(b"\n", 1)[0][:20]))
    except ValueError:
        return None
