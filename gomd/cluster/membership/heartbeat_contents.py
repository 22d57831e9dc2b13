"""What heartbeats say of this node, and notes and rosters of other members. Pure: values become messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gomd.cluster.membership.member import Member
from gomd.cluster.membership.settings import Settings
from libgomd.model import Node, Status
from libgomd.wire.addresses import is_ipv6, without_zone
from libgomd.wire.messages import (
    MAX_HEARTBEAT_SPEED,
    MAX_NOTES,
    MAX_NOTES_IPV6,
    Addresses,
    Heartbeat,
    MemberNote,
    Roster,
    TrueSpeed,
    milliseconds,
    sent_values,
)  # fmt: skip


def heartbeat_of(
    node: Node, incarnation: int, settings: Settings, announce: bool, notes: tuple[MemberNote, ...]
) -> Heartbeat:
    """
    Return the heartbeat of ``node``, this node as of now. While it is quiet, the heartbeat has no values.

    :param incarnation: of this node, see `Heartbeats`. :param settings: have the ports that it tells.
    :param announce: whether the receivers are to answer. :param notes: of other members.
    """
    status = int(node.status | Status.CONFIGURED | Status.UP)
    if node.status & Status.QUIET:
        return Heartbeat(
            incarnation, settings.port, settings.stream_port, status, None, None, None, None, None,
            None, None, None, announce, node.name, without_zone(node.address), notes,
        )  # fmt: skip
    load, speed, *others = sent_values(node)
    if speed is not None:
        speed = min(speed, MAX_HEARTBEAT_SPEED)
    return Heartbeat._make(
        (
            incarnation, settings.port, settings.stream_port, status & 0xFFFF,
            milliseconds(node.age), load, speed, *others, announce, node.name, without_zone(node.address),
            notes,
        )
    )  # fmt: skip


def extras_of(node: Node, port: int) -> list[TrueSpeed | Addresses]:
    """
    Return what a heartbeat has no room for, for messages of their own: seldom anything.

    :param node: this node as of now. :param port: its UDP port.
    """
    found: list[TrueSpeed | Addresses] = []
    speed = sent_values(node)[1]
    if speed is not None and speed > MAX_HEARTBEAT_SPEED and not node.status & Status.QUIET:
        found.append(TrueSpeed(speed))
    if node.addresses:
        found.append(Addresses(port, tuple(map(without_zone, node.addresses))))
    return found


def notes_by_family(members: Iterable[Member]) -> tuple[list[MemberNote], list[MemberNote]]:
    """Return the notes of members with IPv4 addresses, and those with IPv6 addresses."""
    found = [note for each in members for note in each.notes()]
    return [each for each in found if not is_ipv6(each.address)], [
        each for each in found if is_ipv6(each.address)
    ]


def rosters_of(total: int, members: Sequence[Member]) -> Iterator[Roster]:
    """
    Yield the rosters of members. Those with IPv6 addresses are apart: older daemons drop such a packet.

    :param total: number of nodes that are up, as the rosters tell it.
    """
    for notes, most in zip(notes_by_family(members), (MAX_NOTES, MAX_NOTES_IPV6), strict=True):
        for first in range(0, len(notes), most):
            yield Roster(total, tuple(notes[first : first + most]))
