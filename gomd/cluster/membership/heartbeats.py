"""Sends this node's heartbeats, announcements and rosters, and decides which peers get them directly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from gomd.cluster.membership.heartbeat_contents import (
    extras_of,
    heartbeat_of,
    notes_by_family,
    rosters_of,
)
from gomd.cluster.membership.member import NEVER, Member
from gomd.cluster.membership.settings import MAX_FANOUT, MAX_HEARTBEATS_PER_SECOND, Settings, Timing
from gomd.cluster.membership.table import Members
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.model import Node
from libgomd.wire.addresses import is_ipv6
from libgomd.wire.messages import Addresses, Heartbeat, MemberNote, Message, Notice, Roster, TrueSpeed

#: Member notes piggybacked on each direct heartbeat, so that a node learns what it missed from others.
_NOTES_PER_HEARTBEAT: Final = 4
#: Random variation of the heartbeat interval, as a share of it, so that nodes do not send in step. The
#: wide one is for large clusters, whose heartbeats must not arrive at the same moment; it is still too
#: small for a long interval to be taken for silence.
_JITTER: Final = 0.05
_WIDE_JITTER: Final = 0.25
#: Peers to which a received notice is gossiped where no single node can reach all others. With 6, one node
#: in 400 is missed (e^-6) and learns of it from piggybacked notes.
_GOSSIP_PEERS: Final = 6
#: Maximum number of nodes that answer an announcement at once. More would overflow its receive buffer.
_MAX_SIMULTANEOUS_ANSWERS: Final = 64
#: Heartbeats per datagram with the true speed or the addresses, which hardly ever change, and per heartbeat
#: to the address of a peer that is not in use.
_HEARTBEATS_PER_EXTRA: Final = 4
#: Maximum number of new members waiting to be announced to others.
_MAX_NEWCOMERS: Final = 1024


class Heartbeats:
    """
    Everything that this node sends unasked, and its answers to announcements.

    A peer that receives our multicast gets no direct heartbeats. We conclude that it does when we receive
    its multicast. A peer that cannot be reached by multicast (``discovery`` is off, another network, a
    switch that drops it) gets direct heartbeats: all such peers in each round while they are at most
    `MAX_FANOUT`, else `MAX_FANOUT` of them in turn.

    A node with an IPv4 and an IPv6 address sends every fourth multicast by both families, and every one while
    a member is heard by the second family only; see `gomd.cluster.membership.second_address`.

    :ivar incarnation: how many times this node has refuted a suspicion, or has come back to others.
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
        self._outdated_at = NEVER
        self._unreached: list[Member] = []
        self._turn = 0
        self._noted = 0
        self._newcomers: list[Member] = []
        self._next_multicast = self._next_direct = 0.0
        self._multicasts = 0
        self._directs = 0
        self._needs_both = False
        self._unheard_since: float | None = None

    def outdate(self, now: float) -> None:
        """
        Raise the incarnation, at most once a heartbeat, because others may have called this node down.

        This node did not hear them, so nobody has refuted that. What they said then must not call it down
        again, whenever and by whomever it is sent once more.
        """
        if now - self._outdated_at >= self._timing.heartbeat:
            self._outdated_at = now
            self.incarnation += 1

    @property
    def name(self) -> str:
        """The name of this node."""
        return self._own().name

    def make_heartbeat(self, announce: bool = False, notes: tuple[MemberNote, ...] = ()) -> Heartbeat:
        """Return this node's heartbeat as of now. While the node is quiet, it contains no values."""
        return heartbeat_of(self._own(), self.incarnation, self._settings, announce, notes)

    def extras(self) -> list[TrueSpeed | Addresses]:
        """Return what a heartbeat has no room for, for messages of their own: seldom anything."""
        return extras_of(self._own(), self._settings.port)

    def _send(self, message: Heartbeat, addresses: Sequence[Address]) -> None:
        """Send a heartbeat outside the regular interval, and what needs datagrams of its own."""
        self._transport.send(message, addresses)
        for extra in self.extras():
            self._transport.send(extra, addresses)

    # -- to all members

    @property
    def _direct_peers(self) -> list[Member]:
        """The members that multicast does not reach."""
        return self._unreached if self._settings.discovery else self._members.up

    def update_unreached(self, now: float) -> None:
        """Determine again which members multicast does not reach. Call it once a heartbeat."""
        own = self._own()
        # With one address there is one group, and nothing to choose.
        first = is_ipv6(own.addresses[0]) if own.addresses else None
        self._needs_both = first is not None and any(
            is_ipv6(each.address[0]) != first for each in self._members.up
        )
        if self._settings.discovery:
            beat = self._timing.heartbeat_interval(self._members.up_count)
            # While multicast works at all, a member that came up lately is given time to be heard by it.
            works = any(each.multicast_at >= now - beat for each in self._members.up)
            lately = any(each.multicast_at >= now - 3 * beat for each in self._members.up)
            if lately or not self._members.up:
                self._unheard_since = None
            elif self._unheard_since is None:
                self._unheard_since = now
            self._unreached = [
                each
                for each in self._members.up
                if each.multicast_at < now - 3 * beat and not (works and each.up_since >= now - 2 * beat)
            ]

    def seconds_unheard(self, now: float) -> float:
        """Return for how long members have been up and multicast of none of them has come; 0 if it comes."""
        return 0.0 if self._unheard_since is None else max(0.0, now - self._unheard_since)

    def interval(self) -> float:
        """Return the seconds between two heartbeats to the same peer."""
        nodes = self._members.up_count
        if not self._direct_peers:
            return self._timing.heartbeat_interval(nodes)
        return max(
            self._timing.heartbeat_interval(nodes),
            self._timing.heartbeat * len(self._direct_peers) / MAX_FANOUT,
        )

    def schedule_first(self, now: float) -> None:
        """Schedule the first heartbeats at a random moment within one interval from now."""
        self._next_multicast = self._next_direct = now + self._timing.heartbeat * self._random.uniform(0.2, 1)

    def send_due(self, now: float) -> None:
        """Send the heartbeats that are due. Call it once a tick."""
        usual = self._timing.heartbeat
        # The next heartbeat is due relative to when this one was due, so ticks add no delay. Heartbeats that
        # were missed during a gap are not sent late.
        if self._settings.discovery and now >= self._next_multicast:
            with_extras = self._multicasts % _HEARTBEATS_PER_EXTRA == 0
            self._multicasts += 1
            self._transport.multicast(self.make_heartbeat(), with_extras or self._needs_both)
            for extra in self.extras() if with_extras else ():
                self._transport.multicast(extra)
            wait = self._timing.heartbeat_interval(self._members.up_count)
            spread = _JITTER if wait <= usual else _WIDE_JITTER
            wait *= self._random.uniform(1 - spread, 1 + spread)
            self._next_multicast = max(self._next_multicast + wait, now)
        if now >= self._next_direct:
            wait = usual * self._random.uniform(1 - _JITTER, 1 + _JITTER)
            self._next_direct = max(self._next_direct + wait, now)
            direct = self._direct_peers
            if direct:
                first = self._turn % len(direct)
                some = (direct[first:] + direct[:first])[:MAX_FANOUT]
                self._turn = first + len(some)
                notes, roster = self._some_notes()
                addresses = [each.address for each in some]
                # Peers are served in turn, so the choice must be random to reach each of them sometimes.
                seconds = [each.second for each in some if each.second is not None]
                message = self.make_heartbeat(notes=notes)
                self._transport.send(message, addresses)
                self._directs += 1
                if len(some) == len(direct):  # none in turn: exactly every fourth
                    is_fourth = self._directs % _HEARTBEATS_PER_EXTRA == 0
                else:
                    is_fourth = bool(seconds) and self._random.random() * _HEARTBEATS_PER_EXTRA < 1
                if seconds and is_fourth:
                    self._transport.send(message, seconds)  # sealed anew: a copy would be taken for a replay
                if roster is not None:
                    self._transport.send(roster, addresses)
                extras = self.extras()
                if extras and self._random.random() * _HEARTBEATS_PER_EXTRA < 1:
                    for extra in extras:
                        self._transport.send(extra, addresses)

    def _some_notes(self) -> tuple[tuple[MemberNote, ...], Roster | None]:
        """Return the notes that go into a heartbeat now, and a roster of those with IPv6 addresses, if
        any."""
        up = self._members.up
        first = self._noted % max(1, len(up))
        self._noted = first + _NOTES_PER_HEARTBEAT
        notes, others = notes_by_family(up[first : first + _NOTES_PER_HEARTBEAT])
        return tuple(notes), Roster(self._members.up_count + 1, tuple(others)) if others else None

    def broadcast(self, message: Message, most: int = MAX_FANOUT) -> None:
        """
        Send a message by multicast and to at most ``most`` of the members that multicast does not reach.
        """
        if self._settings.discovery:
            self._transport.multicast(message)
        self._to_some(message, self._direct_peers, most)

    def gossip(self, notice: Notice) -> None:
        """Pass a received notice on, if its sender could not reach all members directly."""
        if len(self._direct_peers) > MAX_FANOUT:
            self._to_some(notice, self._direct_peers, _GOSSIP_PEERS)

    def _to_some(self, message: Message, members: Sequence[Member], most: int) -> None:
        chosen = members if len(members) <= most else self._random.sample(members, most)
        if chosen:
            self._transport.send(message, [each.address for each in chosen])

    # -- to new members and to addresses where a node may be

    def announce(self, addresses: Sequence[Address], multicast: bool) -> None:
        """
        Announce this node by multicast, to ``addresses``, or both.

        Receivers answer with their heartbeat.
        """
        if not (multicast or addresses):
            return
        message = self.make_heartbeat(announce=True)
        if multicast and self._settings.discovery:
            self._transport.multicast(message)
        if addresses:
            self._send(message, addresses)

    def greet(self, addresses: Sequence[Address], again: bool = False) -> None:
        """
        Send a heartbeat to addresses that another node told of.

        :param again: ask for an answer, but for no roster: the node may know us already.
        """
        if addresses:
            notes, roster = self._some_notes()
            self._send(self.make_heartbeat(again, notes), addresses)
            if roster is not None:
                self._transport.send(roster, addresses)

    def answer_announcement(self, member: Member, multicast: bool, knows: bool, now: float) -> float:
        """
        Answer the announcement of a member. A direct announcement is answered with a roster as well.

        :param knows: the member knows other nodes already and needs no roster.
        :returns: the seconds after which the caller must answer with `send_heartbeat`; 0 if it must not.
        """
        nodes = self._members.up_count
        if multicast and nodes >= MAX_HEARTBEATS_PER_SECOND:
            return 0.0  # the next regular heartbeat comes as soon as an answer could
        if multicast and nodes > _MAX_SIMULTANEOUS_ANSWERS:
            return self._random.random() * nodes / MAX_HEARTBEATS_PER_SECOND * self._timing.heartbeat
        self.send_heartbeat(member)
        if not (multicast or knows) and now - member.roster_sent_at >= self._timing.tick / 2:
            member.roster_sent_at = now
            others = [each for each in self._members.up if each is not member]
            for roster in rosters_of(len(others) + 2, others):
                self._transport.send(roster, [member.address])
        return 0.0

    def send_heartbeat(self, member: Member) -> None:
        """Send this node's heartbeat to one member."""
        self._send(self.make_heartbeat(), [member.address])

    def add_newcomer(self, member: Member, announced: bool = False) -> None:
        """
        Announce a new member to others with the next tick, if multicast does not reach them.

        :param announced: it announced itself to this node directly, as a node does to its seeds.
        """
        if (announced or not self._settings.discovery) and len(self._newcomers) < _MAX_NEWCOMERS:
            self._newcomers.append(member)

    def send_newcomers(self) -> None:
        """Announce the members that joined since the last tick. Call it once a tick."""
        newcomers, self._newcomers = self._newcomers, []
        if self._settings.discovery:
            # They get direct heartbeats until their multicast is heard, which may be the next moment.
            newcomers = [each for each in newcomers if each.multicast_at == NEVER]
            self._unreached = [*self._unreached, *newcomers]
        if newcomers and self._direct_peers:
            for roster in rosters_of(self._members.up_count + 1, newcomers):
                self._to_some(roster, self._direct_peers, _GOSSIP_PEERS)
