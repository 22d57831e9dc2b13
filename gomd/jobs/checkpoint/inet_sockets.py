"""
The network sockets of a job: which of them go along, and which keep it on its node.

A socket goes along that waits for others (it listens, and nobody has connected yet), or is idle (UDP), or
whose connection leads to another socket of the same job over loopback. A connection to anything else would be
dead on another node, so it keeps the job.

Reading the kernel's tables blocks; the rest has no I/O.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

#: From this criu on network sockets can be carried on every kernel; older ones fail from kernel 6.16 on.
_CRIU: Final = (4, 2)
_KERNEL: Final = (6, 16)
#: States of TCP, as the kernel's tables have them.
_ESTABLISHED, _LISTENING, _FIN_WAIT2, _CLOSE_WAIT = "01", "0A", "05", "08"
_CONNECTED: Final = (_ESTABLISHED, _FIN_WAIT2, _CLOSE_WAIT)
_CARRIED: Final = ("tcp", "tcp6", "udp", "udp6")
_OTHERS: Final = ("raw", "raw6", "udplite", "udplite6", "icmp", "icmp6", "packet")
#: What the kernel calls the protocols of sockets that are not in these tables, with those that are carried.
_PROTOCOLS: Final[Mapping[str, str]] = {"TCP": "tcp", "TCPv6": "tcp6", "UDP": "udp", "UDPv6": "udp6"}
_HARMLESS: Final = ("UNIX", "UNIX-STREAM", "UNIX-DGRAM", "UNIX-SEQPACKET", "NETLINK")
#: Protocols of the internet that criu does not carry. Other families are judged by `socket_kinds`.
_NEVER: Final = ("RAW", "PING", "MPTCP", "SCTP", "UDPLITE", "DCCP")
#: Bytes that are read of a table.
_MAX_TABLE_BYTES: Final = 1 << 24


class Port(NamedTuple):
    """
    An address and a port that a job has bound.

    :ivar kind: ``tcp``, ``tcp6``, ``udp`` or ``udp6``. :ivar address: as text. :ivar port: above 0.
    """

    kind: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.kind.removesuffix('6')} port {self.port}"


class InetSocket(NamedTuple):
    """
    A line of a table.

    :ivar local: where it is bound. :ivar remote: what it is connected to, with port 0 when to nothing.
    :ivar state: of TCP, in two hexadecimal digits.
    :ivar waiting: bytes that nobody has read; of one that listens, connections that nobody has accepted.
    """

    local: Port
    remote: Port
    state: str
    waiting: int


class Sockets(NamedTuple):
    """
    The network sockets of a network namespace, by inode.

    :ivar inet: those that may go along. :ivar others: for those that never do, their kind.
    """

    inet: Mapping[str, InetSocket]
    others: Mapping[str, str]


NONE: Final = Sockets({}, {})


def read(net: str) -> Sockets:
    """
    Read the tables in ``net``, the directory of that name of a process. Blocks.

    :raises OSError: not all can be read: then none can be told to be harmless.
    """
    inet: dict[str, InetSocket] = {}
    others: dict[str, str] = {}
    for kind in _CARRIED:
        inet |= parse(kind, _read(f"{net}/{kind}"))
    for kind in _OTHERS:
        at = 8 if kind == "packet" else 9
        lines = (line.split() for line in _read(f"{net}/{kind}").split("\n")[1:])
        others |= {words[at]: kind.removesuffix("6") for words in lines if len(words) > at}
    return Sockets(inet, others)


def parse(kind: str, text: str) -> dict[str, InetSocket]:
    """Return the sockets in the text of a table, by inode; lines that are none are left out."""
    found = {}
    for line in text.split("\n")[1:]:
        words = line.split()
        if len(words) > 9 and words[9] != "0":
            try:
                local, remote = (_port(kind, word) for word in words[1:3])
                found[words[9]] = InetSocket(local, remote, words[3], int(words[4].partition(":")[2], 16))
            except ValueError:
                continue
    return found


def protocol(descriptor: str) -> str:
    """
    Return what the kernel calls the protocol of a socket, empty when it does not tell. Blocks briefly.

    :param descriptor: its name in /proc/PID/fd.
    """
    try:
        return os.getxattr(descriptor, "system.sockprotoname").rstrip(b"\0").decode("ascii", "replace")
    except (OSError, AttributeError):
        return ""


def is_known(name: str) -> bool:
    """Whether a socket of a protocol, as `protocol` says it, is judged by this module, or harmless."""
    return name in _PROTOCOLS or name in _HARMLESS or name.startswith(_NEVER)


def is_everybodys(name: str) -> bool:
    """Whether every user may open sockets of a protocol, as `protocol` says it."""
    return not name.startswith((*_NEVER, "PACKET"))


def cannot_carry(criu: str, kernel: str) -> str:
    """
    Return which criu cannot carry network sockets on this kernel, and what to do; empty when it can.

    :param criu: its version, empty when that is not known. :param kernel: as ``uname -r``.
    """
    if version(criu) >= _CRIU or (criu and version(kernel) < _KERNEL):
        return ""
    here, number = f"criu {criu}" if criu else "this criu", kernel.partition("-")[0]
    return f"{here} cannot carry on kernel {number}: 4.2 and newer can (docs/migration.md)"


def reasons_to_stay(own: Mapping[str, str], tables: Sockets, too_old: str = "") -> list[str]:
    """
    Return why a job stays because of its sockets, a clause for each reason.

    :param own: the inodes of all its sockets, with what `protocol` says of them.
    :param too_old: which criu carries no network sockets here, as `cannot_carry` says it; empty when it does.
    """
    found: dict[str, None] = {}
    by_ends = {(each.local, each.remote): inode for inode, each in tables.inet.items() if inode in own}
    for inode, name in own.items():
        known = tables.inet.get(inode)
        if inode in tables.others:
            found[f"it has a {tables.others[inode]} socket open"] = None
        elif known is not None or name in _PROTOCOLS:
            why = "" if known is None else _connected(known, by_ends)
            if not why and too_old:
                why = f"{_what(known, _PROTOCOLS.get(name, ''))}, which {too_old}"
            found |= {why: None} if why else {}
        elif name.startswith(_NEVER):
            found[f"it has a socket of kind {name} open"] = None
    return list(found)


def uses_network(own: Mapping[str, str]) -> bool:
    """Whether one of the sockets ``own``, with what `protocol` says of them, may be a network socket."""
    return any(name not in _HARMLESS for name in own.values())


def bound(own: Iterable[str], tables: Sockets) -> tuple[Port, ...]:
    """Return the ports that have to be free on another node for the sockets ``own``, sorted."""
    return tuple(sorted({tables.inet[inode].local for inode in own if inode in tables.inet}))


def is_connected(own: Iterable[str], tables: Sockets) -> bool:
    """Whether one of the sockets ``own`` is a TCP connection."""
    return any(
        tables.inet[inode].state in _CONNECTED and tables.inet[inode].local.kind.startswith("tcp")
        for inode in own
        if inode in tables.inet
    )


def _connected(known: InetSocket, by_ends: Mapping[tuple[Port, Port], str]) -> str:
    """Return why a socket keeps its job because of whom it is connected to; empty when that does not."""
    protocol = known.local.kind.removesuffix("6")
    if protocol == "tcp" and known.state == _LISTENING:
        return f"somebody has connected to its port {known.local.port}" if known.waiting else ""
    if known.remote.port == 0 and protocol == "udp":
        return f"its udp port {known.local.port} has data that it has not read" if known.waiting else ""
    there = f"{_shown(known.remote.address)}:{known.remote.port}"
    is_near = ipaddress.ip_address(known.remote.address).is_loopback
    if not is_near or (known.remote, known.local) not in by_ends:
        return f"it has a {protocol.upper()} connection to {there}"
    if protocol == "udp":
        return f"its udp port {known.local.port} has data that it has not read" if known.waiting else ""
    return "" if known.state in _CONNECTED else f"its connection to {there} is just being opened or closed"


def _what(known: InetSocket | None, kind: str) -> str:
    """Return a description of a socket from its line in a table, or else from its kind."""
    if known is not None and known.state == _LISTENING and known.local.kind.startswith("tcp"):
        return f"it listens on port {known.local.port} of this node"
    if known is not None and known.remote.port:
        return f"it has a connection to {_shown(known.remote.address)}:{known.remote.port}"
    return f"it has a {(known.local.kind if known else kind).removesuffix('6')} socket open"


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _port(kind: str, word: str) -> Port:
    """Return an address and a port of a table. :raises ValueError: it is none."""
    address, _, port = word.partition(":")
    data = b"".join(struct.pack("=I", int(address[at : at + 8], 16)) for at in range(0, len(address), 8))
    family = socket.AF_INET6 if kind.endswith("6") else socket.AF_INET
    text = socket.inet_ntop(family, data)
    return Port(kind, text.removeprefix("::ffff:") if "." in text else text, int(port, 16))


def _read(path: str) -> str:
    """Return a table, empty when this kernel has none of that kind. :raises OSError: not all can be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(_MAX_TABLE_BYTES)
    except FileNotFoundError:
        return ""
    if len(text) == _MAX_TABLE_BYTES:
        raise OSError(errno.EFBIG, f"there are too many {os.path.basename(path)} sockets")
    return text


def version(text: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with; none for what is no version."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()
