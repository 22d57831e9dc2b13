"""Reads the map file of engine `map`, and finds this node in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gomd.cluster.map_file import NodeMap, parse_map
from gomd.cluster.seeds import look_up
from gomd.config import Config
from libgomd.edited import plain_text
from libgomd.errors import ConfigError
from libgomd.wire.addresses import is_ipv6, is_loopback

#: The local file of host names.
HOSTS_FILE: Final = "/etc/hosts"
#: Largest map or hosts file that is read, in bytes.
_MAX_FILE_BYTES: Final = 8 * 1024 * 1024


def read_map(config: Config) -> NodeMap:
    """
    Return the map in `[peers] map_file`. Blocks, because names of hosts in it are looked up.

    :raises ConfigError: it cannot be read, has mistakes, or does not contain this node.
    """
    path, addresses = config.peers.map_file, config.peers.addresses
    try:
        with open(path, "rb") as file:
            text = plain_text(file.read(_MAX_FILE_BYTES + 1))
    except OSError as error:
        raise ConfigError([f"[peers] map_file {path} cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise ConfigError([f"[peers] map_file {path} cannot be used: {error}"]) from error
    if len(text) > _MAX_FILE_BYTES:
        raise ConfigError(
            [f"[peers] map_file {path} has more than {_MAX_FILE_BYTES} bytes: is it the right file?"]
        )
    found = parse_map(text, path, _addresses_of)
    own = config.node.id or _id_at(found, addresses)
    loops = _on_loopback(found, path)
    if loops and not is_loopback(addresses[0]):
        raise ConfigError(loops)
    missing = [each for each in addresses if each not in found.addresses.get(own, ())]
    if missing:
        raise ConfigError(
            [
                *loops,
                f"{path}: this node, {f'id {own} ' if own else ''}at {' and '.join(missing)}, is not in "
                "the map: correct [peers] address, [node] id or the map",
            ]
        )
    if config.peers.port and found.ports.get(own, config.peers.port) != config.peers.port:
        raise ConfigError(
            [
                f"{path}: this node, id {own}, has port {found.ports[own]} in the map and "
                f"{config.peers.port} in [peers] port: correct one of them"
            ]
        )
    return found


def id_in_map(config: Config) -> int:
    """Return the id of this node in the map, by its address. Errors as in `read_map`."""
    return _id_at(read_map(config), config.peers.addresses)


def _on_loopback(found: NodeMap, path: str) -> list[str]:
    """
    Return a sentence for each host of the map that has a loopback address.

    Debian and its derivatives write ``127.0.1.1 HOST`` into /etc/hosts for the machine's own name.
    """
    sentences = []
    for node, host in found.names.items():
        address = next(filter(is_loopback, found.addresses[node]), "")
        if address:
            line = line_of(HOSTS_FILE, address, host)
            place = f"line {line} of {HOSTS_FILE}" if line else "the name service of this machine"
            sentences.append(
                f"{path}: the host {host} of node {node} is {address} by {place}, an address that no other "
                f"machine reaches: write its address into the map, or correct {place}"
            )
    return sentences


def line_of(path: str, address: str, host: str) -> int:
    """Return the line of the hosts file ``path`` that gives ``host`` this address, 0 for none. Blocks."""
    try:
        with open(path, "rb") as file:
            lines = file.read(_MAX_FILE_BYTES).split(b"\n")
    except OSError:
        return 0
    for number, line in enumerate(lines, 1):
        words = line.partition(b"#")[0].lower().split()
        if words[:1] == [address.encode()] and host.lower().encode() in words[1:]:
            return number
    return 0


def _id_at(found: NodeMap, own: Sequence[str]) -> int:
    return next((node for node, addresses in found.addresses.items() if set(own) & set(addresses)), 0)


def _addresses_of(host: str) -> tuple[str, ...]:
    """Return the first IPv4 and IPv6 address of a host. :raises ValueError: it has none."""
    try:
        found = look_up(host)
    except OSError as error:
        raise ValueError(f"{host} has no address: {error.strerror or error}") from error
    families = {is_ipv6(each): each for each in reversed(found)}
    return tuple(families[each] for each in sorted(families))
