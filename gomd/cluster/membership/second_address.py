"""
Nodes with two addresses, one of IPv4 and one of IPv6: they are one node, and the other address is used when
one falls silent.

Theory of operation. A member has a place in use, and perhaps a second one in the other family. The second
place is learned from where its datagrams come from, or because the node itself names its addresses
(`Addresses`). It is believed only after a probe has been answered from there. Of two places that are heard
the one of IPv4 is used, so that all nodes show and use the same one. When the place in use is silent for two
heartbeats and the second one is not, they change places; they change back when IPv4 has been heard twice
within ten heartbeats. To keep both alive a node sends every fourth heartbeat to both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gomd.cluster.membership.admission import IAdmission
from gomd.cluster.membership.identity_checks import Claim, ClaimKind, IdentityChecks
from gomd.cluster.membership.member import Member
from gomd.cluster.membership.settings import Timing
from gomd.cluster.membership.state_changes import StateChanges
from gomd.cluster.membership.table import Members
from gomd.cluster.membership.transport import Address
from libgomd.model import Node
from libgomd.wire.addresses import is_ipv6, is_link_local, zone_of
from libgomd.wire.messages import Addresses, Heartbeat, MemberState

#: Heartbeats of silence after which the other place of a node is used.
SILENT_HEARTBEATS: Final = 2
#: Heartbeats within which IPv4 must be heard twice to be used again, and between two probes of a place that
#: did not answer.
RETURN_HEARTBEATS: Final = 10


def families_of(node: Node) -> frozenset[bool]:
    """Return the families in which a node has an address: True for IPv6."""
    return frozenset(map(is_ipv6, node.addresses or (node.address,)))


def place_here(host: str, sender: Address) -> str:
    """
    Return the address that another node told, as it is reached from here; empty when it cannot be.

    A link-local address means the network on which the node that told it is.

    :param host: without a zone. :param sender: where the datagram with it came from.
    """
    if not is_link_local(host):
        return host
    zone = zone_of(sender[0])
    return f"{host}%{zone}" if zone else ""


class SecondAddresses:
    """Learns the second place of members, and decides which of the two is used."""

    def __init__(
        self,
        members: Members,
        admission: IAdmission,
        changes: StateChanges,
        checks: IdentityChecks,
        timing: Timing,
        interval: Callable[[], float],
        families: frozenset[bool],
    ) -> None:
        """
        :param interval: returns the seconds between two heartbeats of one node.
        :param families: those in which this node has an address: True for IPv6.
        """
        self._members = members
        self._admission = admission
        self._changes = changes
        self._checks = checks
        self._timing = timing
        self._interval = interval
        self._families = families

    def _beat(self) -> float:
        return max(self._timing.heartbeat, self._interval())

    def heard(self, member: Member, now: float) -> None:
        """Note that a member was heard from its second place."""
        assert member.second is not None
        beat = self._beat()
        silent = now - member.heard_at > beat * SILENT_HEARTBEATS
        returns = not is_ipv6(member.second[0]) and now - member.second_at < beat * RETURN_HEARTBEATS
        member.second_at = member.vouched_at = now
        if not (silent or returns):
            return
        old = member.address[0]
        self._members.swap_addresses(member, now)
        new = member.address[0]
        reason = f"it is reached at {new} again" if returns else f"it is reached at {new}: {old} is silent"
        if member.state is MemberState.UP:
            self._changes.tell_address(member, reason)

    def from_heartbeat(
        self, member: Member, message: Heartbeat, sequence: int, place: Address, now: float
    ) -> bool:
        """
        Take the place of a heartbeat of a member that is up. False if it is in the family of the place in
        use.
        """
        if is_ipv6(place[0]) == is_ipv6(member.address[0]):
            return False
        # Whoever has an IPv4 address names it. Another one is somebody's who sends on what was heard, and
        # would be used as soon as it answers.
        if is_ipv6(place[0]) or message.is_from(place[0]):
            self._claim(member, message, sequence, place, now)
        return True

    def told(self, member: Member, message: Addresses, sequence: int, sender: Address, now: float) -> None:
        """Take what a member that is up says about its own addresses."""
        for told in message.addresses:
            host = place_here(told, sender)
            if host and is_ipv6(host) != is_ipv6(member.address[0]) and member.message is not None:
                self._claim(member, member.message, sequence, (host, message.port), now)

    def _claim(self, member: Member, message: Heartbeat, sequence: int, place: Address, now: float) -> None:
        beat = self._beat()
        lives = member.second is not None and now - member.second_at <= beat * RETURN_HEARTBEATS
        tried = now - member.second_tried <= beat * RETURN_HEARTBEATS
        wrong = is_ipv6(place[0]) not in self._families or self._admission.refusal(member.id, place[0])
        if place == member.second or lives or tried or wrong:
            return
        if self._checks.start(ClaimKind.SECOND, member, message, member.instance, sequence, place, now):
            member.second_tried = now

    def accepted(self, claim: Claim, now: float) -> None:
        """Use a second place that has answered."""
        member = claim.member
        if claim.instance != member.instance or is_ipv6(claim.address[0]) == is_ipv6(member.address[0]):
            return
        member.vouched_at = now
        self._members.set_second(member, claim.address, now)
        if not is_ipv6(claim.address[0]):
            self._members.swap_addresses(member, now)
