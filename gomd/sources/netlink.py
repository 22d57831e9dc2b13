"""
Netlink notifications about changes of interfaces and addresses of this machine.

`open_monitor` opens the socket, and `parse_changes` parses what it receives. A notification only says that
something changed and where: messages may be lost, so the present state is always read again with
`gomd.sources.addresses`.
"""

from __future__ import annotations

import enum
import os
import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from libgomd.wire.addresses import IPV4_BYTES, IPV6_BYTES, unpack

#: Bytes to read at once. The kernel's datagrams are never longer than a page or two.
LARGEST: Final = 65536
#: The multicast groups for changes of interfaces, of IPv4 and of IPv6 addresses (linux/rtnetlink.h).
_GROUPS: Final = 0x1 | 0x10 | 0x100
_HEADER: Final = struct.Struct("=IHHII")
_LINK: Final = struct.Struct("=BxHiII")
_ADDRESS: Final = struct.Struct("=BBBBI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_NEWLINK, _DELLINK, _NEWADDR, _DELADDR = 16, 17, 20, 21
_IFLA_IFNAME, _IFA_ADDRESS, _IFA_LOCAL = 3, 1, 2
_IFF_UP, _IFF_RUNNING = 0x1, 0x40


class MalformedNetlink(ValueError):
    """The bytes are not valid netlink messages."""


class What(enum.Enum):
    """What changed."""

    LINK = "an interface appeared or changed"
    LINK_GONE = "an interface disappeared"
    ADDRESS = "an address was given to an interface"
    ADDRESS_GONE = "an address was taken from an interface"


class Change(NamedTuple):
    """
    One change.

    :ivar number: index of the interface. :ivar name: its name, empty if the message has none.
    :ivar address: the address, empty if the change is about an interface.
    :ivar up: whether the interface is up and has a carrier; True if the message does not say.
    """

    what: What
    number: int
    name: str = ""
    address: str = ""
    up: bool = True


def open_monitor() -> socket.socket:
    """
    Return a non-blocking socket that receives a message for every change.

    :raises OSError: netlink is not available, as in some containers and sandboxes of systemd.
    """
    monitor = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        monitor.bind((0, _GROUPS))
    except OSError:
        monitor.close()
        raise
    monitor.setblocking(False)
    return monitor


def parse_changes(data: bytes) -> list[Change]:
    """
    Return the changes in the messages of ``data``. Other messages are ignored.

    :raises MalformedNetlink: for bytes that are not valid messages, and nothing else.
    """
    changes = []
    for kind, body in _messages(data):
        if kind in (_NEWLINK, _DELLINK):
            changes.append(_link(kind, body))
        elif kind in (_NEWADDR, _DELADDR):
            change = _address(kind, body)
            if change is not None:
                changes.append(change)
    return changes


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(data):
        if len(data) - place < _HEADER.size:
            raise MalformedNetlink("a header that is cut")
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, place)
        if not _HEADER.size <= length <= len(data) - place:
            raise MalformedNetlink(f"a message of {length} bytes in {len(data) - place}")
        yield kind, data[place + _HEADER.size : place + length]
        place += length + 3 & ~3


def _attributes(body: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    place = 0
    while len(body) - place >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(body, place)
        if not _ATTRIBUTE.size <= length <= len(body) - place:
            raise MalformedNetlink(f"an attribute of {length} bytes in {len(body) - place}")
        found[kind & 0x3FFF] = body[place + _ATTRIBUTE.size : place + length]
        place += length + 3 & ~3
    return found


def _link(kind: int, body: bytes) -> Change:
    if len(body) < _LINK.size:
        raise MalformedNetlink("a message about an interface that is cut")
    _family, _type, index, flags, _change = _LINK.unpack_from(body)
    name = _attributes(body[_LINK.size :]).get(_IFLA_IFNAME, b"").partition(b"\0")[0]
    up = kind == _NEWLINK and bool(flags & _IFF_UP and flags & _IFF_RUNNING)
    what = What.LINK if kind == _NEWLINK else What.LINK_GONE
    return Change(what, index, os.fsdecode(name), up=up)


def _address(kind: int, body: bytes) -> Change | None:
    if len(body) < _ADDRESS.size:
        raise MalformedNetlink("a message about an address that is cut")
    family, _prefix, _flags, _scope, index = _ADDRESS.unpack_from(body)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    # The kernel names the address of the other end in the first place; only IPv4 always has the second one.
    wanted = _IFA_LOCAL if family == socket.AF_INET else _IFA_ADDRESS
    local = _attributes(body[_ADDRESS.size :]).get(wanted, b"")
    if len(local) != (IPV4_BYTES if family == socket.AF_INET else IPV6_BYTES):
        return None
    what = What.ADDRESS if kind == _NEWADDR else What.ADDRESS_GONE
    try:
        return Change(what, index, address=unpack(local))
    except ValueError:
        return None
