"""The socket options of multicast: the interface to send by, and the membership in a group."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct

from gomd.sources.addresses import interface_of
from libgomd.endpoints import Tcp
from libgomd.wire.addresses import is_ipv6

#: The kernel's `struct ip_mreqn`: the group, an address, the number of an interface (0: that of the address).
_REQUEST = struct.Struct("=4s4si")
#: The kernel's `struct ipv6_mreq`: the group, the number of an interface.
_REQUEST_IPV6 = struct.Struct("=16si")


def interface_number(address: str) -> int:
    """
    Return the number of the interface that has an IPv6 address. Blocks briefly.

    :raises OSError: none has it.
    """
    found = interface_of(address)
    if found is None or not found.number:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return found.number


def send_by(sending: socket.socket, address: str, index: int = 0) -> None:
    """
    Let ``sending`` send multicast by one interface, to its own network only, and also to this machine.

    :param address: of the interface. :param index: its number, 0 to find it by the address.
    :raises OSError: there is no such interface.
    """
    if is_ipv6(address):
        number = index or interface_number(address)
        sending.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, number)
        sending.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
        sending.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
        return
    where = _REQUEST.pack(socket.inet_aton("0.0.0.0"), socket.inet_aton(address), index)
    sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, where)
    sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
    sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)


class GroupMembership:
    """The membership of a socket in one group, on one interface at a time."""

    def __init__(self, group: Tcp) -> None:
        self._group = group.host
        self._joined: bytes | None = None

    def join(self, receiving: socket.socket, address: str, index: int = 0) -> None:
        """
        Join the group on an interface, chosen as in `send_by`; leave it on the earlier one.

        :raises OSError: there is no such interface, or it has no multicast.
        """
        if is_ipv6(self._group):
            level, join, leave = socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.IPV6_LEAVE_GROUP
            packed = socket.inet_pton(socket.AF_INET6, self._group)
            wanted = _REQUEST_IPV6.pack(packed, index or interface_number(address))
        else:
            level, join, leave = socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.IP_DROP_MEMBERSHIP
            wanted = _REQUEST.pack(socket.inet_aton(self._group), socket.inet_aton(address), index)
        if self._joined is not None:
            with contextlib.suppress(OSError):  # the interface may have gone, and the membership with it
                receiving.setsockopt(level, leave, self._joined)
            self._joined = None
        receiving.setsockopt(level, join, wanted)
        self._joined = wanted
