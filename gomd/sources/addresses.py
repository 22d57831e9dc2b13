"""Reads the addresses of this machine, IPv4 and IPv6, and their interfaces from the kernel."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from libgomd.wire.addresses import IPV6_BYTES, is_ipv6, is_link_local, is_loopback, unpack

_SIOCGIFCONF: Final = 0x8912
_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFINDEX: Final = 0x8933
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
#: Bytes of the kernel's `struct ifreq`, and of the name at its beginning.
_IFREQ_SIZE: Final = 40 if struct.calcsize("P") == 8 else 32
_NAME_SIZE: Final = 16
#: Maximum number of addresses that are read, of each family.
_MAX_ADDRESSES: Final = 4096
#: The kernel's list of IPv6 addresses: address, index, prefix, scope, flags in hexadecimal, and the
#: interface.
IPV6_FILE: Final = "/proc/net/if_inet6"
_IFA_F_TEMPORARY, _IFA_F_DADFAILED, _IFA_F_DEPRECATED, _IFA_F_TENTATIVE = 0x01, 0x08, 0x20, 0x40
_FIELDS_OF_IPV6: Final = 6
#: An address reserved for documentation. The route to it is the default route; nothing is sent there.
_DOCUMENTATION_ADDRESS_IPV6: Final = ("2001:db8::1", 9)
#: The socket option, and its value, by which the kernel chooses no temporary address (RFC 5014, linux/in6.h).
_IPV6_ADDR_PREFERENCES: Final = 72
_IPV6_PREFER_SRC_PUBLIC: Final = 0x2
_MAX_LINE_BYTES: Final = 128


class InterfaceAddress(NamedTuple):
    """
    One address and its interface.

    :ivar address: a link-local one of IPv6 has the interface as its zone.
    :ivar number: index of the interface, 0 if it has just disappeared.
    :ivar up: whether the interface is up and has a carrier.
    :ivar tentative: the kernel is still finding out whether another machine has it. Only IPv6.
    :ivar lasting: it is neither one of the temporary addresses that hide a machine, nor going out of use.
    """

    address: str
    name: str
    number: int
    up: bool
    tentative: bool = False
    lasting: bool = True


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

        found = parse_interfaces(buffer.tobytes()[:filled], state)
        try:
            with open(IPV6_FILE, "rb") as file:
                text = file.read(_MAX_ADDRESSES * _MAX_LINE_BYTES)
        except OSError:
            text = b""  # a kernel without IPv6
        return found + parse_ipv6(text, lambda name: state(os.fsencode(name))[1])


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


def parse_ipv6(text: bytes, up: Callable[[str], bool]) -> tuple[InterfaceAddress, ...]:
    """
    Return the addresses in ``text``, what `IPV6_FILE` has. Lines that are none, and those of addresses that
    another machine was found to have, are left out.

    :param up: returns whether the interface with a name is up.
    """
    found = []
    for line in text.split(b"\n"):
        fields = line.split()
        try:
            packed, numbers = (
                bytes.fromhex(fields[0].decode("ascii")),
                [int(each, 16) for each in fields[1:5]],
            )
            name = os.fsdecode(fields[_FIELDS_OF_IPV6 - 1])
            address = unpack(packed)
        except (ValueError, IndexError):
            continue
        index, _prefix, _scope, flags = numbers
        if len(packed) == IPV6_BYTES and not flags & _IFA_F_DADFAILED:
            shown = f"{address}%{name}" if is_link_local(address) else address
            lasting = not flags & (_IFA_F_TEMPORARY | _IFA_F_DEPRECATED)
            found.append(
                InterfaceAddress(shown, name, index, up(name), bool(flags & _IFA_F_TENTATIVE), lasting)
            )
    return tuple(found)


def interface_of(address: str) -> InterfaceAddress | None:
    """
    Return the interface that has ``address``, one that is up if there is any; None if none has it. Blocks
    briefly. :raises OSError: the kernel does not list them.
    """
    places = [each for each in read_interfaces() if each.address == address]
    return max(places, key=lambda each: each.up, default=None)


def primary_address_ipv6() -> str:
    """
    Return the IPv6 address that this machine uses towards others, ::1 if it has none.

    That is the address of the default route; without one, the first address of an interface that is up, and a
    link-local one only where there is no other. Temporary addresses are left out. No packet is sent.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        prefer_lasting(probe)
        probe.connect(_DOCUMENTATION_ADDRESS_IPV6)
        host, _port, _flow, scope = probe.getsockname()
        found = str(host).partition("%")[0]
        if not is_link_local(found):
            return found
        if scope:
            return f"{found}%{socket.if_indextoname(scope)}"
    with contextlib.suppress(OSError):
        return best_ipv6(read_interfaces())
    return "::1"


def prefer_lasting(sending: socket.socket) -> None:
    """Let an IPv6 socket that is bound to no address send from none of the temporary ones (RFC 8981)."""
    with contextlib.suppress(OSError):
        sending.setsockopt(socket.IPPROTO_IPV6, _IPV6_ADDR_PREFERENCES, _IPV6_PREFER_SRC_PUBLIC)


def best_ipv6(interfaces: Iterable[InterfaceAddress]) -> str:
    """
    Return the IPv6 address of these by which others reach this machine best, ::1 if there is none.

    Of equal ones it is that of the oldest interface, so that one that is added changes nothing.
    """
    usable = [
        each for each in interfaces if is_ipv6(each.address) and each.up and not is_loopback(each.address)
    ]
    best = min(
        usable, key=lambda each: (is_link_local(each.address), not each.lasting, each.number), default=None
    )
    return "::1" if best is None else best.address
