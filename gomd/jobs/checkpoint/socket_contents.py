"""
Finds what a socket has, or has joined, that criu would leave behind without a word.

Urgent bytes (MSG_OOB), an empty datagram and what waits behind it, and multicast groups are in no table of
the kernel's by socket: each socket is asked itself, through a duplicate. Standard library only: supervisors
use it. Calls block briefly, and need root.
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import select
import socket
import struct
import termios
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint.borrowed_descriptor import duplicate_of
from gomd.jobs.checkpoint.socket_options import MAX_DESCRIPTORS, sockets_of

_URGENT: Final = "it has urgent data (MSG_OOB) in a socket that it has not read"
_EMPTY: Final = "it has an empty datagram in a socket that it has not read"
_MCAST_MSFILTER: Final = 48
#: Groups that every node is in.
_EVERYBODYS: Final = ("224.0.0.1", "ff01::1", "ff02::1")
#: Bytes that are read of a table, and groups of it that each socket is asked for.
_MAX_TABLE_BYTES: Final = 1 << 20
_MAX_GROUPS: Final = 256
_libc: Final = ctypes.CDLL(None, use_errno=True)


def reasons_to_stay(pids: Iterable[int], proc: str = "/proc", most: int = MAX_DESCRIPTORS) -> Iterator[str]:
    """
    Yield why the processes ``pids`` cannot move because of what their sockets have; each once.

    :param most: descriptors that are looked at.
    """
    pids, told, known = list(pids), set[str](), set[str]()
    groups: list[tuple[int, str]] | None = None
    for pid, number, inode in sockets_of(pids, proc, most):
        if inode in known:
            continue
        known.add(inode)
        with suppress(OSError), socket.socket(fileno=duplicate_of(pid, number)) as borrowed:
            family = borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)
            reasons = [_unread(borrowed, family)]
            if family in (socket.AF_INET, socket.AF_INET6) and borrowed.type == socket.SOCK_DGRAM:
                groups = read_groups(f"{proc}/{pid}/net") if groups is None else groups
                reasons += (f"it has joined the multicast group {each}" for each in _joined(borrowed, groups))
            for why in reasons:
                if why and why not in told:
                    told.add(why)
                    yield why


def read_groups(net: str) -> list[tuple[int, str]]:
    """Return the multicast groups in which a network namespace is, with the numbers of their interfaces."""
    found: list[tuple[int, str]] = []
    index = 0
    for line in _lines(f"{net}/igmp")[1:]:
        words = line.split()
        with suppress(ValueError, IndexError):
            if not line.startswith("\t"):
                index = int(words[0])
            else:
                found.append((index, str(ipaddress.IPv4Address(struct.pack("=I", int(words[0], 16))))))
    for line in _lines(f"{net}/igmp6"):
        words = line.split()
        with suppress(ValueError, IndexError):
            found.append((int(words[0]), str(ipaddress.IPv6Address(bytes.fromhex(words[2])))))
    return [each for each in found if each[1] not in _EVERYBODYS][:_MAX_GROUPS]


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(_MAX_TABLE_BYTES).splitlines()
    except OSError:
        return []


def _unread(borrowed: socket.socket, family: int) -> str:
    """Return why what a socket has not given to its program keeps it; empty when that does not."""
    poll = select.poll()
    poll.register(borrowed, select.POLLIN | select.POLLPRI | select.POLLRDHUP)
    events = dict(poll.poll(0)).get(borrowed.fileno(), 0)
    if borrowed.type == socket.SOCK_STREAM:
        return _URGENT if events & select.POLLPRI else ""
    if family != socket.AF_UNIX or not events & select.POLLIN or events & (select.POLLRDHUP | select.POLLHUP):
        return ""
    waiting = struct.unpack("=i", fcntl.ioctl(borrowed, termios.FIONREAD, bytes(4)))[0]
    return _EMPTY if waiting == 0 else ""


def _joined(borrowed: socket.socket, groups: Iterable[tuple[int, str]]) -> Iterator[str]:
    """Yield those of the groups that a socket has joined."""
    for index, address in groups:
        group = ipaddress.ip_address(address)
        if group.version == 4:
            level = socket.IPPROTO_IP
            sockaddr = struct.pack("=HH4s", socket.AF_INET, 0, group.packed)
        else:
            level = socket.IPPROTO_IPV6
            sockaddr = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, group.packed, 0)
        # struct group_filter, without room for any source
        asked = struct.pack(f"=I{struct.calcsize('P') - 4}x128sII", index, sockaddr, 0, 0)
        buffer, size = ctypes.create_string_buffer(asked, len(asked)), ctypes.c_uint32(len(asked))
        number = (ctypes.c_int(borrowed.fileno()), ctypes.c_int(level), ctypes.c_int(_MCAST_MSFILTER))
        if _libc.getsockopt(*number, buffer, ctypes.byref(size)) == 0:
            yield address
