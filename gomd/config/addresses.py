"""Checks of addresses to listen at and to contact. Names are not looked up, so nothing blocks."""

from __future__ import annotations

import ipaddress
import re

from gomd.config import scalars
from gomd.config.scalars import Refused, listed, shown, unquoted
from gomd.config.settings import GROUP, GROUP_IPV6
from libgomd.endpoints import Endpoint, Tcp, Unix
from libgomd.wire.addresses import (
    Host,
    is_link_local,
    is_loopback,
    is_one_host,
    parse_host,
    zone_of,
)

_DIGITS_AND_DOTS = re.compile(r"[0-9.]+")
_PORT = re.compile(r"[0-9]{1,5}")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_TWISTED = re.compile(r"tcp:([0-9]+):interface=(.+)")
_FREE_GROUPS = ipaddress.IPv6Network("ff10::/12")
#: Scopes of IPv6 groups that reach no other machine, or none without an interface in the address: reserved
#: (0), this machine (1), link-local (2), reserved (15).
_UNUSABLE_SCOPES = frozenset({0, 1, 2, 15})


def own_addresses(value: str) -> tuple[str, ...]:
    """
    Check the addresses of this node, from which it answers its peers: one of IPv4, one of IPv6, or both.

    They are returned in this order, as the kernel writes them.
    """
    found: dict[bool, str] = {}
    for item in listed(value):
        address = _own_address(item)
        if (":" in address) in found:
            raise Refused(
                f"must be one IPv4 address, one IPv6 address, or one of each; {shown(item)} is a second one"
            )
        found[":" in address] = address
    if not found:
        raise Refused("must be an address of this node, such as 10.0.0.1 or fd00::1")
    if len({is_loopback(each) for each in found.values()}) > 1:
        raise Refused(
            "must be two addresses for the other nodes, or two of this machine alone, not one of each"
        )
    return tuple(found[ipv6] for ipv6 in sorted(found))


def _own_address(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        found = parse_host(bare)
    except ValueError:
        found = None
    if found is None or ("." in bare and ":" in bare) or not (is_one_host(found) or found.is_unspecified):
        raise Refused(
            "must be an IPv4 or IPv6 address of this node, such as 10.0.0.1 or fd00::1; "
            f"{shown(text)} is none"
        )
    if is_link_local(str(found)) and not zone_of(str(found)):
        raise Refused(f"must name the interface of a link-local address, such as {found}%eth0")
    return str(found)


def groups(value: str) -> tuple[Tcp, Tcp]:
    """
    Check the multicast groups and ports for announcements, of IPv4, IPv6 or both.

    Where one family is not named, its group is the usual one, at the port of the other one.
    """
    found: dict[bool, Tcp] = {}
    for item in listed(value):
        group = _host_port(item)
        try:
            address = parse_host(group.host) if group else None
        except ValueError:
            address = None
        if group is None or address is None or not _is_free_group(address) or zone_of(group.host):
            raise Refused(
                "must be ADDRESS:PORT with a multicast address, such as 239.192.0.1:5429 or "
                f"[{GROUP_IPV6}]:5429; {shown(item)} is not"
            )
        if found.setdefault(":" in group.host, group) is not group:
            raise Refused(f"must be one group of IPv4 and one of IPv6 at most; {shown(item)} is a second one")
    if not found:
        raise Refused("must be ADDRESS:PORT with a multicast address, such as 239.192.0.1:5429")
    one = next(iter(found.values()))
    return found.get(False, Tcp(GROUP.host, one.port)), found.get(True, Tcp(GROUP_IPV6, one.port))


def _is_free_group(address: Host) -> bool:
    """
    Return whether a group may be used: of IPv6 those only that nobody has assigned to another purpose, with a
    scope that reaches other machines.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_multicast
    return address in _FREE_GROUPS and address.packed[1] & 0xF not in _UNUSABLE_SCOPES


def seeds(value: str) -> tuple[Tcp, ...]:
    """
    Check a list of HOST:PORT of nodes to contact. Duplicates are removed.

    Names are not looked up here, since a name that is unknown now may be known later.
    """
    found: dict[Tcp, None] = {}
    for item in listed(value):
        seed = _host_port(item)
        if seed is None:
            raise Refused(
                "must be HOST:PORT, such as 10.0.0.1:5428 or [fd00::1]:5428, several with commas; "
                f"{shown(item)} is not"
            )
        try:
            address = parse_host(seed.host)
        except ValueError:
            address = None  # a name
        if address is not None and not is_one_host(address):
            raise Refused(
                f"must be addresses of single nodes, such as 10.0.0.1:5428; {shown(item)} is none "
                "(multicast is [peers] multicast)"
            )
        if address is not None and is_link_local(seed.host) and not zone_of(seed.host):
            raise Refused(
                f"must name the interface of a link-local address, such as [{seed.host}%eth0]:{seed.port}; "
                f"{shown(item)} does not"
            )
        found[seed if address is None else Tcp(str(address), seed.port)] = None
    return tuple(found)


def one_place(value: str) -> Tcp | None:
    """Check HOST:PORT of one program on this machine or another. Empty means none."""
    text = unquoted(value)
    found = _host_port(text) if text else None
    if text and found is None:
        raise Refused(f"must be HOST:PORT, such as 127.0.0.1:7373; {shown(text)} is not")
    if found is not None:
        _check_place(found, text)
    return found


def hosts(value: str) -> tuple[str, ...]:
    """Check a list of names of this machine, without ports. Duplicates are removed."""
    found: dict[str, None] = {}
    for item in listed(value):
        if not _HOST.fullmatch(item) or len(item) > 253:
            raise Refused(f"must be names without ports, such as gomd.example.org; {shown(item)} is not")
        found[item.lower().removesuffix(".")] = None
    return tuple(found)


def endpoint(value: str) -> Endpoint | None:
    """Check one endpoint to listen at. Empty means none."""
    text = unquoted(value)
    return _listening(text) if text else None


def endpoints(value: str) -> tuple[Endpoint, ...]:
    """Check a list of endpoints to listen at. It must have at least one."""
    found = tuple(map(_listening, listed(value)))
    if not found:
        raise Refused("must name at least one endpoint, such as tcp:127.0.0.1:2901 or unix:")
    return found


def _listening(text: str) -> Endpoint:
    """
    Return the endpoint that ``text`` names, in the syntax of `libgomd.endpoints` or of Twisted.

    Port 0 means any free port. ``unix:`` without a path means the socket in state_dir; its `Unix` has an
    empty path until state_dir is known.
    """
    kind, _, rest = text.partition(":")
    if kind == "unix":
        if ":" in rest:
            raise Refused(f"must be unix:PATH without options after the path; {shown(text)} is not")
        return Unix(scalars.path(rest))
    if twisted := _TWISTED.fullmatch(text):
        port, host = twisted[1], twisted[2].replace("\\:", ":")
        rest = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    found = _host_port(rest, min_port=0) if kind == "tcp" else None
    if found is None:
        which = "tcp:127.0.0.1:2901 (this machine only), tcp:0.0.0.0:2901 (everybody)"
        raise Refused(f"must be tcp:HOST:PORT, such as {which}, or unix:PATH; {shown(text)} is not")
    _check_place(found, text, "tcp:")
    return found


def _check_place(place: Tcp, text: str, before: str = "") -> None:
    """
    Check an address at which one program listens: an own one of this machine, or all. Names are any.

    :param text: as it was found. :param before: what stands before HOST:PORT there.
    """
    try:
        address = parse_host(place.host)
    except ValueError:
        return  # a name
    if not (is_one_host(address) or address.is_unspecified):
        raise Refused(f"must have the address of one machine; {shown(text)} has none")
    if is_link_local(place.host) and not zone_of(place.host):
        raise Refused(
            f"must name the interface of a link-local address, such as "
            f"{before}[{place.host}%eth0]:{place.port}; {shown(text)} does not"
        )


def _host_port(text: str, min_port: int = 1) -> Tcp | None:
    host, _, port = text.rpartition(":")
    if not _PORT.fullmatch(port) or not min_port <= int(port) <= 65535 or len(host) > 253:
        return None
    if host.startswith("[") and host.endswith("]"):
        try:
            return Tcp(str(parse_host(host[1:-1])), int(port)) if ":" in host else None
        except ValueError:
            return None
    if not _HOST.fullmatch(host) or (_DIGITS_AND_DOTS.fullmatch(host) and _ipv4(host) is None):
        return None
    return Tcp(host, int(port))


def _ipv4(text: str) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        return None
