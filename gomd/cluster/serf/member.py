"""
A member of Serf as a claim: its tags say which node it is.

Nothing in it is believed before the node proves it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from gomd.cluster.summaries import Address
from libgomd.model import MAX_NODE_ID
from libgomd.node_names import is_node_name
from libgomd.wire.text import printable_bytes

#: The tags that gomd sets. `docs/serf.md` lists them.
ID_TAG: Final = "gomd_id"
NAME_TAG: Final = "gomd_name"
ADDRESS_TAG: Final = "gomd_addr"
PORT_TAG: Final = "gomd_port"
STREAM_TAG: Final = "gomd_stream"
START_TAG: Final = "gomd_start"
KEY_TAG: Final = "gomd_key"
TAGS: Final = (ID_TAG, NAME_TAG, ADDRESS_TAG, PORT_TAG, STREAM_TAG, START_TAG, KEY_TAG)
#: Addresses that one node may have: one of IPv4 and one of IPv6.
MAX_ADDRESSES: Final = 2
#: Maximum bytes of a member's name in Serf: 128 are allowed there.
_MAX_MEMBER_NAME: Final = 128
_NUMBER: Final = re.compile(r"[0-9]{1,5}")
_INSTANCE: Final = re.compile(r"[0-9]{1,16}")
_KEY: Final = re.compile(r"[0-9a-f]{16}")
#: What Serf says of a member, and no other words.
_STATUSES: Final = frozenset({"alive", "leaving", "left", "failed", "none"})


class NodeClaim(NamedTuple):
    """
    What the tags of a member say.

    :ivar addresses: IP addresses, the preferred one first. :ivar port: UDP port of questions.
    :ivar stream_port: TCP port, 0 for none. :ivar start: ms since the epoch when its daemon was started.
    :ivar key: the public id of its cluster key in hexadecimal.
    """

    id: int
    name: str
    addresses: tuple[str, ...]
    port: int
    stream_port: int
    start: int
    key: str

    def places(self) -> Sequence[Address]:
        """Return where it can be asked."""
        return [(host, self.port) for host in self.addresses]


class Heard(NamedTuple):
    """
    One member of Serf.

    :ivar member: its name in Serf. :ivar status: ``alive``, ``leaving``, ``left``, ``failed`` or ``none``.
    :ivar host: the address of its agent. :ivar claim: None when its tags do not say which node it is.
    """

    member: str
    status: str
    host: str
    claim: NodeClaim | None


def tags_of(claim: NodeClaim) -> dict[str, str]:
    """Return the tags that make ``claim``."""
    return {
        ID_TAG: str(claim.id), NAME_TAG: claim.name, ADDRESS_TAG: ",".join(claim.addresses),
        PORT_TAG: str(claim.port), STREAM_TAG: str(claim.stream_port), START_TAG: str(claim.start),
        KEY_TAG: claim.key,
    }  # fmt: skip


def parse_member(found: object) -> Heard | None:
    """Return the member in a decoded object of the RPC; None if it has no name or no status of Serf's."""
    if not isinstance(found, dict):
        return None
    name, status = found.get(b"Name"), _text(found.get(b"Status"))
    if not isinstance(name, bytes) or not 0 < len(name) <= _MAX_MEMBER_NAME or status not in _STATUSES:
        return None
    host = _host(found.get(b"Addr"))
    return Heard(printable_bytes(name), status, host, _claim(found.get(b"Tags"), host))


def _claim(tags: object, host: str) -> NodeClaim | None:
    if not isinstance(tags, dict):
        return None
    said = {tag: _text(tags.get(tag.encode())) for tag in TAGS}
    numbers = said[ID_TAG], said[PORT_TAG], said[STREAM_TAG]
    if not all(map(_NUMBER.fullmatch, numbers)) or not _INSTANCE.fullmatch(said[START_TAG]):
        return None
    node, port, stream_port = map(int, numbers)
    addresses = _addresses(said[ADDRESS_TAG] or host)
    if not (0 < node <= MAX_NODE_ID and 0 < port <= 65535 and stream_port <= 65535 and addresses):
        return None
    if not is_node_name(said[NAME_TAG]) or (said[KEY_TAG] and not _KEY.fullmatch(said[KEY_TAG])):
        return None
    return NodeClaim(
        node, said[NAME_TAG], addresses, port, stream_port, int(said[START_TAG]), said[KEY_TAG]
    )  # fmt: skip


def _addresses(text: str) -> tuple[str, ...]:
    """Return the addresses of single nodes in a comma-separated list; none if one of them is not."""
    found = []
    for item in text.split(",")[: MAX_ADDRESSES + 1]:
        try:
            address = ipaddress.ip_address(item)
        except ValueError:
            return ()
        if address.is_multicast or address.is_unspecified or (address.is_reserved and address.version == 4):
            return ()
        found.append(str(address))
    return tuple(found) if len(found) <= MAX_ADDRESSES else ()


def _host(value: object) -> str:
    """Return the address in 4 or 16 bytes as text; empty if it is none."""
    if not isinstance(value, bytes):
        return ""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _text(value: object) -> str:
    """Return a tag's text; empty if it is missing, no text, or not ASCII."""
    if not isinstance(value, bytes):
        return ""
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        return ""
