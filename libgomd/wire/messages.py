"""
The messages between nodes: one class for each kind, with units and bounds.

Those about the members of the cluster are in `libgomd.wire.member_messages` and imported from here too.
These are values only; `libgomd.wire.datagrams` makes packets of them. They are named tuples instead of
dataclasses because a node of a cluster of a thousand handles hundreds of heartbeats a second, and a named
tuple of this size is created five times faster. docs/wire.md describes every byte.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from libgomd.model import Node, Status
from libgomd.wire.member_messages import MAX_ADDRESSES as MAX_ADDRESSES
from libgomd.wire.member_messages import MAX_NOTES as MAX_NOTES
from libgomd.wire.member_messages import MAX_NOTES_IPV6 as MAX_NOTES_IPV6
from libgomd.wire.member_messages import Addresses as Addresses
from libgomd.wire.member_messages import Heartbeat as Heartbeat
from libgomd.wire.member_messages import IndirectProbe as IndirectProbe
from libgomd.wire.member_messages import Leave as Leave
from libgomd.wire.member_messages import MemberNote as MemberNote
from libgomd.wire.member_messages import MemberState as MemberState
from libgomd.wire.member_messages import Notice as Notice
from libgomd.wire.member_messages import Probe as Probe
from libgomd.wire.member_messages import ProbeAck as ProbeAck
from libgomd.wire.member_messages import Roster as Roster
from libgomd.wire.member_messages import TrueSpeed as TrueSpeed

#: Maximum size of a packet, in bytes. With IP and UDP headers it fits any link without fragmentation.
MAX_PACKET: Final = 1200
#: Highest number on the wire, so that languages whose numbers are doubles can implement the protocol.
MAX_NUMBER: Final = 2**53 - 1
#: Minimum size of the packet of a question, in bytes. Any answer fits into it, if necessary cut.
MIN_ROOM: Final = 256
#: Maximum length of a node name and of a reason, in bytes of UTF-8.
MAX_NAME: Final = 63
MAX_REASON: Final = 200
#: Maximum length of a path in a question, in bytes of UTF-8.
MAX_QUESTION_PATH: Final = 256
#: Maximum number of bytes of an answer's packet besides its data.
ANSWER_OVERHEAD: Final = 101


#: Highest values of a node on the wire.
_U32: Final = 2**32 - 1
_U16: Final = 2**16 - 1
_STATUS: Final = 2**16 - 1
#: Highest speed in a heartbeat; see `TrueSpeed`.
MAX_HEARTBEAT_SPEED: Final = _U16

Number = int | None


def sent_values(node: Node) -> tuple[Number, Number, Number, Number, Number, Number, Number]:
    """
    Return load, speed, cpus, util, mem, rmem and tmem of ``node``, limited to what can be sent.

    This is the only place that limits the values of a node, so that a wrong value costs that value only and
    not the packet. A load that is too high becomes the highest one; other values out of range become None.
    """
    load = node.load if node.load is None or node.load <= _U32 else _U32
    return (
        _fits(load, _U32), _fits(node.speed, _U32), _fits(node.cpus, _U16), _fits(node.util, _U32),
        _fits(node.mem, MAX_NUMBER), _fits(node.rmem, MAX_NUMBER), _fits(node.tmem, MAX_NUMBER),
    )  # fmt: skip


def milliseconds(age: float | None) -> int | None:
    """Return an age in seconds as milliseconds, limited to what can be sent; None if it is unknown."""
    if age is None or not math.isfinite(age):
        return None
    return round(min(MAX_NUMBER, max(0.0, age * 1000)))


def _fits(value: int | None, highest: int) -> int | None:
    return value if type(value) is int and 0 <= value <= highest else None


class Question(NamedTuple):
    """
    Asks for the content of a path of the tree or, without a path, for the values of a node.

    :ivar request_id: random; repeated in the answer.
    :ivar path: a path of the tree, or empty for a `Summary`.
    :ivar node: with an empty path: the node to summarise, 0 for the receiver.
    :ivar target: id of the node that must answer, 0 for any receiver. Other nodes do not answer.
    :ivar room: size of its packet in bytes, `MIN_ROOM` to `MAX_PACKET`. The packet is padded to it (or to one
        byte more, where CBOR has no such length), and no answer is longer than its question.
    """

    request_id: int
    path: str = ""
    node: int = 0
    target: int = 0
    room: int = MIN_ROOM


class Answer(NamedTuple):
    """
    The content of a path of the tree, or an error.

    :ivar code: a code of the line protocol: 200, or an error whose text is the data, in UTF-8.
    :ivar size: size of the whole content in bytes, which exceeds that of ``data`` if it was cut to the room.
    """

    request_id: int
    code: int
    size: int
    data: bytes

    @property
    def truncated(self) -> bool:
        """Whether the data was cut. Ask again with more room, or over a stream."""
        return self.size > len(self.data)

    @classmethod
    def to(cls, question: Question, code: int, data: bytes) -> Answer:
        """Return the answer to ``question``, with the data cut to the room of the question."""
        return cls(question.request_id, code, len(data), data[: question.room - ANSWER_OVERHEAD])


class Summary(NamedTuple):
    """
    The values of a node: the answer to a question without a path.

    :ivar age: milliseconds since its values were measured, at the time of sending.
    """

    request_id: int
    id: int
    status: int
    age: int | None
    load: int | None
    speed: int | None
    cpus: int | None
    util: int | None
    mem: int | None
    rmem: int | None
    tmem: int | None
    name: str
    address: str

    @classmethod
    def of(cls, request_id: int, node: Node) -> Summary:
        """Return ``node`` as the answer to the question ``request_id``."""
        return cls(
            request_id, node.id, int(node.status) & _STATUS, milliseconds(node.age), *sent_values(node),
            node.name, node.address,
        )  # fmt: skip

    def to_node(self) -> Node:
        """Return the node with these values."""
        age = None if self.age is None else self.age / 1000
        return Node(
            self.id, self.name, self.address, Status(self.status), self.load, self.speed, self.cpus,
            self.util, self.mem, self.rmem, self.tmem, age,
        )  # fmt: skip


class ClockWarning(NamedTuple):
    """
    A packet of the receiver was more than 30 s off, so its clock or the sender's is wrong.

    :ivar instance: the receiver's instance. ``sequence`` and ``sent_at`` (in ms) are those of its packet. The
        receiver sent it just now, which proves that the warning is not a replay.
    :ivar name: name of the node that warns, for people.
    """

    instance: int
    sequence: int
    sent_at: int
    name: str


class ReplayWarning(NamedTuple):
    """
    All packets of the receiver are replays: its sequence numbers went back, and it must use higher ones.

    :ivar instance: the receiver's instance. :ivar sequence: the number of its last packet.
    :ivar highest: the highest number received from this instance, 0 if it was forgotten.
    :ivar name: name of the node that warns, for people.
    """

    instance: int
    sequence: int
    highest: int
    name: str


Message = (
    Heartbeat
    | Leave
    | Question
    | Answer
    | Summary
    | Probe
    | ProbeAck
    | IndirectProbe
    | Notice
    | Roster
    | ClockWarning
    | ReplayWarning
    | TrueSpeed
    | Addresses
)


class Datagram(NamedTuple):
    """
    A message with its envelope.

    :ivar sender: id of the sending node; 0 for a program that is not a node, which may only ask and probe.
    :ivar instance: which start of the sender: milliseconds since the epoch for a node, random for a program.
        A later start of a node has a higher number.
    :ivar sent_at: milliseconds since the epoch on the sender's clock.
    :ivar sequence: number of the datagram, 1, 2, 3 ... over all receivers; it may skip numbers.
    """

    sender: int
    instance: int
    sent_at: int
    sequence: int
    message: Message
