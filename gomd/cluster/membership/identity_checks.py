"""
Identity checks: verifies that a heartbeat from a new address or a new instance really is that node's.

A heartbeat that contradicts what is known about a member is held as a `Claim` until a probe has decided it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from gomd.cluster.membership.member import Member
from gomd.cluster.membership.settings import Timing
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.wire.messages import MAX_NUMBER, Heartbeat, Probe, ProbeAck

#: Maximum number of checks at once. A node that finds no room is checked at its next heartbeat.
_MAX_CLAIMS: Final = 64


class ClaimKind(enum.Enum):
    """The identity that a heartbeat claims. It decides which address is probed."""

    NEW = "a node that is not known, at another address than its heartbeat names: probe that address"
    MOVED = "the same instance of a node at a new address: probe the new address"
    RETURNED = (
        "an earlier instance of a known node, whose clock may have been set back: probe its new address"
    )
    SECOND = "the same instance of a node at an address of the other family: probe that address"
    RIVAL = "another instance of a node that is up, at another address: probe the known address"


class Claim(NamedTuple):
    """
    A heartbeat that must be verified before it is accepted.

    :ivar address: the address that its sender claims.
    :ivar request_id: request id of the probe that decides.
    :ivar started: when the check began.
    """

    kind: ClaimKind
    member: Member
    message: Heartbeat
    instance: int
    sequence: int
    address: Address
    request_id: int
    started: float


class IdentityChecks:
    """
    The checks that are under way, at most one for each node.

    :param accept: called with a claim that proved true.
    :param conflict: called with a claim that showed that two nodes use one id.
    """

    def __init__(
        self,
        transport: IPeerTransport,
        timing: Timing,
        random: Random,
        accept: Callable[[Claim], None],
        conflict: Callable[[Claim], None],
    ) -> None:
        self._transport = transport
        self._timing = timing
        self._random = random
        self._accept = accept
        self._conflict = conflict
        self._claims: dict[int, Claim] = {}

    def start(
        self,
        kind: ClaimKind,
        member: Member,
        message: Heartbeat,
        instance: int,
        sequence: int,
        address: Address,
        now: float,
    ) -> bool:
        """Start to verify a claim; False if another one about that node, or too many, are being verified."""
        starts = member.id not in self._claims and len(self._claims) < _MAX_CLAIMS
        if starts:
            request_id = self._random.randint(1, MAX_NUMBER)
            claim = Claim(kind, member, message, instance, sequence, address, request_id, now)
            self._claims[member.id] = claim
            self._probe(claim)
        return starts

    def _probe(self, claim: Claim) -> None:
        to = claim.member.places if claim.kind is ClaimKind.RIVAL else (claim.address,)
        for place in to:
            self._transport.send(Probe(claim.request_id, claim.member.id), [place])

    def receive_ack(self, ack: ProbeAck) -> None:
        """Process an acknowledgement, if it answers one of our probes."""
        claim = self._claims.get(ack.node)
        if claim is None or claim.request_id != ack.request_id:
            return
        if claim.kind is ClaimKind.RIVAL:
            if ack.instance == claim.member.instance:
                self._end(claim, self._conflict_of(claim))
        elif ack.instance == claim.instance:
            self._end(claim, self._accept)

    def _end(self, claim: Claim, decide: Callable[[Claim], None] | None) -> None:
        del self._claims[claim.member.id]
        if decide is not None:
            decide(claim)

    def _conflict_of(self, claim: Claim) -> Callable[[Claim], None] | None:
        """Return how a rival of a node that is there ends; None when it was that node, started again."""
        return None if claim.instance == claim.member.instance else self._conflict

    def step(self, now: float) -> None:
        """Probe again, and decide the claims whose time is up. Call it once a tick."""
        for claim in list(self._claims.values()):
            rival = claim.kind is ClaimKind.RIVAL
            if rival and claim.member.heard_at > claim.started:
                self._end(claim, self._conflict_of(claim))
            elif now - claim.started >= self._timing.silence_timeout:
                self._end(claim, self._accept if rival else None)
            else:
                self._probe(claim)
