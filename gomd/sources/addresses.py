"""The IPv4 addresses of this machine and the interfaces they are on, as the kernel has them now."""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

_SIOCGIFCONF: Final = 0x8912
_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFINDEX: Final = 0x8933
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
#: Bytes of the kernel's `struct ifreq`, and of the name at its beginning.
_REQUEST: Final = 40 if struct.calcsize("P") == 8 else 32
_NAME: Final = 16
#: Addresses that are read, at most.
_MOST: Final = 4096


class InterfaceAddress(NamedTuple):
    """
    One IPv4 address.

    :ivar number: of its interface, 0 when that has just gone.
    :ivar up: the interface is up and has its cable.
    """

    address: str
    name: str
    number: int
    up: bool


def read_interfaces() -> tuple[InterfaceAddress, ...]:
    """Return every address there is. May block: the kernel holds a lock. :raises OSError: it cannot tell."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        buffer = array.array("B", bytes(_REQUEST * _MOST))
        place, length = buffer.buffer_info()
        answer = fcntl.ioctl(asking, _SIOCGIFCONF, struct.pack("iP", length, place))
        (filled, _place) = struct.unpack("iP", answer)

        def state(name: bytes) -> tuple[int, bool]:
            try:
                request = name.partition(b":")[0].ljust(_NAME, b"\0").ljust(_REQUEST, b"\0")
                (index,) = struct.unpack_from("i", fcntl.ioctl(asking, _SIOCGIFINDEX, request), _NAME)
                (flags,) = struct.unpack_from("H", fcntl.ioctl(asking, _SIOCGIFFLAGS, request), _NAME)
            except OSError:
                return 0, False  # it has gone since
            return index, bool(flags & _IFF_UP and flags & _IFF_RUNNING)

        return parse_interfaces(buffer.tobytes()[:filled], state)


def parse_interfaces(
    data: bytes, state: Callable[[bytes], tuple[int, bool]], size: int = _REQUEST
) -> tuple[InterfaceAddress, ...]:
    """
    Return the addresses in an answer of SIOCGIFCONF.

    :param state: gives the number of the interface with a name, and whether it is up.
    :param size: bytes of one entry.
    """
    found = []
    for start in range(0, len(data) - size + 1, size):
        name = data[start : start + _NAME].partition(b"\0")[0]
        (family,) = struct.unpack_from("=H", data, start + _NAME)
        if family == socket.AF_INET:
            address = socket.inet_ntoa(data[start + _NAME + 4 : start + _NAME + 8])
            found.append(InterfaceAddress(address, os.fsdecode(name), *state(name)))
    return tuple(found)
