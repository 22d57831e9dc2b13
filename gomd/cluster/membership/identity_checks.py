"""Is a node at another address, or another start of it, really it? Asked before anything is believed."""

from __future__ import annotations

import enum
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from gomd.cluster.membership.member import Member
from gomd.cluster.membership.settings import Timing
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.wire.messages import MAX_NUMBER, Heartbeat, Probe, ProbeAck

#: IdentityChecks under way, at most; more wait for their next heartbeat.
_MOST: Final = 64


class Kind(enum.Enum):
    """What is claimed, and so whom to ask."""

    MOVED = "the same start of a node, at a new address: ask there"
    RETURNED = "an earlier start of a node that is known: ask there, its clock may have been set back"
    RIVAL = "another start of a node that is up, at another address: ask the one that is known"


class Claim(NamedTuple):
    """
    A heartbeat that is not believed yet.

    :ivar address: where its sender says it is. :ivar request_id: of the probe that decides.
    """

    kind: Kind
    member: Member
    message: Heartbeat
    instance: int
    sequence: int
    address: Address
    request_id: int
    started: float


class IdentityChecks:
    """
    IdentityChecks under way, one for a node.

    :param accept: gets a claim that proved true. :param conflict: gets one whose node is there twice.
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

    def add(
        self,
        kind: Kind,
        member: Member,
        message: Heartbeat,
        instance: int,
        sequence: int,
        address: Address,
        now: float,
    ) -> None:
        """Look into a claim, unless one about that node is under way."""
        if member.id not in self._claims and len(self._claims) < _MOST:
            request_id = self._random.randint(1, MAX_NUMBER)
            claim = Claim(kind, member, message, instance, sequence, address, request_id, now)
            self._claims[member.id] = claim
            self._probe(claim)

    def _probe(self, claim: Claim) -> None:
        to = claim.member.address if claim.kind is Kind.RIVAL else claim.address
        self._transport.send(Probe(claim.request_id, claim.member.id), [to])

    def take(self, ack: ProbeAck) -> None:
        """Take the answer, if it is one to a probe of ours."""
        claim = self._claims.get(ack.node)
        if claim is None or claim.request_id != ack.request_id:
            return
        if claim.kind is Kind.RIVAL:
            if ack.instance == claim.member.instance:
                self._end(claim, self._conflict)
        elif ack.instance == claim.instance:
            self._end(claim, self._accept)

    def _end(self, claim: Claim, decide: Callable[[Claim], None] | None) -> None:
        del self._claims[claim.member.id]
        if decide is not None:
            decide(claim)

    def step(self, now: float) -> None:
        """Ask again; who did not answer in time has lost. Once a tick."""
        for claim in list(self._claims.values()):
            rival = claim.kind is Kind.RIVAL
            if rival and claim.member.heard > claim.started:
                self._end(claim, self._conflict)
            elif now - claim.started >= self._timing.silence:
                self._end(claim, self._accept if rival else None)
            else:
                self._probe(claim)
