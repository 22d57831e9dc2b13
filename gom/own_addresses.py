"""The addresses of this machine that `gom init` proposes, as most likely to be reached by other nodes."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from libgomd.wire.addresses import is_ipv6, is_link_local, is_loopback, unpack

#: Addresses reserved for documentation: the route to them is the default route, and nothing is sent there.
_OUTSIDE: Final = (("192.0.2.1", 9), ("2001:db8::1", 9))
#: The kernel's list of IPv6 addresses of this machine.
_IPV6_FILE: Final = "/proc/net/if_inet6"
#: Flags of the kernel (linux/if_addr.h) for addresses that others cannot rely on: temporary, refused by
#: another machine, deprecated, and not yet tried.
_PASSING: Final = 0x01 | 0x08 | 0x20 | 0x40
#: The flag of addresses that somebody has set, for good.
_PERMANENT: Final = 0x80
_GLOBAL_SCOPE: Final = 0
#: The request of ioctl(2) for the IPv4 address of an interface.
_SIOCGIFADDR: Final = 0x8915


class OwnIpv6(NamedTuple):
    """An IPv6 address of this machine. :ivar is_steady: others may rely on it, within its scope."""

    address: str
    interface: str
    is_steady: bool
    is_permanent: bool


def default_address() -> str:
    """
    Return the IPv4 address that this machine uses towards others, and behind a comma an IPv6 address of the
    same interface if it has one; without IPv4 that of IPv6 alone; 127.0.0.1 if it has neither.
    """
    for place in _OUTSIDE:
        found = source_towards(place)
        if found and not is_link_local(found):
            return both_families(found)
    return _any_ipv6(_own_ipv6()) or "127.0.0.1"


def address_towards(host: str, port: int) -> str:
    """Return the addresses of this machine for a cluster with that host, as `default_address` does."""
    found = source_towards((host, port))
    return both_families(found) if found else default_address()


def default_addresses(addresses: Sequence[str]) -> list[str]:
    """Return addresses of gomd.ini with those of the default routes in the place of 0.0.0.0 and ``::``."""
    found = []
    for each in addresses:
        if each in ("0.0.0.0", "", "::"):
            each = source_towards(_OUTSIDE[is_ipv6(each)]) or (
                _any_ipv6(_own_ipv6()) if is_ipv6(each) else ""
            )
        found += [each] if each else []
    return found or default_address().split(", ")


def source_towards(place: tuple[str, int]) -> str:
    """Return this machine's address from which another one is reached, empty for none. Nothing is sent."""
    try:
        for family, kind, protocol, _name, address in socket.getaddrinfo(*place, type=socket.SOCK_DGRAM):
            with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as probe:
                probe.connect(address)
                own = probe.getsockname()
                zone = f"%{socket.if_indextoname(own[3])}" if len(own) > 3 and own[3] else ""
                return str(own[0]).partition("%")[0] + zone
    except OSError:
        pass  # a name that nobody knows
    return ""


def both_families(address: str) -> str:
    """Return an address of this machine, and a steady one of the other family if its interface has one."""
    if is_loopback(address) or is_link_local(address):
        return address
    own = _own_ipv6()
    if is_ipv6(address):
        steady = steady_instead(address, own)
        interface = next((each.interface for each in own if each.address == address), "")
        ipv4 = _ipv4_of(interface) if interface else ""
        return f"{ipv4}, {steady}" if ipv4 and not is_link_local(ipv4) else steady
    for _number, interface in socket.if_nameindex():
        if _ipv4_of(interface) == address:
            ipv6 = beside(interface, own, source_towards(_OUTSIDE[1]))
            return f"{address}, {ipv6}" if ipv6 else address
    return address


def beside(interface: str, own: Iterable[OwnIpv6], used: str) -> str:
    """
    Return the IPv6 address of an interface at which others reach this machine, empty for none.

    :param used: what the default route uses. It is taken if it is one of them, else one that was set by hand.
    """
    found = [
        each
        for each in own
        if each.interface == interface and each.is_steady and not is_link_local(each.address)
    ]
    return min(found, key=lambda each: (each.address != used, not each.is_permanent), default=_NONE).address


def steady_instead(address: str, own: Sequence[OwnIpv6]) -> str:
    """Return ``address``, or a steady one of its interface where it is one that passes."""
    for each in own:
        if each.address == address and not each.is_steady:
            return beside(each.interface, own, "") or address
    return address


_NONE: Final = OwnIpv6("", "", False, False)


def parse_if_inet6(text: str) -> Iterator[OwnIpv6]:
    """Yield the addresses in /proc/net/if_inet6, without loopback and lines of another form."""
    for line in text.splitlines():
        words = line.split()
        if len(words) != 6:
            continue
        try:
            address, scope, flags = unpack(bytes.fromhex(words[0])), int(words[3], 16), int(words[4], 16)
        except ValueError:
            continue
        if not is_loopback(address):
            is_local = is_link_local(address)
            is_steady = not flags & _PASSING and (scope == _GLOBAL_SCOPE or is_local)
            yield OwnIpv6(address, words[5], is_steady, bool(flags & _PERMANENT))


def _own_ipv6() -> list[OwnIpv6]:
    try:
        with open(_IPV6_FILE, encoding="ascii", errors="replace") as file:
            return list(parse_if_inet6(file.read(65536)))
    except OSError:
        return []  # a kernel without IPv6


def _any_ipv6(own: Iterable[OwnIpv6]) -> str:
    """Return an IPv6 address by which others reach this machine, link-local if need be; empty for none."""
    best = min(own, key=lambda each: (is_link_local(each.address), not each.is_steady), default=_NONE)
    return f"{best.address}%{best.interface}" if is_link_local(best.address) else best.address


def _ipv4_of(interface: str) -> str:
    """Return the first IPv4 address of an interface, empty for none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            told = fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
        except OSError:
            return ""
    return socket.inet_ntoa(told[20:24])
