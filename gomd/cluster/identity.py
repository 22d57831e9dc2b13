"""The address of this node, and the node id that follows from it as in openMosix."""

from __future__ import annotations

import ipaddress
import socket

from libgomd.errors import ConfigError
from libgomd.model import MAX_NODE_ID

#: An address reserved for documentation. The route to it is the default route; nothing is sent there.
_DOCUMENTATION_ADDRESS = ("192.0.2.1", 9)


def primary_address() -> str:
    """
    Return the IPv4 address that this machine uses towards others, 127.0.0.1 if it has none.

    This only consults the routing table; no packet is sent.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_DOCUMENTATION_ADDRESS)
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def id_of(address: str) -> int:
    """
    Return the low 16 bits of an IPv4 address, which number nodes in openMosix: 192.168.10.220 is 2780.

    :raises ConfigError: they are 0, which is not a node id.
    """
    number = int(ipaddress.IPv4Address(address)) & MAX_NODE_ID
    if not number:
        raise ConfigError(
            [f"the address {address} gives no node id: set [node] id to one of 1 to {MAX_NODE_ID}"]
        )
    return number
