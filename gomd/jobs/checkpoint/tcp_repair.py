"""
Lets the TCP connections of a job go on that criu has dumped, when the job goes on where it is.

To dump a connection criu puts its sockets into repair mode, in which nothing is received. It takes them out
only of a job that it lets run itself; one that it leaves stopped would read nothing any more. Repair mode
also overwrites SO_REUSEADDR, which is noted beforehand.

Standard library only: supervisors use it. Calls block briefly, and need root.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint.borrowed_descriptor import duplicate_of
from gomd.jobs.checkpoint.inet_sockets import protocol

_TCP_REPAIR: Final = 19
_PROTOCOLS: Final = ("TCP", "TCPv6")


def note_reuse(pids: Iterable[int], proc: str = "/proc") -> dict[str, int]:
    """Return SO_REUSEADDR of each TCP socket of the processes ``pids``, by the inode. Empty for none."""
    found: dict[str, int] = {}
    for pid, number, inode in _tcp_sockets(pids, proc):
        if inode not in found:
            with suppress(OSError), socket.socket(fileno=duplicate_of(pid, number)) as borrowed:
                found[inode] = borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    return found


def end_repair(pids: Iterable[int], reuse: Mapping[str, int], proc: str = "/proc") -> int:
    """
    Take the TCP sockets of the stopped processes ``pids`` out of repair mode; return how many were in it.

    :param reuse: what `note_reuse` returned before the dump.
    """
    ended = 0
    for pid, number, inode in _tcp_sockets(pids, proc):
        with suppress(OSError), socket.socket(fileno=duplicate_of(pid, number)) as borrowed:
            if borrowed.getsockopt(socket.IPPROTO_TCP, _TCP_REPAIR):
                borrowed.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 0)
                borrowed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse.get(inode, 0))
                ended += 1
    return ended


def _tcp_sockets(pids: Iterable[int], proc: str) -> Iterator[tuple[int, int, str]]:
    """Yield process, descriptor and inode of each TCP socket; processes that have ended have none."""
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for name in os.listdir(f"{proc}/{pid}/fd"):
                with suppress(FileNotFoundError):
                    target = os.readlink(f"{proc}/{pid}/fd/{name}")
                    if target.startswith("socket:[") and protocol(f"{proc}/{pid}/fd/{name}") in _PROTOCOLS:
                        yield pid, int(name), target[8:-1]
