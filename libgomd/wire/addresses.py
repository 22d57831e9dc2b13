"""
Addresses of nodes as text, and how they stand in messages: IPv4 and IPv6, with and without a port.

An address is text in the form that the kernel and `ipaddress` write: ``10.0.0.1``, ``fd00::1``, and, because
a link-local address means something on one network only, ``fe80::1%eth0`` with its zone, the interface. An
IPv4 address that an IPv6 socket shows (``::ffff:10.0.0.1``) is that IPv4 address. With a port, an IPv6
address stands in brackets. Nothing here looks a name up.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

Host = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Bytes of an address in a message.
IPV4_BYTES: Final = 4
IPV6_BYTES: Final = 16
#: What the kernel takes as the name of an interface: at most 15 bytes.
_ZONE: Final = re.compile(r"[^\s/%:\x00-\x1f\x7f]{1,15}")
_THIS_NETWORK: Final = ipaddress.IPv4Network("0.0.0.0/8")
_PORT: Final = re.compile(r"[0-9]{1,5}")


def parse_host(text: str) -> Host:
    """
    Return the address that ``text`` is. An IPv4 address in the form of IPv6 is given as IPv4.

    :raises ValueError: it is no address, or its zone cannot be the name of an interface.
    """
    if ":" not in text:
        return ipaddress.IPv4Address(text)
    found = ipaddress.IPv6Address(text)
    if found.scope_id is not None and not (_ZONE.fullmatch(found.scope_id) and found.is_link_local):
        raise ValueError(f"{text} has a zone that no interface has")
    return found.ipv4_mapped or found


def is_ipv6(host: str) -> bool:
    """Return whether an address is one of IPv6. Only for text that is an address."""
    return ":" in host


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is an address of the machine itself. False for names."""
    try:
        return parse_host(host).is_loopback
    except ValueError:
        return False


def is_unspecified(host: str) -> bool:
    """Return whether ``host`` stands for all addresses of a family: ``0.0.0.0`` or ``::``."""
    return host in ("0.0.0.0", "::")


def is_link_local(host: str) -> bool:
    """Return whether ``host`` is an IPv6 address that means something on one network only."""
    return ":" in host and parse_host(host).is_link_local


def is_one_host(found: Host) -> bool:
    """Return whether an address is that of a single host: no group, no broadcast, not reserved, not 0.x."""
    if found.is_multicast or found.is_unspecified:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        return True
    return not (found.is_reserved or found in _THIS_NETWORK)


@lru_cache(maxsize=4096)
def unmapped(host: str) -> str:
    """Return the IPv4 address in ``::ffff:10.0.0.1``; any other text as it is."""
    if not host.startswith("::ffff:"):
        return host
    try:
        return str(parse_host(host))
    except ValueError:
        return host


@lru_cache(maxsize=4096)
def network_of(host: str) -> str:
    """
    Return what limits count as one caller: an IPv4 address, or the /64 of an IPv6 address.

    Whoever has one IPv6 address usually has all of its /64. Text that is no address is given as it is.
    """
    try:
        found = parse_host(host)
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return f"{ipaddress.IPv6Address(int(found) >> 64 << 64)}/64"


def for_others(hosts: Sequence[str]) -> tuple[str, ...]:
    """Return those addresses of a machine that others reach; all of them if none is."""
    return tuple(each for each in hosts if not is_loopback(each)) or tuple(hosts)


def without_zone(host: str) -> str:
    """Return an address without its zone, as it stands in messages."""
    return host.partition("%")[0]


def zone_of(host: str) -> str:
    """Return the zone of an address, empty for none."""
    return host.partition("%")[2]


def shown(host: str, port: int) -> str:
    """Return an address with its port, as people write it: ``10.0.0.1:5428``, ``[fd00::1]:5428``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split(text: str, port: int) -> tuple[str, int]:
    """
    Return the host and the port of ``text``: ``HOST``, ``HOST:PORT``, ``ADDRESS6``, ``[ADDRESS6]:PORT``.

    The host is an address or a name, which is not looked up.

    :param port: used where ``text`` has none.
    :raises ValueError: it is none of these.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError(f"{text[:80]!r} is no address: write it as [fd00::1]:{port}")
        return str(parse_host(host)), _port(rest[1:], text) if rest else port
    if text.count(":") > 1:
        try:
            return str(parse_host(text)), port
        except ValueError as error:
            raise ValueError(
                f"{text[:80]!r} is no address: write it as HOST:PORT or [fd00::1]:{port}"
            ) from error
    host, colon, number = text.partition(":")
    if not host:
        raise ValueError(f"{text[:80]!r} names no host")
    return host, _port(number, text) if colon else port


def _port(text: str, whole: str) -> int:
    if not (_PORT.fullmatch(text) and 0 < int(text) < 65536):
        raise ValueError(f"{whole[:80]!r} has no port from 1 to 65535 behind its colon")
    return int(text)


@lru_cache(maxsize=4096)
def pack(host: str) -> bytes:
    """Return the 4 or 16 bytes of an address, without its zone. :raises ValueError: it is no address."""
    return parse_host(without_zone(host)).packed


@lru_cache(maxsize=4096)
def unpack(packed: bytes) -> str:
    """Return the address in 4 or 16 bytes. :raises ValueError: the number of bytes is another one."""
    if len(packed) == IPV4_BYTES:
        return ".".join(map(str, packed))
    if len(packed) != IPV6_BYTES:
        raise ValueError("an address is 4 or 16 bytes")
    found = ipaddress.IPv6Address(packed)
    if found.ipv4_mapped is not None:
        raise ValueError("an IPv4 address is 4 bytes")
    return str(found)
