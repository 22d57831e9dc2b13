"""Checks of addresses to listen at and to contact. Names are not looked up, so nothing blocks."""

from __future__ import annotations

import ipaddress
import re

from gomd.config import scalars
from gomd.config.scalars import Refused, listed, shown, unquoted
from libgomd.endpoints import Endpoint, Tcp, Unix

_DIGITS_AND_DOTS = re.compile(r"[0-9.]+")
_PORT = re.compile(r"[0-9]{1,5}")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
_TWISTED = re.compile(r"tcp:([0-9]+):interface=(.+)")


def own_address(value: str) -> str:
    """Check the IPv4 address of this node, from which it answers its peers."""
    text = unquoted(value)
    found = _ipv4(text)
    if found is None or not (is_one_host(found) or found.is_unspecified):
        raise Refused("must be an IPv4 address of this node, such as 10.0.0.1")
    return text


def multicast(value: str) -> Tcp:
    """Check the multicast group and port for announcements."""
    found = _host_port(unquoted(value))
    group = _ipv4(found.host) if found else None
    if found is None or group is None or not group.is_multicast:
        raise Refused("must be ADDRESS:PORT with an IPv4 multicast address, such as 239.192.0.1:5429")
    return found


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
                f"must be HOST:PORT, such as 10.0.0.1:5428, several with commas; {shown(item)} is not"
            )
        if ":" in seed.host:
            raise Refused(f"must be IPv4 addresses or names: the peers speak IPv4 only; {shown(item)} is not")
        address = _ipv4(seed.host)
        if address is not None and not is_one_host(address):
            raise Refused(
                f"must be addresses of single nodes, such as 10.0.0.1:5428; {shown(item)} is none "
                "(multicast is [peers] multicast)"
            )
        found[seed] = None
    return tuple(found)


def one_place(value: str) -> Tcp | None:
    """Check HOST:PORT of one program on this machine or another. Empty means none."""
    text = unquoted(value)
    found = _host_port(text) if text else None
    if text and found is None:
        raise Refused(f"must be HOST:PORT, such as 127.0.0.1:7373; {shown(text)} is not")
    return found


def hosts(value: str) -> tuple[str, ...]:
    """Check a list of names of this machine, without ports. Duplicates are removed."""
    found: dict[str, None] = {}
    for item in listed(value):
        if not _HOST.fullmatch(item) or len(item) > 253:
            raise Refused(f"must be names without ports, such as gomd.example.org; {shown(item)} is not")
        found[item.lower().removesuffix(".")] = None
    return tuple(found)


def is_one_host(address: ipaddress.IPv4Address) -> bool:
    """Return whether ``address`` is that of a single host: not multicast, broadcast, reserved or 0.x."""
    return not (address.is_multicast or address.is_reserved or address in _THIS_NETWORK)


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
    return found


def _host_port(text: str, min_port: int = 1) -> Tcp | None:
    host, _, port = text.rpartition(":")
    if not _PORT.fullmatch(port) or not min_port <= int(port) <= 65535 or len(host) > 253:
        return None
    if host.startswith("[") and host.endswith("]"):
        try:
            return Tcp(str(ipaddress.IPv6Address(host[1:-1])), int(port))
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
