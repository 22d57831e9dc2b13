"""Reads the MTU of the interface that has an address of this machine, and the network the address is in."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
import struct
from typing import Final, NamedTuple

from gomd.sources.addresses import IPV6_FILE, interface_of
from libgomd.wire.addresses import is_ipv6, without_zone

_SIOCGIFMTU: Final = 0x8921
_SIOCGIFNETMASK: Final = 0x891B
_SIOCGIFADDR: Final = 0x8915
_NAME_SIZE: Final = 16
_IFREQ_SIZE: Final = 40
#: Where an IPv4 address stands in a `struct ifreq`: behind the name, the family and the port.
_IPV4_PLACE: Final = _NAME_SIZE + 4
_MAX_BYTES: Final = 1 << 20
_PREFIX_FIELD: Final = 2


class InterfaceMtu(NamedTuple):
    """
    The interface of one address.

    :ivar name: of the interface. :ivar mtu: in bytes. :ivar network: that of the address, such as
        ``10.0.0.0/24``; empty when the kernel does not tell.
    """

    name: str
    mtu: int
    network: str


def mtu_of(address: str) -> InterfaceMtu | None:
    """
    Return the interface of ``address``, None when there is none. Blocks briefly.

    :raises OSError: the kernel does not tell.
    """
    interface = interface_of(address)
    if interface is None:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        request = os.fsencode(interface.name).ljust(_NAME_SIZE, b"\0").ljust(_IFREQ_SIZE, b"\0")
        (mtu,) = struct.unpack_from("i", fcntl.ioctl(asking, _SIOCGIFMTU, request), _NAME_SIZE)
        if is_ipv6(address):
            with open(IPV6_FILE, encoding="ascii", errors="replace") as file:
                network = parse_ipv6_network(file.read(_MAX_BYTES), address)
        else:
            network = _ipv4_network(asking, request, address)
    return InterfaceMtu(interface.name, mtu, network)


def _ipv4_network(asking: socket.socket, request: bytes, address: str) -> str:
    """Return the network of an address; empty when it is a further one, of which this call tells nothing."""
    try:
        found, mask = (
            socket.inet_ntoa(fcntl.ioctl(asking, number, request)[_IPV4_PLACE : _IPV4_PLACE + 4])
            for number in (_SIOCGIFADDR, _SIOCGIFNETMASK)
        )
    except OSError:
        return ""
    return str(ipaddress.ip_network(f"{address}/{mask}", strict=False)) if found == address else ""


def parse_ipv6_network(text: str, address: str) -> str:
    """Return the network of ``address`` by ``text``, what `IPV6_FILE` has; empty when it is not there."""
    packed = ipaddress.ip_address(without_zone(address)).packed.hex()
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > _PREFIX_FIELD and fields[0] == packed:
            try:
                prefix = int(fields[_PREFIX_FIELD], 16)
                return str(ipaddress.ip_network(f"{without_zone(address)}/{prefix}", strict=False))
            except ValueError:
                return ""
    return ""
