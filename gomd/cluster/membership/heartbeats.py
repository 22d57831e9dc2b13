"""What this node tells others of itself and of the members it knows, and whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final

from gomd.cluster.membership.member import NEVER, Member
from gomd.cluster.membership.settings import FAN_OUT, MOST_HEARD, Settings, Timing
from gomd.cluster.membership.table import Members
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.model import Node, Status
from libgomd.wire.messages import (
    MAX_HEARTBEAT_SPEED,
    MAX_NOTES,
    Heartbeat,
    MemberNote,
    Message,
    Notice,
    Roster,
    TrueSpeed,
    milliseconds,
    sent_values,
)  # fmt: skip

#: Notes in a heartbeat that goes out directly: what one node missed, it learns from the others'.
_NOTES: Final = 4
#: By what share of itself an interval differs from its length, so that nodes do not beat in step. Nobody
#: is missed for one long interval, and where there are many nodes their heartbeats must not come at once.
_SPREAD: Final = 0.05
_WIDE_SPREAD: Final = 0.25
#: Peers to whom news heard from another one are passed on, where nobody tells all at once. With 6, one
#: in 400 is left out (e^-6), and learns it from the notes.
_PASS_ON: Final = 6
#: More answers than this at one moment overflow the receive buffer of the one who asked.
_AT_ONCE: Final = 64
#: Heartbeats of which one has the true speed beside it: it hardly ever changes.
_SPEED_EVERY: Final = 4
#: Members that are new and not yet told of, at most.
_NEWCOMERS: Final = 1024


class Heartbeats:
    """
    Everything this node says without having been asked, and its answers to those who are new.

    A peer that hears our multicast gets nothing else. Whether one does is told from whether we hear
    its: where there is none (``discovery`` off, another network, a switch that eats it) it gets its
    heartbeats directly, all of them while they are at most `FAN_OUT`, else `FAN_OUT` in turn.

    :ivar incarnation: how often this node has refuted a suspicion.
    """

    def __init__(
        self,
        own: Callable[[], Node],
        transport: IPeerTransport,
        members: Members,
        random: Random,
        settings: Settings,
        timing: Timing,
    ) -> None:
        self._own = own
        self._transport = transport
        self._members = members
        self._random = random
        self._settings = settings
        self._timing = timing
        self.incarnation = 0
        self._deaf: list[Member] = []
        self._turn = 0
        self._noted = 0
        self._newcomers: list[Member] = []
        self._next_multicast = self._next_direct = 0.0
        self._multicasts = 0

    @property
    def name(self) -> str:
        """The name of this node."""
        return self._own().name

    def heartbeat(self, announce: bool = False, notes: tuple[MemberNote, ...] = ()) -> Heartbeat:
        """Return what this node says of itself now; one that keeps quiet says none of its values."""
        node = self._own()
        status = int(node.status | Status.CONFIGURED | Status.UP)
        settings, name = self._settings, node.name
        if node.status & Status.QUIET:
            return Heartbeat(
                self.incarnation, settings.port, settings.stream_port, status, None, None, None, None, None,
                None, None, None, announce, name, node.address, notes,
            )  # fmt: skip
        load, speed, *others = sent_values(node)
        if speed is not None:
            speed = min(speed, MAX_HEARTBEAT_SPEED)
        return Heartbeat._make(
            (
                self.incarnation, settings.port, settings.stream_port, status & 0xFFFF,
                milliseconds(node.age), load, speed, *others, announce, name, node.address, notes,
            )
        )  # fmt: skip

    def true_speed(self) -> TrueSpeed | None:
        """Return this node's speed when a heartbeat cannot say it; None when it can, or must not."""
        node = self._own()
        speed = sent_values(node)[1]
        if speed is None or speed <= MAX_HEARTBEAT_SPEED or node.status & Status.QUIET:
            return None
        return TrueSpeed(speed)

    def _send(self, message: Heartbeat, addresses: Sequence[Address]) -> None:
        """Send a heartbeat out of turn, and what it has no room for."""
        self._transport.send(message, addresses)
        if (speed := self.true_speed()) is not None:
            self._transport.send(speed, addresses)

    # -- to everybody

    @property
    def _direct(self) -> list[Member]:
        """Who has to be told directly."""
        return self._deaf if self._settings.discovery else self._members.up

    def look(self, now: float) -> None:
        """Find out anew who does not hear our multicast. Once a heartbeat."""
        if self._settings.discovery:
            beat = self._timing.beat(self._members.count)
            # Where any is heard, who came up lately is given the time to be.
            works = any(each.multicast >= now - beat for each in self._members.up)
            self._deaf = [
                each
                for each in self._members.up
                if each.multicast < now - 3 * beat and not (works and each.since >= now - 2 * beat)
            ]

    def interval(self) -> float:
        """Seconds between two heartbeats to the same peer."""
        nodes = self._members.count
        if not self._direct:
            return self._timing.beat(nodes)
        return max(self._timing.beat(nodes), self._timing.heartbeat * len(self._direct) / FAN_OUT)

    def begin(self, now: float) -> None:
        """Send the first heartbeats within one heartbeat from now, but not all that start now at once."""
        self._next_multicast = self._next_direct = now + self._timing.heartbeat * self._random.uniform(0.2, 1)

    def beat(self, now: float) -> None:
        """Send the heartbeats that are due. Once a tick."""
        usual = self._timing.heartbeat
        # The next one is due from when this one was: the tick adds no delay, and a gap is not made up for.
        if self._settings.discovery and now >= self._next_multicast:
            self._transport.multicast(self.heartbeat())
            self._multicasts += 1
            if self._multicasts % _SPEED_EVERY == 1 and (speed := self.true_speed()) is not None:
                self._transport.multicast(speed)
            wait = self._timing.beat(self._members.count)
            spread = _SPREAD if wait <= usual else _WIDE_SPREAD
            wait *= self._random.uniform(1 - spread, 1 + spread)
            self._next_multicast = max(self._next_multicast + wait, now)
        if now >= self._next_direct:
            wait = usual * self._random.uniform(1 - _SPREAD, 1 + _SPREAD)
            self._next_direct = max(self._next_direct + wait, now)
            direct = self._direct
            if direct:
                first = self._turn % len(direct)
                some = (direct[first:] + direct[:first])[:FAN_OUT]
                self._turn = first + len(some)
                message = self.heartbeat(notes=self._some_notes())
                addresses = [each.address for each in some]
                self._transport.send(message, addresses)
                # Each peer is met in turn, so chance chooses which of them is told this time.
                speed = self.true_speed()
                if speed is not None and self._random.random() * _SPEED_EVERY < 1:
                    self._transport.send(speed, addresses)

    def _some_notes(self) -> tuple[MemberNote, ...]:
        up = self._members.up
        first = self._noted % max(1, len(up))
        self._noted = first + _NOTES
        return tuple(each.note() for each in up[first : first + _NOTES])

    def wide(self, message: Message, most: int = FAN_OUT) -> None:
        """Tell everybody who can be told at once, at most ``most`` of them directly."""
        if self._settings.discovery:
            self._transport.multicast(message)
        self._to_some(message, self._direct, most)

    def forward(self, notice: Notice) -> None:
        """Pass on news where whoever brought them could not tell all."""
        if len(self._direct) > FAN_OUT:
            self._to_some(notice, self._direct, _PASS_ON)

    def _to_some(self, message: Message, members: Sequence[Member], most: int) -> None:
        chosen = members if len(members) <= most else self._random.sample(members, most)
        if chosen:
            self._transport.send(message, [each.address for each in chosen])

    # -- to those who are new, or may be there

    def announce(self, addresses: Sequence[Address], multicast: bool) -> None:
        """Ask everybody, or those at ``addresses``, to answer."""
        if not (multicast or addresses):
            return
        message = self.heartbeat(announce=True)
        if multicast and self._settings.discovery:
            self._transport.multicast(message)
        if addresses:
            self._send(message, addresses)

    def contact(self, addresses: Sequence[Address], again: bool = False) -> None:
        """Show this node to those it heard of; the second time, ask for an answer but for no roster."""
        if addresses:
            self._send(self.heartbeat(again, self._some_notes()), addresses)

    def answer(self, member: Member, multicast: bool, knows: bool, now: float) -> float:
        """
        Answer one who announced itself; who did so directly is told of all others as well.

        :param knows: it knows others already, and needs no roster.

        :returns: seconds after which it is to be answered with `introduce`, 0 when it is not.
        """
        nodes = self._members.count
        if multicast and nodes >= MOST_HEARD:
            return 0.0  # the next heartbeat is as soon as an answer could be
        if multicast and nodes > _AT_ONCE:
            return self._random.random() * nodes / MOST_HEARD * self._timing.heartbeat
        self.introduce(member)
        if not (multicast or knows) and now - member.rostered >= self._timing.tick / 2:
            member.rostered = now
            others = [each for each in self._members.up if each is not member]
            for roster in _rosters(len(others) + 2, others):
                self._transport.send(roster, [member.address])
        return 0.0

    def introduce(self, member: Member) -> None:
        """Tell one member how this node is."""
        self._send(self.heartbeat(), [member.address])

    def newcomer(self, member: Member, announced: bool = False) -> None:
        """
        Tell others of it with the next tick, if there is no multicast to tell them.

        :param announced: it announced itself to this node directly, as to a seed.
        """
        if (announced or not self._settings.discovery) and len(self._newcomers) < _NEWCOMERS:
            self._newcomers.append(member)

    def tell_of_newcomers(self) -> None:
        """Tell of those who came since the last tick. Once a tick."""
        newcomers, self._newcomers = self._newcomers, []
        if self._settings.discovery:
            # Until one of theirs is heard by multicast, which may be the next moment, they are told directly.
            newcomers = [each for each in newcomers if each.multicast == NEVER]
            self._deaf = [*self._deaf, *newcomers]
        if newcomers and self._direct:
            for roster in _rosters(self._members.count + 1, newcomers):
                self._to_some(roster, self._direct, _PASS_ON)


def _rosters(total: int, members: Sequence[Member]) -> Iterator[Roster]:
    for first in range(0, len(members), MAX_NOTES):
        yield Roster(total, tuple(each.note() for each in members[first : first + MAX_NOTES]))
