"""A member of kinship as a node: its name is the node id, and its metadata has the node name and ports."""

from __future__ import annotations

import re
from typing import Final

import kinship

from gomd.cluster.summaries import Address
from libgomd.model import MAX_NODE_ID
from libgomd.wire.addresses import parse_host
from libgomd.wire.messages import MAX_NAME

_MAX_PORT: Final = 65535
_NUMBER: Final = re.compile(r"[0-9]{1,5}")
#: The names of one node: its id, and before it as many zeros as it has moved.
_NAME: Final = re.compile(r"0{0,7}([0-9]{1,5})")
#: How many names a node has; it has them in turn.
NAMES: Final = 8


def name_of(node: int, moves: int) -> str:
    """
    Return the name of a node in kinship.

    :param moves: how many times its address has changed since its daemon was started. kinship gives a name to
        no other address for half a minute, whatever its `dead_reclaim` is: so each address has another name.
    """
    return "0" * (moves % NAMES) + str(node)


def parse_id(name: str) -> int | None:
    """Return the node id that a member name stands for, None if it is not an id."""
    number = int(name) if _NAME.fullmatch(name) else 0
    return number if 0 < number <= MAX_NODE_ID else None


class SwimMember:
    """
    One other node, as kinship knows it.

    :ivar epoch: which start of its kinship. :ivar kin: its name there.
    :ivar address: its address for datagrams.
    :ivar stream_port: its TCP port, 0 for none.
    :ivar gone: when it left or was declared down, None while it is up.
    :ivar suspected: when it was suspected, None while it is not.
    :ivar accuser: id of the node whose probes it did not answer, 0 where that is not known.
    """

    __slots__ = ("accuser", "address", "epoch", "gone", "id", "kin", "name", "stream_port", "suspected")

    def __init__(
        self, node: int, name: str, address: Address, stream_port: int, epoch: int, kin: str = ""
    ) -> None:
        self.id = node
        self.name = name
        self.address = address
        self.stream_port = stream_port
        self.epoch = epoch
        self.kin = kin or str(node)
        self.gone: float | None = None
        self.suspected: float | None = None
        self.accuser = 0


def host_of(place: str) -> str:
    """Return the host in kinship's ``HOST:PORT`` or ``[HOST]:PORT``; empty if it is no address."""
    try:
        return str(parse_host(place.rpartition(":")[0].removeprefix("[").removesuffix("]")))
    except ValueError:
        return ""


def parse_member(member: kinship.Member) -> SwimMember | None:
    """Return the node of ``member``, None if it is not a gomd daemon."""
    node, name, host = parse_id(member.name), member.meta.get("name", ""), host_of(member.addr)
    port, stream = member.meta.get("port", ""), member.meta.get("stream", "")
    good_name = name.isprintable() and " " not in name and 0 < len(name.encode()) <= MAX_NAME
    if node is None or not good_name or not host or not all(map(_NUMBER.fullmatch, (port, stream))):
        return None
    if not 0 < int(port) <= _MAX_PORT or int(stream) > _MAX_PORT:
        return None
    return SwimMember(node, name, (host, int(port)), int(stream), member.epoch, member.name)
