"""The kernel's part of multicast: which group a socket is in, and by which interface it sends to one."""

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
    Let what ``sending`` sends to a group leave by one interface, no further than its network, and come back.

    :param address: of the interface; ``index`` its number, 0 to have the kernel look for it.
    :raises OSError: there is none.
    """
    where = _request("0.0.0.0", address, index)
    sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, where)
    sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
    sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)


class GroupMembership:
    """One group that a socket hears, at one interface at a time."""

    def __init__(self, group: Tcp) -> None:
        self._group = group.host
        self._joined: bytes | None = None

    def join(self, hearing: socket.socket, address: str, index: int = 0) -> None:
        """
        Hear the group at an interface, as in `send_by`; what was joined before is left.

        :raises OSError: there is no such interface, or it has no multicast.
        """
        if self._joined is not None:
            with contextlib.suppress(OSError):  # its interface may be gone, and the membership with it
                hearing.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, self._joined)
            self._joined = None
        wanted = _request(self._group, address, index)
        hearing.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, wanted)
        self._joined = wanted
