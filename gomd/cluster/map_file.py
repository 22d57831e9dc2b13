"""Parses openMosix's map of nodes, whose lines are ``first-id address-or-host count``."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from libgomd.errors import ConfigError
from libgomd.model import MAX_NODE_ID

#: Maximum number of lines of a map.
MAX_LINES: Final = 100_000
_LAST_ADDRESS: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class NodeMap:
    """
    The nodes of a map.

    :ivar names: host names by node id, for the nodes that the map names by host.
    :ivar addresses: IPv4 addresses by node id, in the order of ids. The first address of a node is used to
        contact it; the others are its aliases.
    """

    names: dict[int, str]
    addresses: dict[int, tuple[str, ...]]


def parse_map(text: str, path: str, resolve: Callable[[str], str]) -> NodeMap:
    """
    Return the nodes of a map.

    Each line has a first id, the address or host of that node, and a count. A range of ``count`` nodes has
    consecutive ids and addresses. A count of ALIAS, or 0, gives a node of an earlier line one more address.
    A ``#`` begins a comment.

    :param path: path of the file, for error messages.
    :param resolve: returns the IPv4 address of a host; may block.
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
    return NodeMap(reader.names, {node: tuple(reader.addresses[node]) for node in sorted(reader.addresses)})


class _Reader:
    """The part of a map that was parsed so far."""

    def __init__(self, path: str, resolve: Callable[[str], str]) -> None:
        self._resolve = resolve
        self.mistakes: list[str] = []
        self.names: dict[int, str] = {}
        self.addresses: dict[int, list[str]] = {}
        self._lines: dict[int, int] = {}
        self._owners: dict[str, int] = {}

    def take(self, fields: list[str], line: int) -> None:
        """Add one line. :raises ValueError: it has a mistake; nothing of it is added."""
        if len(fields) != 3:
            raise ValueError(f"{len(fields)} fields instead of three: first-id address count")
        first = _number(fields[0], "first-id", 1, MAX_NODE_ID)
        address = self._address(fields[1])
        if fields[2].upper() in ("ALIAS", "0"):
            if first not in self.addresses:
                raise ValueError(f"an alias of node {first}, which no line above defines")
            self._own(first, [str(address)])
            self.addresses[first].append(str(address))
            return
        count = _number(fields[2], "count", 1, MAX_NODE_ID)
        last = first + count - 1
        if last > MAX_NODE_ID:
            raise ValueError(
                f"{count} nodes from {first} on end at {last}, but the highest id is {MAX_NODE_ID}"
            )
        if int(address) + count - 1 > _LAST_ADDRESS:
            raise ValueError(f"{count} addresses from {address} on go past 255.255.255.255")
        taken = next((node for node in range(first, last + 1) if node in self.addresses), None)
        if taken is not None:
            raise ValueError(f"node {taken} is in line {self._lines[taken]} already")
        hosts = [str(address + offset) for offset in range(count)]
        self._own(first, hosts)
        for node, host in zip(range(first, last + 1), hosts, strict=True):
            self.addresses[node] = [host]
            self._lines[node] = line
        if fields[1] != str(address):
            self.names[first] = fields[1]

    def _address(self, text: str) -> ipaddress.IPv4Address:
        try:
            return ipaddress.IPv4Address(text)
        except ValueError:
            if all(part.isdigit() for part in text.split(".")):
                raise ValueError(f"{text} is no IPv4 address") from None
        try:
            return ipaddress.IPv4Address(self._resolve(text))
        except (OSError, ValueError) as error:
            raise ValueError(f"the host {text} has no IPv4 address: {error}") from None

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
