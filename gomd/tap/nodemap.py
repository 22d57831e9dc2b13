"""The map of engine `map`: read, and this node found in it."""

from __future__ import annotations

import socket

from gomd.cluster.map_file import NodeMap, parse_map
from gomd.config import Config
from libgomd.errors import ConfigError


def read_map(config: Config) -> NodeMap:
    """
    Return the map of `[peers] map_file`. Blocks: names of hosts in it are looked up.

    :raises ConfigError: it cannot be read, has mistakes, or this node is not in it.
    """
    path, address = config.peers.map_file, config.peers.address
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError) as error:
        raise ConfigError([f"[peers] map_file {path} cannot be read: {error}"]) from error
    found = parse_map(text, path, _address_of)
    own = config.node.id or _id_at(found, address)
    if address not in found.addresses.get(own, ()):
        raise ConfigError(
            [
                f"{path}: this node, {f'id {own} ' if own else ''}at {address}, is not in the map: "
                "correct [peers] address, [node] id or the map"
            ]
        )
    return found


def id_in_map(config: Config) -> int:
    """Return the id that the map has for this node's address. Errors as in `read_map`."""
    return _id_at(read_map(config), config.peers.address)


def _id_at(found: NodeMap, address: str) -> int:
    return next((node for node, addresses in found.addresses.items() if address in addresses), 0)


def _address_of(host: str) -> str:
    """Return the IPv4 address of a host; raises ValueError for one that has none."""
    try:
        return socket.gethostbyname(host)
    except OSError as error:
        raise ValueError(f"{host} has no IPv4 address: {error.strerror}") from error
