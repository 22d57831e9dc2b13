"""Is a silent node still there? Probed directly, through others, then suspected, then called down."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from zope.interface import Interface

from gomd.cluster.membership.member import Member
from gomd.cluster.membership.settings import HELPERS, MOST_CHECKS, Timing
from gomd.cluster.membership.table import Members
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.model import Counter
from libgomd.wire.messages import MAX_NUMBER, IndirectProbe, MemberState, Probe, ProbeAck


class IVerdicts(Interface):
    """Who hears what becomes of a check."""

    def suspected(member: Member, reason: str) -> None:
        """It did not answer, neither here nor to others."""

    def dead(member: Member, reason: str) -> None:
        """And has not answered since it was suspected."""

    def answered(member: Member, by: int, asked_by: Iterable[Address]) -> None:
        """It answered node ``by``; ``asked_by`` wanted to know."""


class _Check:
    """
    One node being probed. One request id does for all of it: no answer to it is older than the check.

    :ivar asked: ids of the others that were asked to try; ``deaf`` those of them that had no answer.
    :ivar askers: addresses of those who suspect it and have to be told if it answers.
    """

    __slots__ = ("asked", "askers", "deaf", "member", "next_help", "next_probe", "request_id", "started",
                 "suspected")  # fmt: skip

    def __init__(self, member: Member, request_id: int, now: float, timing: Timing) -> None:
        self.member = member
        self.request_id = request_id
        self.started = self.next_probe = now
        self.next_help = now + timing.help
        self.suspected: float | None = None
        self.asked: set[int] = set()
        self.deaf: set[int] = set()
        self.askers: set[Address] = set()


class FailureDetector:
    """Every check under way."""

    def __init__(
        self,
        own_id: int,
        members: Members,
        transport: IPeerTransport,
        timing: Timing,
        random: Random,
        verdicts: IVerdicts,
    ) -> None:
        self._own_id = own_id
        self._members = members
        self._transport = transport
        self._timing = timing
        self._random = random
        self._verdicts = verdicts
        self._checks: dict[int, _Check] = {}
        self._by_request: dict[int, _Check] = {}
        self._started = self._probes = self._asked = 0

    def __contains__(self, node: int) -> bool:
        return node in self._checks

    def __len__(self) -> int:
        return len(self._checks)

    def start(self, member: Member, now: float, asker: Address | None = None) -> None:
        """Check a member, unless too many are being checked; ``asker`` is told if it answers."""
        check = self._checks.get(member.id)
        if check is None:
            if len(self._checks) >= MOST_CHECKS:
                return
            self._started += 1
            check = _Check(member, self._random.randint(1, MAX_NUMBER), now, self._timing)
            self._checks[member.id] = self._by_request[check.request_id] = check
            self._step(check, now)
        if asker is not None and len(check.askers) < MOST_CHECKS:
            check.askers.add(asker)

    def drop(self, node: int) -> None:
        """End the check of a node, whatever came of it."""
        check = self._checks.pop(node, None)
        if check is not None:
            del self._by_request[check.request_id]

    def clear(self) -> None:
        """End all checks: this node itself was away."""
        self._checks.clear()
        self._by_request.clear()

    def answered(self, node: int, by: int) -> None:
        """Take notice of a sign of life that reached node ``by``."""
        check = self._checks.get(node)
        if check is not None:
            self.drop(node)
            self._verdicts.answered(check.member, by, check.askers)

    def take(self, ack: ProbeAck, sender: int, now: float) -> None:
        """Take the answer of a helper, if it is one to a check of ours."""
        check = self._by_request.get(ack.request_id)
        if check is None or ack.node != check.member.id or sender == ack.node:
            return
        if not ack.reached:
            check.deaf.add(sender)
        elif ack.instance == check.member.instance:
            check.member.vouched = now
            self.answered(ack.node, sender)

    def step(self, now: float) -> None:
        """Go on with every check. Once a tick."""
        for check in list(self._checks.values()):
            self._step(check, now)

    def _step(self, check: _Check, now: float) -> None:
        timing, member = self._timing, check.member
        if check.suspected is not None and now >= check.suspected + self._patience(check):
            self.drop(member.id)
            self._verdicts.dead(member, self._reason(check, now))
            return
        if now >= check.next_probe:
            check.next_probe = now + timing.probe
            # Two packets from the second time on: with 20 % lost, one node in 60 would answer none of
            # four single probes, and one in a thousand answers none of these seven.
            for _ in range(1 if now == check.started else 2):
                self._probes += 1
                self._transport.send(Probe(check.request_id, member.id), [member.address])
        if now >= check.next_help:
            check.next_help = now + timing.help * 2
            self._ask_others(check)
        if check.suspected is None and now >= check.started + timing.suspect:
            check.suspected = now
            self._verdicts.suspected(member, self._reason(check, now))

    def _patience(self, check: _Check) -> float:
        """Seconds from the suspicion on that an answer is waited for."""
        others = self._members.count - 1
        agreed = others < 1 or any(by != self._own_id for by in check.member.suspects)
        return self._timing.agreed if agreed else self._timing.alone

    def _ask_others(self, check: _Check) -> None:
        member = check.member
        others = [each for each in self._members.up if each is not member and each.id not in self._checks]
        fresh = [each for each in others if each.id not in check.asked] or others
        helpers = self._random.sample(fresh, min(HELPERS, len(fresh)))
        if helpers:
            check.asked.update(helper.id for helper in helpers)
            self._asked += len(helpers)
            host, port = member.address
            request = IndirectProbe(check.request_id, member.id, port, host)
            self._transport.send(request, [helper.address for helper in helpers])

    def _reason(self, check: _Check, now: float) -> str:
        text = f"silent for {now - check.member.alive:.1f} s; it does not answer node {self._own_id}"
        if check.deaf:
            text += f" nor {_nodes(check.deaf)}"
        elif check.asked:
            text += f", and {_nodes(check.asked)} did not answer what they hear of it"
        return text

    def counters(self) -> list[Counter]:
        """What it counted."""
        return [
            Counter("checks", self._started, "times a silent node was checked"),
            Counter("probes", self._probes, "probes sent to silent nodes"),
            Counter("probes_asked", self._asked, "times another node was asked to probe one"),
        ]


def _nodes(ids: Iterable[int]) -> str:
    """Return a few node ids as a person says them."""
    some = sorted(ids)
    names = ", ".join(map(str, some[:6])) + (", ..." if len(some) > 6 else "")
    return f"{'nodes' if len(some) > 1 else 'node'} {names}"


def is_up(member: Member | None) -> bool:
    """Whether this is a member, and one that is up."""
    return member is not None and member.state is MemberState.UP
