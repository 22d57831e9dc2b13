"""Parses openMosix's node map, ``/proc/hpc/admin/config``: binary ranges of ids and addresses."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from libgomd.errors import SourceUnavailable
from libgomd.model import MAX_NODE_ID

#: int32 first id; sockaddr_in (u16 family, u16 port, address, 8 zero bytes); int32 count.
#: Packed, little endian: openMosix ran on i386.
_RECORD: Final = struct.Struct("<iHH4s8xi")
_AF_INET: Final = 2
_LAST_ADDRESS: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class KernelNodeRange:
    """
    One line of openmosix.map: ``first address count``.

    :ivar first: the lowest node id of the range, 1..65535.
    :ivar address: the address of that node; each further node has the next address.
    :ivar count: number of nodes; 0 for an ALIAS, a further address of node ``first``.
    """

    first: int
    address: ipaddress.IPv4Address
    count: int

    def __post_init__(self) -> None:
        last = max(self.count - 1, 0)
        if self.count < 0 or self.first < 1 or self.first + last > MAX_NODE_ID:
            raise ValueError(f"ids {self.first} to {self.first + last} are not within 1 to {MAX_NODE_ID}")
        if int(self.address) + last > _LAST_ADDRESS:
            raise ValueError(f"{self.count} addresses from {self.address} on do not fit IPv4")


def decode_map(data: bytes) -> tuple[KernelNodeRange, ...]:
    """
    Return the ranges in ``data``, the bytes of ``/proc/hpc/admin/config``, in their order.

    :raises SourceUnavailable: for bytes that are no such array, and nothing else.
    """
    if len(data) % _RECORD.size:
        raise SourceUnavailable(f"the node map has {len(data)} bytes, which is no multiple of {_RECORD.size}")
    ranges = []
    for number, (first, family, _port, address, count) in enumerate(_RECORD.iter_unpack(data), 1):
        if family != _AF_INET:
            raise SourceUnavailable(f"record {number} of the node map has address family {family}, not IPv4")
        try:
            ranges.append(KernelNodeRange(first, ipaddress.IPv4Address(address), count))
        except ValueError as error:
            raise SourceUnavailable(f"record {number} of the node map: {error}") from error
    return tuple(ranges)


def address_of(ranges: Sequence[KernelNodeRange], node: int) -> str | None:
    """
    Return the address of a node; None if the node is not in the map.

    An alias is not a node of its own, and its address is never returned: the range with the id decides.
    """
    for one in ranges:
        if one.first <= node < one.first + one.count:
            return str(one.address + (node - one.first))
    return None
