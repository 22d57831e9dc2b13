"""Which node this is: its address, and the id that openMosix gives such an address."""

from __future__ import annotations

import ipaddress
import socket

from libgomd.errors import ConfigError
from libgomd.model import MAX_NODE_ID

#: An address of the documentation range: a route to it is the default route; nothing is sent.
_FAR_AWAY = ("192.0.2.1", 9)


def primary_address() -> str:
    """
    Return the IPv4 address this machine talks to others from, 127.0.0.1 when it has none.

    Only the routing table is asked; no packet leaves.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_FAR_AWAY)
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def id_of(address: str) -> int:
    """
    Return the low 16 bits of an IPv4 address, as openMosix numbers nodes: 192.168.10.220 is 2780.

    :raises ConfigError: they are 0, which is no node id.
    """
    number = int(ipaddress.IPv4Address(address)) & MAX_NODE_ID
    if not number:
        raise ConfigError(
            [f"the address {address} gives no node id: set [node] id to one of 1 to {MAX_NODE_ID}"]
        )
    return number
