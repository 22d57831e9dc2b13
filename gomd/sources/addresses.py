"""Reads the IPv4 addresses of this machine and their interfaces from the kernel."""

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
_IFREQ_SIZE: Final = 40 if struct.calcsize("P") == 8 else 32
_NAME_SIZE: Final = 16
#: Maximum number of addresses that are read.
_MAX_ADDRESSES: Final = 4096


class InterfaceAddress(NamedTuple):
    """
    One IPv4 address and its interface.

    :ivar number: index of the interface, 0 if it has just disappeared.
    :ivar up: whether the interface is up and has a carrier.
    """

    address: str
    name: str
    number: int
    up: bool


def read_interfaces() -> tuple[InterfaceAddress, ...]:
    """
    Return all addresses of this machine. May block on a lock of the kernel.

    :raises OSError: the kernel does not list them.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        buffer = array.array("B", bytes(_IFREQ_SIZE * _MAX_ADDRESSES))
        place, length = buffer.buffer_info()
        answer = fcntl.ioctl(asking, _SIOCGIFCONF, struct.pack("iP", length, place))
        (filled, _place) = struct.unpack("iP", answer)

        def state(name: bytes) -> tuple[int, bool]:
            try:
                request = name.partition(b":")[0].ljust(_NAME_SIZE, b"\0").ljust(_IFREQ_SIZE, b"\0")
                (index,) = struct.unpack_from("i", fcntl.ioctl(asking, _SIOCGIFINDEX, request), _NAME_SIZE)
                (flags,) = struct.unpack_from("H", fcntl.ioctl(asking, _SIOCGIFFLAGS, request), _NAME_SIZE)
            except OSError:
                return 0, False  # it has disappeared meanwhile
            return index, bool(flags & _IFF_UP and flags & _IFF_RUNNING)

        return parse_interfaces(buffer.tobytes()[:filled], state)


def parse_interfaces(
    data: bytes, state: Callable[[bytes], tuple[int, bool]], size: int = _IFREQ_SIZE
) -> tuple[InterfaceAddress, ...]:
    """
    Return the addresses in an answer of SIOCGIFCONF.

    :param state: returns index and state (up or not) of the interface with a name.
    :param size: bytes of one entry.
    """
    found = []
    for start in range(0, len(data) - size + 1, size):
        name = data[start : start + _NAME_SIZE].partition(b"\0")[0]
        (family,) = struct.unpack_from("=H", data, start + _NAME_SIZE)
        if family == socket.AF_INET:
            address = socket.inet_ntoa(data[start + _NAME_SIZE + 4 : start + _NAME_SIZE + 8])
            found.append(InterfaceAddress(address, os.fsdecode(name), *state(name)))
    return tuple(found)
