"""Reads the details of a process outside its stat line: owner, command line, memory, input and output."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from gomd.sources.files import ProcRoot
from gomd.sources.linux.numbers import whole
from gomd.sources.linux.pidstat import PidStat
from libgomd.errors import NotAllowed
from libgomd.wire.text import printable_bytes

#: Maximum length of a command line, in bytes; the kernel allows 128 KiB for one argument. A longer one is
#: cut at a whole character, and `CUT` is appended.
MAX_COMMAND: Final = 4096
CUT: Final = "…"
_MAX_STATM_BYTES: Final = 256
#: Maximum memory of one process, in pages.
_MAX_PAGES: Final = 2**47
#: Bytes of a /proc/PID/io, which has less than half. Python allocates so few much faster than a kilobyte.
_MAX_IO_BYTES: Final = 479


class Transferred(NamedTuple):
    """
    Bytes that a process has read from and written to storage since it started; None for impossible values.
    """

    read: int | None
    written: int | None


def read_uid(root: ProcRoot, pid: int) -> int:
    """Return the effective user id of a process. Blocks. :raises OSError: it has ended."""
    return os.lstat(root.under(str(pid))).st_uid


def read_command(root: ProcRoot, stat: PidStat) -> str:
    """
    Return the command line of a process. Blocks.

    A process without one, such as a kernel thread, gets its name in brackets.

    :raises OSError: the process has ended.
    """
    data = b""
    if not stat.of_kernel and stat.state != "Z":
        try:
            data = root.peek(f"{stat.pid}/cmdline", MAX_COMMAND + 1)[0]
        except NotAllowed:  # a forged tree
            pass
    return parse_command(data) or f"[{printable_bytes(stat.name)}]"


def parse_command(data: bytes) -> str:
    """
    Return the command line in ``data``, a /proc/PID/cmdline, safe to print; empty if there is none.

    A command line of more than `MAX_COMMAND` bytes is cut to that length, and `CUT` is appended.
    """
    data = data.rstrip(b"\0 ").replace(b"\0", b" ")
    if len(data) <= MAX_COMMAND:
        return printable_bytes(data)
    end = MAX_COMMAND
    while end > MAX_COMMAND - 3 and data[end] & 0xC0 == 0x80:  # the middle of a character of UTF-8
        end -= 1
    return printable_bytes(data[:end]) + CUT


def read_resident(root: ProcRoot, stat: PidStat) -> int | None:
    """
    Return the number of pages of a process that are in memory. Blocks.

    It is the second number of the process's statm. Without a statm, the number in its stat is used, which
    lags by up to 64 pages a processor since Linux 6.2.

    :raises OSError: the process has ended.
    """
    if stat.of_kernel or stat.state == "Z":
        return stat.rss
    try:
        return parse_resident(root.peek_data(f"{stat.pid}/statm", _MAX_STATM_BYTES))
    except FileNotFoundError:
        return stat.rss
    except (ValueError, NotAllowed):  # a forged tree
        return stat.rss


def parse_resident(data: bytes) -> int | None:
    """
    Return the number of pages in memory from ``data``, a /proc/PID/statm; None for an impossible number.

    :raises ValueError: ``data`` is not a whole statm.
    """
    fields = data.split()
    if len(fields) < 2 or not data.endswith(b"\n"):
        raise ValueError("a /proc/PID/statm is not whole")
    return whole(fields[1], _MAX_PAGES)


def read_io(root: ProcRoot, pid: int, uid: int) -> bytes | None:
    """
    Return the content of the io file of a process, which `parse_transferred` understands. Blocks.

    The result is None if the kernel does not count it or does not show it to the daemon. It is also None
    if the process's own user, ``uid``, may not see it (the process has dropped privileges and has not been
    traceable since): the daemon could read it as root, but its table is shown to that user too.
    """
    try:
        data, owner = root.peek(f"{pid}/io", _MAX_IO_BYTES)
    except (OSError, NotAllowed):
        return None
    return data if owner == uid else None


def parse_transferred(data: bytes | None) -> Transferred | None:
    """
    Return the storage bytes in ``data``, a /proc/PID/io; None if there is none, they are missing or it is cut
    short.
    """
    if data is None:
        return None
    _, found, tail = data.partition(b"\nread_bytes: ")
    read, found_too, tail = tail.partition(b"\nwrite_bytes: ")
    try:
        if not (found and found_too and data.endswith(b"\n")):
            return None
        return Transferred(whole(read.split(b"\n", 1)[0]), whole(tail.split(b"\n", 1)[0]))
    except ValueError:
        return None
