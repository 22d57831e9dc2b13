"""The socket options of multicast: the interface to send by, and the membership in a group."""

from __future__ import annotations

import contextlib
import socket
import struct

from libgomd.endpoints import Tcp

#: The kernel's `struct ip_mreqn`: the group, an address, the number of an interface (0: that of the address).
_REQUEST = struct.Struct("=4s4si")


def _request(group: str, address: str, index: int) -> bytes:
    return _REQUEST.pack(socket.inet_aton(group), socket.inet_aton(address), index)


def send_by(sending: socket.socket, address: str, index: int = 0) -> None:
    """
    Let ``sending`` send multicast by one interface, to its own network only, and also to this machine.

    :param address: of the interface. :param index: its number, 0 to let the kernel find it by the address.
    :raises OSError: there is no such interface.
    """
    where = _request("0.0.0.0", address, index)
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
        if self._joined is not None:
            with contextlib.suppress(OSError):  # the interface may have gone, and the membership with it
                receiving.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, self._joined)
            self._joined = None
        wanted = _request(self._group, address, index)
        receiving.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, wanted)
        self._joined = wanted
