"""
Parses openMosix's map of nodes, whose lines are ``first-id address-or-host count``.

An address or host may have the port of its nodes: ``10.0.0.1:5428``, ``[fd00::1]:5428``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from libgomd.errors import ConfigError
from libgomd.model import MAX_NODE_ID
from libgomd.wire.addresses import Host, is_link_local, is_one_host, parse_host, zone_of

#: Maximum number of lines of a map.
MAX_LINES: Final = 100_000
#: The highest port.
MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class NodeMap:
    """
    The nodes of a map.

    :ivar names: host names by node id, for the nodes that the map names by host.
    :ivar addresses: addresses by node id, in the order of ids. The first address of a family is used to
        contact a node; the others are its aliases.
    :ivar ports: port by node id, for the nodes that the map names with one.
    """

    names: dict[int, str]
    addresses: dict[int, tuple[str, ...]]
    ports: dict[int, int] = field(default_factory=dict)


def parse_map(text: str, path: str, resolve: Callable[[str], Sequence[str]]) -> NodeMap:
    """
    Return the nodes of a map.

    Each line has a first id, the address or host of that node, and a count. A range of ``count`` nodes has
    consecutive ids and addresses. A count of ALIAS, or 0, gives a node of an earlier line one more address,
    of either family: so does a host that has an IPv4 and an IPv6 address. An IPv6 address may stand in
    brackets, and does before a port. A node has one port, at all of its addresses. A ``#`` begins a comment.

    :param path: path of the file, for error messages.
    :param resolve: returns the addresses of a host, one of each family at most; may block.
    :raises ConfigError: with every mistake and its line.
    """
    reader = _Reader(path, resolve)
    lines = text.removeprefix("\ufeff").removesuffix("\n").split("\n")
    if len(lines) > MAX_LINES:
        raise ConfigError([f"{path}: {len(lines)} lines, at most {MAX_LINES} are read"])
    for number, line in enumerate(lines, 1):
        fields = line.partition("#")[0].split()
        if fields:
            try:
                reader.take(fields, number)
            except ValueError as error:
                reader.mistakes.append(f"{path}:{number}: {error}")
    if not reader.addresses and not reader.mistakes:
        reader.mistakes.append(f"{path}: there is no node in it; a line is `first-id address count`")
    if reader.mistakes:
        raise ConfigError(reader.mistakes)
    addresses = {node: tuple(reader.addresses[node]) for node in sorted(reader.addresses)}
    return NodeMap(reader.names, addresses, reader.ports)


class _Reader:
    """The part of a map that was parsed so far."""

    def __init__(self, path: str, resolve: Callable[[str], Sequence[str]]) -> None:
        self._resolve = resolve
        self.mistakes: list[str] = []
        self.names: dict[int, str] = {}
        self.addresses: dict[int, list[str]] = {}
        self.ports: dict[int, int] = {}
        self._lines: dict[int, int] = {}
        self._owners: dict[str, int] = {}

    def take(self, fields: list[str], line: int) -> None:
        """Add one line. :raises ValueError: it has a mistake; nothing of it is added."""
        if len(fields) != 3:
            raise ValueError(f"{len(fields)} fields instead of three: first-id address count")
        first = _number(fields[0], "first-id", 1, MAX_NODE_ID)
        text, port = _without_port(fields[1])
        address, *others = self._addresses(text)
        if fields[2].upper() in ("ALIAS", "0"):
            if first not in self.addresses:
                raise ValueError(f"an alias of node {first}, which no line above defines")
            if port and port != self.ports.get(first, port):
                raise ValueError(
                    f"node {first} has port {self.ports[first]} above, and can have no other one"
                )
            for each in (address, *others):
                self._own(first, [str(each)])
                self.addresses[first].append(str(each))
            if port:
                self.ports[first] = port
            return
        count = _number(fields[2], "count", 1, MAX_NODE_ID)
        last = first + count - 1
        if last > MAX_NODE_ID:
            raise ValueError(
                f"{count} nodes from {first} on end at {last}, but the highest id is {MAX_NODE_ID}"
            )
        if not is_one_host(address + (count - 1)):
            raise ValueError(
                f"{count} addresses from {address} on end at {address + (count - 1)}, which no node has"
            )
        if count > 1 and is_link_local(str(address)):
            raise ValueError(
                f"{address} is a link-local address, which no other one follows: one line for each"
            )
        taken = next((node for node in range(first, last + 1) if node in self.addresses), None)
        if taken is not None:
            raise ValueError(f"node {taken} is in line {self._lines[taken]} already")
        hosts = [str(address + offset) if offset else str(address) for offset in range(count)]
        self._own(first, hosts)
        for node, host in zip(range(first, last + 1), hosts, strict=True):
            self.addresses[node] = [host]
            self._lines[node] = line
            if port:
                self.ports[node] = port
        if self._is_name(text):
            self.names[first] = text
            for each in others:
                self._own(first, [str(each)])
                self.addresses[first].append(str(each))

    @staticmethod
    def _is_name(text: str) -> bool:
        return ":" not in text and not all(part.isdigit() for part in text.split("."))

    def _addresses(self, text: str) -> list[Host]:
        if not self._is_name(text):
            return [_address(text[1:-1] if text.startswith("[") and text.endswith("]") else text)]
        try:
            return [_address(each) for each in self._resolve(text)]
        except (OSError, ValueError) as error:
            raise ValueError(f"the host {text} has no address: {error}") from None

    def _own(self, first: int, hosts: list[str]) -> None:
        """Note which nodes have these addresses. :raises ValueError: another line has one of them."""
        for host in hosts:
            if host in self._owners:
                raise ValueError(f"the address {host} is that of node {self._owners[host]} already")
        for offset, host in enumerate(hosts):
            self._owners[host] = first + offset


def _number(text: str, what: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not least <= int(text) <= most:
        raise ValueError(f"{what} {text!r} must be a whole number from {least} to {most}")
    return int(text)


def _without_port(text: str) -> tuple[str, int]:
    """Return ``text`` and the port behind it, 0 for none. :raises ValueError: it cannot be a port."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return text, 0
    return host, _number(port, "the port", 1, MAX_PORT)


def _address(text: str) -> Host:
    """Return the address that ``text`` is. :raises ValueError: it is none that other nodes could use."""
    try:
        found = parse_host(text)
    except ValueError:
        family = "IPv6" if ":" in text else "IPv4"
        raise ValueError(f"{text} is no {family} address") from None
    if is_link_local(str(found)) and not zone_of(str(found)):
        raise ValueError(f"{text} is link-local: name its interface, such as {found}%eth0")
    if not is_one_host(found):
        raise ValueError(f"{text} is no address of a single node")
    return found
