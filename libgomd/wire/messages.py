"""
What nodes tell each other in datagrams: one class a kind, with its units and its bounds.

These are values only; `libgomd.wire.datagrams` makes packets of them. They are named tuples and not
dataclasses because a node of a thousand builds a thousand heartbeats a second, and a named tuple of
this size is made five times faster than a frozen dataclass. docs/wire.md has every byte.
"""

from __future__ import annotations

import enum
import math
from typing import Final, NamedTuple

from libgomd.model import Node, Status

#: Longest packet, in bytes: with IP and UDP headers it still fits any link without fragments.
MAX_PACKET: Final = 1200
#: Every number on the wire is below this, so that languages whose numbers are doubles can take part.
MAX_NUMBER: Final = 2**53 - 1
#: Shortest question, in bytes of its packet. Whatever is answered fits into it, cut if need be.
MIN_ROOM: Final = 256
#: Longest name of a node, and longest reason, in bytes of UTF-8.
MAX_NAME: Final = 63
MAX_REASON: Final = 200
#: Longest path in a question, in bytes of UTF-8.
MAX_QUESTION_PATH: Final = 256
#: Most members told of in one packet: they fill it, whatever their numbers.
MAX_NOTES: Final = 36
#: Bytes of an answer's packet that are not its data, at most.
ANSWER_OVERHEAD: Final = 101


#: Largest values of a node on the wire.
_U32: Final = 2**32 - 1
_U16: Final = 2**16 - 1
_STATUS: Final = 2**16 - 1
#: Largest speed in a heartbeat; see `TrueSpeed`.
MAX_HEARTBEAT_SPEED: Final = _U16

Number = int | None


def sent_values(node: Node) -> tuple[Number, Number, Number, Number, Number, Number, Number]:
    """
    Return load, speed, cpus, util, mem, rmem and tmem of ``node`` as they can be sent.

    This is the one place that makes a node's numbers fit, so that a wrong one costs that value alone and
    never the packet: a load that is too high is the highest there is, all else outside its range is None.
    """
    load = node.load if node.load is None or node.load <= _U32 else _U32
    return (
        _fits(load, _U32), _fits(node.speed, _U32), _fits(node.cpus, _U16), _fits(node.util, _U32),
        _fits(node.mem, MAX_NUMBER), _fits(node.rmem, MAX_NUMBER), _fits(node.tmem, MAX_NUMBER),
    )  # fmt: skip


def milliseconds(age: float | None) -> int | None:
    """Return an age of some seconds as it can be sent; None when it is not known."""
    if age is None or not math.isfinite(age):
        return None
    return round(min(MAX_NUMBER, max(0.0, age * 1000)))


def _fits(value: int | None, highest: int) -> int | None:
    return value if type(value) is int and 0 <= value <= highest else None


class MemberState(enum.IntEnum):
    """What a node says about another one."""

    UP = 1
    SUSPECT = 2
    DOWN = 3
    LEFT = 4
    #: Two nodes use this id; the note tells of the one that came second.
    CONFLICT = 5


class MemberNote(NamedTuple):
    """
    One member as the sender knows it.

    :ivar node: its id. :ivar state: what the sender holds it for.
    :ivar instance: which start of its daemon; ``incarnation`` how often that one has refuted a suspicion.
    :ivar address: IPv4 address and ``port`` UDP port its peers reach it at.
    """

    node: int
    state: MemberState
    instance: int
    incarnation: int
    port: int
    address: str


class Heartbeat(NamedTuple):
    """
    I am up, and these are my values.

    :ivar incarnation: how often this instance has refuted a suspicion.
    :ivar port: UDP port of the sender's peers; ``stream_port`` TCP port, 0 for none.
    :ivar status: bits of `Status`.
    :ivar sampled: milliseconds since the values were measured; the values as in `Node`, None unknown.
    :ivar announce: answer me at once with a heartbeat of yours: I am new here, or I look for lost nodes.
    :ivar address: IPv4 address its peers reach it at.
    :ivar notes: what it holds of some members, at most `MAX_NOTES`.
    """

    incarnation: int
    port: int
    stream_port: int
    status: int
    sampled: int | None
    load: int | None
    speed: int | None
    cpus: int | None
    util: int | None
    mem: int | None
    rmem: int | None
    tmem: int | None
    announce: bool
    name: str
    address: str
    notes: tuple[MemberNote, ...] = ()


class TrueSpeed(NamedTuple):
    """
    My speed, which is more than a heartbeat's 16 bits say.

    It is sent beside heartbeats whose speed is 65535. A daemon that does not know this kind drops it.
    """

    speed: int


class Leave(NamedTuple):
    """I stop now, cleanly. ``reason`` is for people, may be empty."""

    incarnation: int
    reason: str = ""


class Probe(NamedTuple):
    """
    Are you there?

    :ivar request_id: random; comes back in the ack.
    :ivar target: id of the node it is for, 0 for whoever gets it. Another one does not answer.
    """

    request_id: int
    target: int = 0


class ProbeAck(NamedTuple):
    """
    The answer to a probe, or to a request to probe.

    Its request id proves that it is fresh, so the time it was sent shows a wrong clock for sure.

    :ivar node: the node that was to be probed, with the ``instance`` and ``incarnation`` it answered
        with; both 0 when it did not answer.
    :ivar reached: whether it answered. False comes from a helper only: it is there, the node is not.
    """

    request_id: int
    node: int
    instance: int
    incarnation: int
    reached: bool = True


class IndirectProbe(NamedTuple):
    """Probe ``target`` at ``address`` and ``port`` for me, and tell me how it went, with my request id."""

    request_id: int
    target: int
    port: int
    address: str


class Notice(NamedTuple):
    """
    News about a node, and who says so.

    :ivar state: UP refutes a suspicion; CONFLICT says that a second node uses the id.
    :ivar node: id of the node it is about, with the instance and incarnation that are meant.
    :ivar by: id of the node that found it out, which may not be the sender.
    :ivar reason: why, a sentence for a person.
    """

    state: MemberState
    node: int
    instance: int
    incarnation: int
    by: int
    reason: str = ""


class Roster(NamedTuple):
    """
    Members by the packetful, for one that is new.

    :ivar total: how many the sender knows in all. :ivar notes: some of them.
    """

    total: int
    notes: tuple[MemberNote, ...] = ()


class Question(NamedTuple):
    """
    What does this path of your tree say, or, without a path, how are you?

    :ivar request_id: random; comes back in the answer.
    :ivar path: a path of the tree, or empty for a `Summary`.
    :ivar node: with an empty path: the node the summary is of, 0 for the one that is asked.
    :ivar target: id of the node it is for, 0 for whoever gets it. Another one does not answer.
    :ivar room: bytes of its packet, `MIN_ROOM` to `MAX_PACKET`: it is padded to that length (or one byte
        more, where CBOR has no such length), and no answer is longer than the question was.
    """

    request_id: int
    path: str = ""
    node: int = 0
    target: int = 0
    room: int = MIN_ROOM


class Answer(NamedTuple):
    """
    What a path of the tree says, or why not.

    :ivar code: of the line protocol: 200, or an error whose text is the data, in UTF-8.
    :ivar size: bytes of the whole data; more than there are here when it was cut to the room.
    """

    request_id: int
    code: int
    size: int
    data: bytes

    @property
    def truncated(self) -> bool:
        """Whether the data had to be cut; ask with more room, or by the stream."""
        return self.size > len(self.data)

    @classmethod
    def to(cls, question: Question, code: int, data: bytes) -> Answer:
        """Return the answer to ``question``, its data cut to what the question has room for."""
        return cls(question.request_id, code, len(data), data[: question.room - ANSWER_OVERHEAD])


class Summary(NamedTuple):
    """
    How a node is: the answer to a question without a path.

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
        """Return the node that this tells of."""
        age = None if self.age is None else self.age / 1000
        return Node(
            self.id, self.name, self.address, Status(self.status), self.load, self.speed, self.cpus,
            self.util, self.mem, self.rmem, self.tmem, age,
        )  # fmt: skip


class ClockWarning(NamedTuple):
    """
    Your clock or mine is wrong: your packet was more than 30 s off when I got it.

    :ivar instance: the receiver's instance, ``sequence`` and ``sent_at`` (ms) those of its packet: one
        that it did send just now, so the warning is no replay.
    :ivar name: the name of the node that warns, for people.
    """

    instance: int
    sequence: int
    sent_at: int
    name: str


class ReplayWarning(NamedTuple):
    """
    All I get from you has come before: your numbers went back, go on with higher ones.

    :ivar instance: the receiver's instance, ``sequence`` the number of its packet that came last.
    :ivar highest: the highest number that ever came from this instance, 0 when it is not known any more.
    :ivar name: the name of the node that warns, for people.
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
)


class Datagram(NamedTuple):
    """
    A message and who sent it when.

    :ivar sender: the node's id; 0 for a program that is no node, which may only ask and probe.
    :ivar instance: which start of it: milliseconds since the epoch for a node, random for a program.
        A node's later start has the higher number.
    :ivar sent_at: milliseconds since the epoch by the sender's clock.
    :ivar sequence: 1, 2, 3 ... over everything this instance sends, to whomever; now and then it leaps.
    """

    sender: int
    instance: int
    sent_at: int
    sequence: int
    message: Message
