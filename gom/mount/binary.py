"""The binary files of openMosix's tree, made of what the verbs `nodes` and `map` answer. Pure."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from libgomd.model import MAX_SPEED, Node, NodeRange

#: What stands for a value of a node that is down (-ENETUNREACH), and of an id that no node has (-ENXIO).
DOWN, NO_NODE = -101, -6
_SIXTEEN_BITS: Final = min(MAX_SPEED, 65535)
#: A record of info/infos: load, speed, cpus, util, status, mem, rmem, tmem; 36 bytes.
_INFO: Final = struct.Struct("<IHHHHQQQ")
#: A record of admin/config: first id, address family, port, address, count; 24 bytes.
_RANGE: Final = struct.Struct("<iHH4s8xi")


def _value(name: str) -> Callable[[Node], int | None]:
    def read(node: Node) -> int | None:
        value: int | None = getattr(node, name)
        return min(value, _SIXTEEN_BITS) if name == "speed" and value is not None else value

    return read


#: Files of /proc/hpc/info with the value that their records have; each is eight bytes, signed.
INFO_VALUES: Final[Mapping[str, Callable[[Node], int | None]]] = {
    "cpus": _value("cpus"), "loads": _value("load"), "mems": _value("mem"), "rmems": _value("rmem"),
    "speeds": _value("speed"), "tmems": _value("tmem"), "utils": _value("util"),
}  # fmt: skip
INFO_FILES: Final = (*sorted((*INFO_VALUES, "infos", "stata")),)


def info_records(name: str, nodes: Sequence[Node]) -> list[bytes]:
    """Return the records of a file of /proc/hpc/info: one for each id from 1 to the highest of a node."""
    known = {node.id: node for node in nodes}
    return [_record(name, known.get(number)) for number in range(1, max(known, default=0) + 1)]


def _record(name: str, node: Node | None) -> bytes:
    if name == "infos":
        if node is None or not node.up:
            return _INFO.pack(0, 0, 0, 0, 0 if node is None else 1, 0, 0, 0)
        speed = min(node.speed or 0, _SIXTEEN_BITS)
        return _INFO.pack(
            min(node.load or 0, 0xFFFFFFFF), speed, min(node.cpus or 0, 65535), min(node.util or 0, 65535),
            int(node.status) & 0xFFFF, node.mem or 0, node.rmem or 0, node.tmem or 0,
        )  # fmt: skip
    if name == "stata":
        return struct.pack("<q", 0 if node is None else int(node.status) if node.up else 1)
    if node is None:
        return struct.pack("<q", NO_NODE)
    value = INFO_VALUES[name](node) if node.up else DOWN
    return struct.pack("<q", NO_NODE if value is None else value)


def read_records(records: Sequence[bytes], size: int, position: int) -> bytes:
    """
    Return what one read of such a file gives.

    :param position: counts nodes and not bytes, as openMosix has it: after ``lseek(fd, 4, SEEK_SET)`` a read
        begins with node 5. What is read is whole records, none when there is room for none.
    """
    if not records:
        return b""
    return b"".join(records[position : position + size // len(records[0])])


def config(ranges: Sequence[NodeRange]) -> bytes:
    """
    Return admin/config: a record for each range of nodes with consecutive ids and addresses.

    It has no room for IPv6 addresses: nodes without an IPv4 address are left out.
    """
    return b"".join(
        _RANGE.pack(each.first, socket.AF_INET, 0, socket.inet_aton(str(each.address)), each.count)
        for each in ranges
        if ":" not in each.address
    )
